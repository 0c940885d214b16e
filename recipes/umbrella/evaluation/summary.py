"""What eval.py prints at its end: the headline numbers with their intervals, and the verdicts."""

HEADLINES = (  # as far as a task has them
    *("accuracy", "balanced_accuracy", "auroc"),
    *("mae", "rmse", "r2", "pearson_r"),
    *("exact_match", "bleu", "rouge_l"),
)


def summarize_as_text(metrics: dict) -> str:
    """Lines of metrics.json for a terminal."""
    lines = [f"{name:<32} {metrics[name]}" for name in ("n", "n_subjects", "unparseable")]
    lines += [
        _line(name, metrics["metrics"][name]["value"], metrics["metrics"][name]["interval"])
        for name in HEADLINES
        if name in metrics["metrics"]
    ]
    for name, control in metrics["controls"].items():
        for key in ("accuracy", "mae"):
            if key in control:
                lines.append(_line(f"{key}_{name}", control[key], control[f"{key}_interval"]))
    if "n_reversed" in metrics:
        lines.append(f"{'n_reversed':<32} {metrics['n_reversed']}")
    for baseline in metrics.get("baselines", {}).get("models", {}).values():
        lines.append(baseline["sentence"])
    lines += metrics.get("by_sentences", [])
    lines += [verdict["sentence"] for verdict in metrics["verdicts"].values()]
    if "confounds" in metrics:
        lines.append(metrics["confounds"]["sentence"])
    lines += [sentence for entry in metrics.get("evidence", {}).values() for sentence in entry["sentences"]]
    return "\n".join(lines)


def _line(name: str, value: float | None, interval: tuple[float, float] | None) -> str:
    if value is None:
        return f"{name:<32} not known"
    ends = f"95 % interval {interval[0]:.3f} to {interval[1]:.3f}" if interval else "no interval"
    return f"{name:<32} {value:.3f}  ({ends})"
