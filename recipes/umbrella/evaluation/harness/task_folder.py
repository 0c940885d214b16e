"""Rows → the folder of a task: pictures, conversations, true answers, functions."""

import json
import re
import shutil
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import xxhash
from datasets import Dataset
from PIL import Image

from umbrella.answers.metrics import fill_unread
from umbrella.answers.scoring import last_text
from umbrella.conversations.turns import repeat_image_items, to_messages
from umbrella.evaluation.harness import task_functions
from umbrella.evaluation.harness.pictures import UNIT, Scale
from umbrella.evaluation.harness.reading_copy import copy_rules, describe_reading
from umbrella.evaluation.questions import FreeText, Question, Regression
from umbrella.evaluation.results import subjects_of_rows
from umbrella.evaluation.statistics.intervals import number_subjects
from umbrella.files.json_files import write_json
from umbrella.options.arguments import DataArguments
from umbrella.rows.transform import ConversationTransform

METRICS = {"classification": "accuracy", "regression": "mae", "text": "exact_match"}


def name_task(data_args: DataArguments, split: str) -> str:
    """The data's name and the split, in letters, digits and _."""
    return re.sub(r"\W+", "_", f"{data_args.data_name}_{split}", flags=re.ASCII)


def find_scale(rows: Dataset, transform: ConversationTransform) -> Scale:
    """What the pictures' levels stand for: [0, 1] of views that were scaled to it, else the least and the largest
    intensity of all views."""
    if not transform.settings.standardize:
        return UNIT
    ends = [(float(images.min()), float(images.max())) for _, images in load_views(rows, transform)]
    if not ends:  # rows without scans
        return UNIT
    lows, highs = zip(*ends, strict=True)
    return Scale(min(lows), max(highs))


def load_views(rows: Dataset, transform: ConversationTransform) -> Iterator[tuple[dict, np.ndarray]]:
    """(row, views of one of its scans (n, 3, H, W)) of all rows in their order."""
    for row in rows.with_format(None):
        for number in range(len(row["images"])):
            yield row, transform.load_images(row, number)


def write_task(
    folder: Path, rows: Dataset, transform: ConversationTransform, question: Question, scale: Scale
) -> list[dict]:
    """Write all but the task's YAML and README; returns the lines of test.jsonl."""
    (folder / "images").mkdir()
    targets = _find_targets(rows, question)
    subjects = number_subjects(subjects_of_rows(rows))
    docs = []
    for row, subject, target in zip(rows.with_format(None), subjects, targets, strict=True):
        messages = _make_messages(row, transform, folder, scale)
        docs.append({"task_id": row["task_id"], "subject": f"s{subject}", "messages": messages, **target})
    text = "".join(json.dumps(doc, ensure_ascii=False) + "\n" for doc in docs)
    (folder / "test.jsonl").write_text(text, encoding="utf-8")
    shutil.copy(str(task_functions.__file__), folder / "utils.py")
    copy_rules(folder / "reading")
    write_json(folder / "reading.json", describe_reading(question), indent=2)
    return docs


def _make_messages(row: dict, transform: ConversationTransform, folder: Path, scale: Scale) -> list[dict]:
    views = [transform.load_images(row, number) for number in range(len(row["images"]))]
    names = iter([_save(image, folder, scale) for view in views for image in view])
    turns = repeat_image_items(row["conversations"][:-1], transform.n_images)
    return [
        {"role": message["role"], "content": [_make_item(item, names) for item in message["content"]]}
        for message in to_messages(turns)
    ]


def _make_item(item: dict, names: Iterator[str]) -> dict:
    is_image = item["type"] == "image"
    return {
        "type": item["type"],
        "text": None if is_image else item["text"],
        "image": next(names) if is_image else None,
    }


def _save(image: np.ndarray, folder: Path, scale: Scale) -> str:
    """A picture's name; the same picture is there once."""
    levels = scale.to_levels(image)
    name = f"images/{xxhash.xxh3_64_hexdigest(levels.tobytes())}.png"
    if not (folder / name).exists():
        Image.fromarray(levels).save(folder / name)
    return name


def _find_targets(rows: Dataset, question: Question) -> list[dict]:
    plain = rows.with_format(None)
    if isinstance(question, FreeText):
        return [{"target": last_text(row)} for row in plain]
    truths = [question.read_truth(entry["subject_label"]) for entry in plain["metadata"]]
    if not isinstance(question, Regression):
        return [{"target": truth} for truth in truths]
    expected = np.array(truths, float)
    errors = np.abs(fill_unread([None] * len(expected), expected, among=expected) - expected)
    return [{"target": truth, "error_if_unread": error} for truth, error in zip(truths, errors.tolist(), strict=True)]


def write_description(folder: Path, name: str, question: Question, facts: dict[str, Any]) -> None:
    """Write the task's YAML, by which lmms-eval finds it, and README.md.

    facts  what the templates name besides
    """
    metric = METRICS[question.to_dict()["task"]]
    room = files(__package__) / "task_files"
    for template, file in (("task.yaml.j2", f"{name}.yaml"), ("README.md.j2", "README.md")):
        text = (room / template).read_text(encoding="utf-8")
        made = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True).from_string(text)
        (folder / file).write_text(made.render(name=name, metric=metric, **facts), encoding="utf-8")
