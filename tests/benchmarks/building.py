"""How fast conversation files become Arrow rows, against load_dataset("json") and parsing alone; one JSON.

    python tests/benchmarks/building.py --output building.json
    python tests/benchmarks/building.py --rows_in_jsonl 1000000 --output building.json

Times are CPU seconds, so that a busy machine tells the same ratios; use the ratios. With --rows_in_jsonl also the peak
memory of a build from JSONL shards, and of streaming over them.
"""

import argparse
import json
import multiprocessing
import os
import platform
import resource
import tempfile
import time
from pathlib import Path

import datasets
from datasets import load_dataset

from umbrella_dataset import load_umbrella

ROWS_PER_SHARD = 10_000


def make_record(number: int) -> dict:
    """A conversation as the sample generators write them: two exchanges about two scans."""
    scans = [f"images/sub-{number % 997:04d}_T1w.nii.gz", f"images/sub-{number % 1009:04d}_T1w.nii.gz"]
    turns = []
    for scan, question in zip(scans, ("This is a reference scan.", "Is this subject male or female?"), strict=True):
        content = [
            {"type": "image", "modality": "sMRI", "image_path": scan},
            {"type": "text", "text": f"{question} Compare the size of the ventricles and the shape of the skull."},
        ]
        answer = [{"type": "text", "text": f"The subject of scan {number} is female, judged by the size of the head."}]
        turns += [{"role": "user", "content": content}, {"role": "assistant", "content": answer}]
    return {
        "task_id": f"task_{number:07d}",
        "task_type": "T3",
        "subject_ids": [f"sub-{number % 997:04d}", f"sub-{number % 1009:04d}"],
        "modalities": ["sMRI", "sMRI"],
        "images": [{"path": scan, "token": "<image>", "modality": "sMRI"} for scan in scans],
        "conversations": turns,
        "metadata": {"subject_id": f"sub-{number % 997:04d}", "subject_label": "female", "age": 45, "site": "A"},
    }


def write_files(folder: Path, n_files: int) -> None:
    (folder / "train").mkdir(parents=True)
    for number in range(n_files):
        (folder / "train" / f"{number:07d}.json").write_text(json.dumps(make_record(number), indent=2))


def write_shards(folder: Path, n_rows: int) -> None:
    (folder / "train").mkdir(parents=True)
    for start in range(0, n_rows, ROWS_PER_SHARD):
        with open(folder / "train" / f"{start:07d}.jsonl", "w", encoding="utf-8") as shard:
            for number in range(start, min(start + ROWS_PER_SHARD, n_rows)):
                shard.write(json.dumps(make_record(number)) + "\n")


def parse_alone(folder: Path) -> None:
    for entry in os.scandir(folder / "train"):
        with open(entry.path, encoding="utf-8") as file:
            json.loads(file.read())


def build_ours(folder: Path) -> None:
    with tempfile.TemporaryDirectory() as cache_dir:
        load_umbrella(str(folder), split="train", cache_dir=cache_dir)


def build_with_json(folder: Path) -> None:
    with tempfile.TemporaryDirectory() as cache_dir:
        load_dataset("json", data_dir=str(folder), split="train", cache_dir=cache_dir)


def stream_ours(folder: Path) -> None:
    for _ in load_umbrella(str(folder), split="train", streaming=True):
        pass


def run_apart(work, folder: Path, repeats: int = 1) -> dict[str, float]:
    """CPU seconds (the least of the repeats) and peak memory in GB of a call, in a process of its own."""
    runs = []
    for _ in range(repeats):
        reader, writer = multiprocessing.Pipe(duplex=False)
        process = multiprocessing.get_context("spawn").Process(target=_measure, args=(work, folder, writer))
        process.start()
        runs.append(reader.recv())
        process.join()
    return {name: round(min(run[name] for run in runs), 6) for name in runs[0]}


def _measure(work, folder: Path, writer) -> None:
    datasets.disable_progress_bars()
    with tempfile.TemporaryDirectory() as small:  # what is imported at the first call does not count
        write_files(Path(small) / "files", 10)
        work(Path(small) / "files")
    start = time.process_time()
    work(folder)
    seconds = time.process_time() - start
    writer.send({"seconds": seconds, "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, help="the JSON file (default: print only)")
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--rows_in_jsonl", type=int, default=0)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        files, shards = Path(folder) / "files", Path(folder) / "shards"
        write_files(files, arguments.files)
        ways = {
            "json.loads alone": run_apart(parse_alone, files, arguments.repeats),
            "load_umbrella": run_apart(build_ours, files, arguments.repeats),
            'load_dataset("json")': run_apart(build_with_json, files),
        }
        result = {
            "files": arguments.files,
            "machine": f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, "
            f"datasets {datasets.__version__}, 1 process",
            "ways": ways,
            "ratios": {
                'load_dataset("json") / load_umbrella': _ratio(ways, 'load_dataset("json")', "load_umbrella"),
                "load_umbrella / json.loads alone": _ratio(ways, "load_umbrella", "json.loads alone"),
            },
        }
        if arguments.rows_in_jsonl:
            write_shards(shards, arguments.rows_in_jsonl)
            result["jsonl"] = {"rows": arguments.rows_in_jsonl, "build": run_apart(build_ours, shards)}
            result["jsonl"]["stream"] = run_apart(stream_ours, shards)
    text = json.dumps(result, indent=2)
    print(text)
    if arguments.output:
        arguments.output.write_text(text + "\n")


def _ratio(ways: dict, above: str, below: str) -> float:
    return round(ways[above]["seconds"] / ways[below]["seconds"], 2)


if __name__ == "__main__":
    main()
