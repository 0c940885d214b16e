"""The data folder of a fold: conversations alone; scans stay where they are, named by absolute paths."""

import json
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from datasets import Dataset, concatenate_datasets

from umbrella.evaluation.folds.division import Fold
from umbrella.files.contained_files import is_remote
from umbrella.files.data_format import IMAGE_TOKEN
from umbrella.files.written_files import write_whole
from umbrella.options.arguments import DataArguments
from umbrella.rows.loading import load_splits
from umbrella_dataset import METADATA_FIELDS, UNKNOWN_FIELDS_KEY


def pool_splits(data: DataArguments, names: Sequence[str]) -> tuple[Dataset, str]:
    """The rows of these splits of the data as one table, and what they are. A task_id that two splits have gets its
    split's name in front, and so do all others."""
    splits = load_splits(data)
    there = [name for name in names if name in splits]
    if not there:
        raise ValueError(f"--splits {' '.join(names)}: expected splits of the data, found only {', '.join(splits)}")
    ids = Counter(task_id for name in there for task_id in splits[name]["task_id"])
    rows = concatenate_datasets([splits[name].with_format(None) for name in there])
    if ids.most_common(1)[0][1] > 1:
        named = [f"{name}/{task_id}" for name in there for task_id in splits[name]["task_id"]]
        rows = rows.remove_columns("task_id").add_column("task_id", named)
    said = ", ".join(f"{name} ({len(splits[name])} rows)" for name in there)
    kept_out = [name for name in splits if name not in there]
    return rows, f"pooled: {said}" + (f"; kept out: {', '.join(kept_out)}" if kept_out else "")


def write_data(folder: Path, rows: Dataset, fold: Fold) -> None:
    """Write train.jsonl and its like, each in the folder of its split, whole or not at all."""
    for split, some in (("train", fold.train), ("validation", fold.validation), ("test", fold.test)):
        if some:
            lines = (json.dumps(to_record(row), ensure_ascii=False) for row in rows.select(some))
            write_whole(folder / split / f"{split}.jsonl", "".join(f"{line}\n" for line in lines))


def to_record(row: dict) -> dict:
    """A row as the conversation's JSON that it was made of, paths of scans absolute."""
    extra = json.loads(row["metadata"]["extra"] or "{}")
    unknown = extra.pop(UNKNOWN_FIELDS_KEY, {})
    named = {name: row["metadata"][name] for name in METADATA_FIELDS if row["metadata"][name] is not None}
    images = [
        {"path": _to_absolute(scan["path"]), "token": IMAGE_TOKEN, "modality": scan["modality"]}
        for scan in row["images"]
    ]
    turns = [
        {"role": turn["role"], "content": [_to_item(item) for item in turn["content"]]}
        for turn in row["conversations"]
    ]
    return {
        **unknown,
        **{name: row[name] for name in ("task_id", "task_type", "subject_ids", "modalities")},
        "images": images,
        "conversations": turns,
        "metadata": {**extra, **named},
    }


def _to_item(item: dict) -> dict:
    if item["type"] == "text":
        return {"type": "text", "text": item["text"]}
    return {"type": "image", "modality": item["modality"], "image_path": _to_absolute(item["image_path"])}


def _to_absolute(path: str) -> str:
    return path if is_remote(path) else os.path.abspath(path)
