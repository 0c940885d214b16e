"""run.json: what one needs to tell how a model came about, and to make it again."""

import hashlib
import json
import os
import platform
import shlex
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import torch
from datasets import DatasetDict

PACKAGES = ("umbrella-vlm", "torch", "transformers", "datasets", "accelerate", "nibabel", "numpy")


def write_run_record(
    output_dir: str, splits: DatasetDict, json_dir: str | None, seeds: dict[str, int], world_size: int
) -> None:
    """Write `run.json`: command, versions, hardware, seeds, the fingerprint of each split and of `splits.json`."""
    record = {
        **describe_process(world_size),
        "seeds": seeds,
        "splits_sha256": hash_splits_file(json_dir),
        "data": {name: {"rows": len(rows), "sha256": fingerprint(rows)} for name, rows in splits.items()},
    }
    path = Path(output_dir) / "run.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def describe_process(world_size: int) -> dict:
    """The command that runs now, when it started, versions and hardware."""
    return {
        "command": shlex.join([Path(sys.executable).name, *sys.argv]),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
        "hardware": {
            "machine": platform.machine(),
            "cpus": os.cpu_count(),
            "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
            "processes": world_size,
        },
    }


def hash_splits_file(json_dir: str | None) -> str | None:
    """sha256 of the data folder's `splits.json`, which says who is in which split; None where there is none."""
    path = Path(json_dir or "") / "splits.json"
    return hashlib.sha256(path.read_bytes()).hexdigest() if json_dir and path.is_file() else None


def fingerprint(rows) -> str:
    """sha256 of what the rows say, and of their scans' names and sizes; the same wherever the data lie."""
    digest = hashlib.sha256()
    columns = rows.with_format(None).select_columns(["task_id", "conversations", "metadata", "images"])
    for row in columns:
        turns = [
            [turn["role"], [[item["type"], item["text"]] for item in turn["content"]]] for turn in row["conversations"]
        ]
        scans = [[Path(scan["path"]).name, _size(scan)] for scan in row["images"]]
        digest.update(json.dumps([row["task_id"], turns, row["metadata"], scans], sort_keys=True).encode())
    return digest.hexdigest()


def _size(scan: dict) -> int | None:
    """In bytes; None for a scan that is not there: of splits that are not used, none is looked for."""
    if scan.get("bytes"):
        return len(scan["bytes"])
    return os.path.getsize(scan["path"]) if os.path.exists(scan["path"]) else None
