"""How long train.py takes to its first step on very many rows, and the memory of it; one JSON.

    python tests/benchmarks/million_rows.py --rows 1000000 --output million_rows.json
    python tests/benchmarks/million_rows.py --packed --output million_packed.json

The rows stand in .jsonl files, their scans in as many folders: small ones, all names of a folder one file. With
`--packed` they stand in as many shards instead, which `--scan_shards` names, and nowhere else. The command
runs twice, first with nothing built, then with the table that `datasets` has kept. Seconds count from the
command to the moment at which `run.json` is there, which is just before the weights first change; the memory is the
largest resident set of the whole command, pages of mapped files among it. Work goes into a temporary folder.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nibabel
import numpy as np
import psutil

from umbrella.files.shards.index import SCANS, About, Member, write_index
from umbrella.files.shards.writing import Part, ShardWriter

ROOT = Path(__file__).parents[2]
QUESTION = "What is the biological sex of the subject shown in this scan?"
MOST_SECONDS = 3600
FLAGS = (
    "--model_name_or_path tiny --max_length 512 --batch_size 4 --max_steps 1 --use_cpu true --save_strategy no".split()
)
EVALUATION = "--eval_strategy steps --eval_steps 1000 --eval_answers 8".split()


def make_record(number: int, folder: int, rows_a_subject: int) -> dict:
    """A row of which subject, label and text follow from its number."""
    subject, sex = f"sub-{number // rows_a_subject:07d}", ("female", "male")[number // rows_a_subject % 2]
    path = f"scans/shard-{folder:03d}/{subject}_scan-{number:07d}_T1w.nii"
    scan = {"type": "image", "modality": "sMRI", "image_path": path}
    return {
        "task_id": f"row-{number:07d}",
        "task_type": "sex_classification",
        "subject_ids": [subject],
        "modalities": ["sMRI"],
        "images": [{"path": path, "token": "<image>", "modality": "sMRI"}],
        "conversations": [
            {"role": "user", "content": [scan, {"type": "text", "text": QUESTION}]},
            {"role": "assistant", "content": [{"type": "text", "text": f"The subject is {sex}."}]},
        ],
        "metadata": {
            "subject_id": subject,
            "subject_label": sex,
            "site": f"site-{number % 7}",
            "age": 20 + number % 60,
        },
    }


def make_data(folder: Path, n_rows: int, n_folders: int, rows_a_subject: int, *, links: bool) -> list[list[str]]:
    """A data folder of so many training rows and 200 of validation; each row has a scan of its own. Returns the paths
    of the scans of each folder of them, all of which are its scans/FOLDER/all.nii.

    links  whether the paths are there, too
    """
    rng = np.random.default_rng(0)
    first = {"train": range(n_rows), "validation": range(n_rows, n_rows + 200 * rows_a_subject, rows_a_subject)}
    paths: list[list[str]] = [[] for _ in range(n_folders)]
    for number in range(n_folders):
        scans = folder / "scans" / f"shard-{number:03d}"
        scans.mkdir(parents=True)
        nibabel.save(nibabel.Nifti1Image(rng.random((8, 9, 10), np.float32), np.diag([2, 2, 2, 1])), scans / "all.nii")
    for split, numbers in first.items():
        (folder / split).mkdir()
        for shard in range(n_folders):
            with open(folder / split / f"part-{shard:03d}.jsonl", "w", encoding="utf-8") as file:
                for number in numbers[shard::n_folders]:
                    record = make_record(number, shard, rows_a_subject)
                    path = record["images"][0]["path"]
                    paths[shard].append(path)
                    if links:
                        os.link(folder / "scans" / f"shard-{shard:03d}" / "all.nii", folder / path)
                    file.write(json.dumps(record) + "\n")
    return paths


def pack(data: Path, paths: list[list[str]], folder: Path) -> None:
    """A shard for each folder of scans with its one file, by all names of it. The folders of scans are gone then."""
    folder.mkdir()
    names, members, shards = [], [], []
    with ShardWriter(folder, About(SCANS, [], {}, ""), most_bytes=1) as writer:  # each scan in a shard of its own
        for number, of_folder in enumerate(paths):
            content = (data / of_folder[0]).parent.joinpath("all.nii").read_bytes()
            writer.add(number, [Part(".nii", [str(number)], content)])
        writer.finish()
    for number, (of_folder, shard) in enumerate(zip(paths, writer.shards, strict=True)):
        [(_, *place)] = shard.members
        names += of_folder
        members += [Member(number, *place)] * len(of_folder)
        shards.append((shard.name, shard.size))
    write_index(folder, names, members, About(SCANS, shards, {}, ""))
    shutil.rmtree(data / "scans")


def measure_start(work: Path, name: str, *flags: str) -> dict:
    """Seconds of train.py to its first step, those of a processor too, and to its end; its largest resident set in
    MB."""
    run = work / name
    command = [sys.executable, ROOT / "recipes" / "train.py", "--json_dir", work / "data", "--output_dir", run]
    environment = os.environ | {"HF_DATASETS_CACHE": str(work / "cache"), "HF_HUB_OFFLINE": "1"}
    start = time.monotonic()
    with open(work / f"{name}.txt", "w") as log:
        process = subprocess.Popen([*command, *FLAGS, *EVALUATION, *flags], env=environment, stdout=log, stderr=log)
        stepped = cpu = None
        while (found := os.wait4(process.pid, os.WNOHANG))[0] == 0:
            if stepped is None and (run / "run.json").is_file():
                stepped = time.monotonic() - start
                cpu = sum(psutil.Process(process.pid).cpu_times()[:2])
            if time.monotonic() - start > MOST_SECONDS:
                process.kill()
            time.sleep(0.05)
    _, status, used = found
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode or stepped is None:
        raise SystemExit(f"train.py ended with {process.returncode}:\n{(work / f'{name}.txt').read_text()[-4000:]}")
    seconds = {"seconds_to_first_step": stepped, "seconds_to_end": time.monotonic() - start}
    seconds["cpu_seconds_to_first_step"] = cpu
    return {name: round(value, 1) for name, value in seconds.items()} | {"largest_rss_mb": used.ru_maxrss // 1024}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--folders", type=int, default=100, help="of scans, and .jsonl files")
    parser.add_argument("--rows_a_subject", type=int, default=4)
    parser.add_argument("--packed", action="store_true", help="scans in shards alone")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        paths = make_data(
            work / "data", options.rows, options.folders, options.rows_a_subject, links=not options.packed
        )
        flags = ["--scan_shards", str(work / "shards")] if options.packed else []
        if options.packed:
            pack(work / "data", paths, work / "shards")
        del paths
        result = {"rows": options.rows, "packed": options.packed}
        result |= {name: measure_start(work, name, *flags) for name in ("first", "built")}
    text = json.dumps(result, indent=2)
    print(text)
    if options.output:
        options.output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
