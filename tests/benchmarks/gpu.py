"""Training steps on a GPU: memory beside what estimate_memory.py says of it, rows and tokens a second.

    python tests/benchmarks/gpu.py --output gpu.jsonl
    python tests/benchmarks/gpu.py --cases tiny,tiny3d --device cpu

Each case is a recipe of recipes/configs with a published model's shape and random weights, trained by
ConversationTrainer on full rows that are in memory: a GPU's time, not a disk's. It runs in a process of its own, which
is ended after a while. Two batches a step, so the gradients of one are there while the other's forward pass is kept.
Times are of the steps after the warm-up.
"""

import argparse
import json
import os
import tempfile
import time
from concurrent.futures import Future, ProcessPoolExecutor, wait
from multiprocessing import active_children, get_context
from pathlib import Path

os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"  # asking whether there is a GPU must not start CUDA before a fork

from on_gpu.cases import CASES, Case, write_configs
from on_gpu.measuring import measure
from on_gpu.planning import estimate_case

FORK = get_context("fork")  # what is imported is imported once
COLUMNS = {
    "case": ("case", 34),
    "precision": ("precision", 11),
    "peak_gib": ("peak", 8),
    "estimated_gib": ("estimate", 10),
    "reserved_gib": ("reserved", 10),
    "used_gib": ("used", 8),
    "step_ms": ("ms/step", 9),
    "rows_per_s": ("rows/s", 8),
    "tokens_per_s": ("tokens/s", 10),
}
N_WORDS = 2  # columns that are no numbers
MOST_WAITED = 30  # seconds, for estimates that are not there yet


def run_case(case: Case, folder: Path, device: str, seconds: float) -> dict:
    """What `measure` says of a case, from a process of its own; an error in one line."""
    receiver, sender = FORK.Pipe(duplex=False)
    name_log(case, folder).touch()
    process = FORK.Process(target=report, args=(case, folder, device, sender))
    process.start()
    sender.close()
    try:
        found = receiver.recv() if receiver.poll(seconds) else {"error": f"no answer in {seconds:.0f} s"}
    except EOFError:
        process.join()
        found = {"error": f"its process ended with {process.exitcode}"}
    process.kill()
    process.join()
    if "error" in found:
        found["log"] = name_log(case, folder).read_text(errors="replace")[-3000:]
    return {"case": case.name, "precision": case.precision, **found}


def name_log(case: Case, folder: Path) -> Path:
    """What the case's process prints."""
    return folder / f"{case.name.replace(' ', '_')}.log"


def report(case: Case, folder: Path, device: str, sender) -> None:
    log = os.open(name_log(case, folder), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    try:
        sender.send(measure(case, folder, device))
    except BaseException as error:  # SystemExit too: whatever it is, the next case can be measured
        lines = str(error).splitlines() or [""]
        sender.send({"error": f"{type(error).__name__}: {lines[0][:300]}"})


def add_estimate(result: dict, future: Future) -> dict:
    """With what was estimated of the same recipe, CUDA's own share not in it, as in `peak_gib`; where it is there."""
    if not future.done():
        return result
    error = future.exception()
    return result | (future.result() if error is None else {"estimate_error": f"{type(error).__name__}: {error}"})


def to_row(result: dict) -> str:
    if "error" in result:
        return f"{result['case']:<34}{result['error']}"
    return to_line([show(result.get(name)) for name in COLUMNS])


def show(value: float | str | None) -> str:
    if value is None or isinstance(value, str):
        return value or "-"
    return f"{value:.2f}" if value < 100 else f"{value:.0f}"


def to_line(cells: list[str]) -> str:
    """Words to the left, numbers to the right."""
    widths = [width for _, width in COLUMNS.values()]
    return "".join(
        f"{cell:{'<' if place < N_WORDS else '>'}{width}}"
        for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )


def hide_gpus() -> None:
    """From a process that estimates alone, so that it takes nothing of a GPU's memory."""
    os.environ["CUDA_VISIBLE_DEVICES"] = ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, help="a file of JSON lines (default: print only)")
    parser.add_argument("--cases", default="", help="beginnings of cases' names, as llava,tiny3d (default: all)")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--seconds", type=float, default=3600, help="start no case after so many")
    parser.add_argument("--case_seconds", type=float, default=180, help="end a case after so many")
    arguments = parser.parse_args()
    end = time.monotonic() + arguments.seconds
    chosen = [case for case in CASES if case.name.startswith(tuple(arguments.cases.split(",")))]
    results, left = {}, []
    with tempfile.TemporaryDirectory() as name, ProcessPoolExecutor(6, FORK, hide_gpus) as pool:
        folder = Path(name)
        write_configs(folder)
        alike = {case.recipe_key: case for case in chosen}  # cases of one estimate
        estimates = {key: pool.submit(estimate_case, case, folder) for key, case in alike.items()}

        def gather() -> list[dict]:
            found = [add_estimate(result, estimates[case.recipe_key]) for case, result in results.items()]
            if arguments.output:
                arguments.output.write_text("".join(json.dumps(result) + "\n" for result in found))
            return found

        for case in chosen:
            remaining = end - time.monotonic()
            if remaining < 10:
                left.append(case.name)
                continue
            results[case] = run_case(case, folder, arguments.device, min(remaining, arguments.case_seconds))
            print(to_row(gather()[-1]), flush=True)
        wait([estimates[case.recipe_key] for case in results], max(0, min(MOST_WAITED, end - time.monotonic())))
        print("\n" + to_line([title for title, _ in COLUMNS.values()]), *map(to_row, gather()), sep="\n", flush=True)
        pool.shutdown(wait=False, cancel_futures=True)
        for process in active_children():  # an estimate that takes longer can be had without a GPU
            process.kill()
    print(
        "peak, estimate: GiB in tensors; reserved: in PyTorch's hands; used: of the whole device, CUDA's context in it"
    )
    if left:
        print(f"not run, after {arguments.seconds:.0f} s: {', '.join(left)}")


if __name__ == "__main__":
    main()
