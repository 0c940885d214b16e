"""What the measurements of the data path come to: a table, a picture, and whether they feed a model's steps."""

from pathlib import Path

from umbrella.files.written_files import replacing

STAGES = ("read", "inflate", "statistics", "view", "tokenize", "collate")


def draw_table(result: dict) -> str:
    """The result of benchmark_data.py as text."""
    scans, texts, loaders = result["scans"], result["texts"], result["samples_per_s"]
    state = "read from disk" if result["cold"] else "in the system's memory"
    lines = []
    if building := result["building"]:
        lines += [f"building    {building['rows_per_s']:>10.0f} conversations/s ({building['rows']} of them)"]
    lines += [
        f"decoding    {1 / scans['decoded']:>10.1f} scans/s, one thread, files {state}",
        f"cached      {1 / scans['cached']:>10.1f} scans/s, one thread",
        f"scan        {scans['file_bytes'] / 1e6:>10.2f} MB a file, {scans['cached_bytes'] / 1e6:.3f} MB in the cache",
        "",
        "stage         ms",
    ]
    stages = {name: scans[name] if name in scans else texts[name] for name in STAGES}
    lines += [f"{name:<12}{1000 * seconds:>8.2f} {_unit(name)}" for name, seconds in stages.items()]
    lines += ["", "workers   samples/s   batches/s   samples/s, cached   batches/s, cached"]
    for workers, rates in loaders.items():
        plain, cached = rates["decoded"], rates["cached"]
        size = result["batch_size"]
        lines.append(f"{workers:>7}{plain:>12.1f}{plain / size:>12.1f}{cached:>20.1f}{cached / size:>20.1f}")
    memory = ", ".join(f"{n_bytes / 1e6:.0f}" for n_bytes in result["memory_bytes"])
    lines += ["", f"memory over epochs with {result['memory_workers']} workers: {memory} MB"]
    return "\n".join(lines)


def _unit(stage: str) -> str:
    return "a row" if stage in ("tokenize", "collate") else "a scan"


def draw_conclusion(result: dict) -> str:
    """Whether the workers feed a model whose step takes `step_ms`, and what to do where they do not."""
    workers, rates = list(result["samples_per_s"].items())[-1]
    fed = f"with {workers} workers this feeds {rates['decoded']:.1f} samples/s, cached {rates['cached']:.1f}"
    if result["step_ms"] is None:
        return f"{fed}; give --step_ms, the duration of your model's step, to see whether that is enough"
    needed = 1000 * result["batch_size"] / result["step_ms"]
    need = f"{fed}; your step needs {needed:.1f} (batch size {result['batch_size']}, {result['step_ms']:g} ms)"
    for way, flags in (("decoded", ""), ("cached", " and --volume_cache")):
        # Without a worker loading and the model's step take turns, whatever their speeds.
        enough = [n for n, rates in result["samples_per_s"].items() if n > 0 and rates[way] >= needed]
        if enough:
            return f"{need}: enough with train.py --dataloader_num_workers {enough[0]}{flags}"
    cores = needed / rates["cached"] * max(1, workers)
    return f"{need}: not enough. Use a machine with about {cores:.0f} cores a GPU, and --volume_cache"


def draw_picture(result: dict, path: Path) -> None:
    """Samples a second by workers, and the stages of one scan, as a PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 4), layout="constrained")
    workers = list(result["samples_per_s"])
    for way in ("decoded", "cached"):
        left.plot(workers, [rates[way] for rates in result["samples_per_s"].values()], marker="o", label=way)
    if result["step_ms"] is not None:
        needed = 1000 * result["batch_size"] / result["step_ms"]
        left.axhline(needed, color="grey", linestyle="--", label=f"a step of {result['step_ms']:g} ms")
    left.set(xlabel="workers", ylabel="samples/s", yscale="log", xticks=workers)
    left.legend()
    stages = {name: (result["scans"] | result["texts"])[name] for name in STAGES}
    right.barh([f"{name}, {_unit(name)}" for name in stages], [1000 * seconds for seconds in stages.values()])
    right.invert_yaxis()
    right.set(xlabel="ms")
    with replacing(path) as partial:
        figure.savefig(partial, dpi=120, format="png")
    pyplot.close(figure)
