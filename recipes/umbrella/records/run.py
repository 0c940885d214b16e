"""run.json: what one needs to tell how a model came about, and to make it again: a list, one entry a start."""

import hashlib
import json
import os
import platform
import shlex
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import torch
from datasets import DatasetDict

from umbrella.files.arrow_json import join_texts, list_texts, to_json
from umbrella.files.arrow_tables import read_column, read_field, read_tables
from umbrella.files.contained_files import RemoteError, find_packed_sizes, find_version, is_remote
from umbrella.files.json_files import read_json, show_json, write_json
from umbrella.options.data.cohort_flags import CohortPlace
from umbrella.options.keys import NAME_OF_A_KEY
from umbrella.records.cohort import SPLITS_FILE

FILE_NAME = "run.json"
UNUSUAL_ENDS = ("/", "/.")  # of paths whose name `pathlib` tells otherwise than by the last stroke
PACKAGES = ("umbrella-vlm", "torch", "transformers", "datasets", "accelerate", "nibabel", "numpy")


def describe_entry(arguments: tuple, splits: DatasetDict, started_from: list[dict]) -> dict:
    """The entry of a start: arguments as they were resolved, command, versions, hardware, seeds, the fingerprint of
    each split, of `splits.json` and of the weights that it started from.

    Args:
        arguments: of the model, of the data and of training.
        splits: as they are trained on, rows that are left out left out.
        started_from: the weights, the nearest first, see `umbrella.training.run_start`.
    """
    _, data_args, training_args = arguments
    return {
        **describe_process(training_args.world_size),
        "arguments": resolve_arguments(arguments),
        "seeds": {"seed": training_args.seed, "data_seed": training_args.data_seed},
        "splits_sha256": hash_splits_file(data_args.json_dir),
        "data": {name: {"rows": len(rows), "sha256": fingerprint(rows)} for name, rows in splits.items()},
        "started_from": started_from,
        **({"cohorts": describe_cohorts(data_args.cohort_places, splits)} if data_args.cohort_places else {}),
    }


def describe_cohorts(places: Sequence[CohortPlace], splits: DatasetDict) -> dict[str, dict]:
    """Name → weight, sha256 of its `splits.json`, and its rows of each split."""
    counts = {
        split: Counter(task_id.partition("/")[0] for task_id in rows.with_format(None)["task_id"])
        for split, rows in splits.items()
    }
    return {
        place.name: {
            "weight": place.weight,
            "splits_sha256": hash_splits_file(place.json_dir),
            "rows": {split: found[place.name] for split, found in counts.items()},
        }
        for place in places
    }


def resolve_arguments(arguments: tuple) -> dict:
    """Flag → its value, the YAML's and the defaults included; no key."""
    model_args, data_args, training_args = arguments
    values = {**asdict(model_args), **asdict(data_args), **training_args.to_dict()}
    kept = {name: value for name, value in values.items() if not NAME_OF_A_KEY.search(name)}
    return json.loads(json.dumps(kept, default=str))  # now: written in the first step, it must not fail there


def read_run_record(folder: str | Path) -> list[dict]:
    """The starts of a run, the first one first; empty where none is recorded. Older records hold the last alone.

    Raises ValueError for a file that is no such record.
    """
    path = Path(folder) / FILE_NAME
    record = read_json(path) if path.is_file() else []
    starts = record if isinstance(record, list) else [record]
    if not all(isinstance(start, dict) and "command" in start for start in starts):
        raise ValueError(
            f"{path}: expected a list of starts, each with its command, found {show_json(record)}. Restore the file, "
            "or remove it: it then begins with the next start"
        )
    return starts


def add_to_run_record(folder: str | Path, entry: dict) -> None:
    """Add a start to `run.json`."""
    write_json(Path(folder) / FILE_NAME, [*read_run_record(folder), entry])


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
    path = Path(json_dir or "") / SPLITS_FILE
    return hashlib.sha256(path.read_bytes()).hexdigest() if json_dir and path.is_file() else None


def fingerprint(rows: Any) -> str:
    """sha256 of what the rows say, and of their scans' names and sizes, in a store also of their tags; the same
    wherever files lie.

    Of the JSON text of each row: [task_id, [[role, [[type, text], ...]], ...], metadata, [[name, version], ...]].
    """
    digest = hashlib.sha256()
    for table in read_tables(rows, ["task_id", "conversations", "metadata", "images"]):
        conversations, images = read_column(table, "conversations"), read_column(table, "images")
        turns = conversations.flatten()
        contents = pc.struct_field(turns, "content")
        items = contents.flatten()
        said = list_texts(contents, join_texts(*(to_json(pc.struct_field(items, name)) for name in ("type", "text"))))
        spoken = list_texts(conversations, join_texts(to_json(pc.struct_field(turns, "role")), said))
        seen = list_texts(images, _describe_scans(images.flatten()))
        plain = (to_json(read_column(table, name)) for name in ("task_id", "metadata"))
        digest.update("".join(join_texts(next(plain), spoken, next(plain), seen).to_pylist()).encode())
    return digest.hexdigest()


def _describe_scans(scans: pa.Array) -> pa.Array:
    """The JSON texts of [name, version], one a scan."""
    if not len(scans):
        return pa.array([], pa.large_string())
    paths = pc.struct_field(scans, "path").to_pylist()
    lengths = pc.binary_length(read_field(scans, "bytes")).to_pylist()
    names = pa.array([Path(path).name if path.endswith(UNUSUAL_ENDS) else path.rpartition("/")[2] for path in paths])
    packed = find_packed_sizes(paths)
    versions = [
        json.dumps(length or size or _find_version(path))
        for path, length, size in zip(paths, lengths, packed, strict=True)
    ]
    return join_texts(to_json(names), pa.array(versions, pa.large_string()))


def _find_version(path: str) -> int | str | None:
    """In bytes, of an object in a store with its tag; None for a scan that is not there: of splits that are not used,
    none is looked for."""
    try:
        return find_version(path) if is_remote(path) else os.stat(path).st_size
    except RemoteError as error:
        if error.kind != "forbidden":
            raise
    except (OSError, ValueError):
        pass
    return None
