"""Writes conversations about scans as JSON files (JSON_FORMAT_SPECIFICATION.md). Knows nothing of how scans are made.

A comparison is four turns:

    user       text, then the reference scan
    assistant  acknowledgement
    user       the subject's scan, then the question
    assistant  answer
"""

import itertools
import json
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from umbrella.files.data_format import IMAGE_TOKEN


@dataclass(frozen=True)
class Scan:
    """A scan as a conversation names it. `path` is relative to the data folder, with forward slashes."""

    subject_id: str
    path: str
    modality: str = "sMRI"


@dataclass(frozen=True)
class Phrasings:
    """Several wordings of each of the four turns; `{fields}` are filled in by `draw`."""

    introduction: Sequence[str]
    acknowledgement: Sequence[str]
    question: Sequence[str]
    answer: Sequence[str]

    def draw(self, rng: random.Random, **fields: str) -> tuple[str, ...]:
        """One wording of each turn, each drawn on its own. A field that nobody gave is a KeyError."""
        turns = (self.introduction, self.acknowledgement, self.question, self.answer)
        return tuple(rng.choice(wordings).format(**fields) for wordings in turns)


def make_comparison(
    task_id: str,
    task_type: str,
    reference: Scan,
    subject: Scan,
    wording: tuple[str, ...],
    metadata: dict,
) -> dict:
    """One conversation: the reference scan first, the subject's scan second.

    `metadata` takes any JSON value; `subject_id` and `reference_id` are added from the scans.
    """
    introduction, acknowledgement, question, answer = wording
    turns: list[list[str | Scan]] = [[introduction, reference], [acknowledgement], [subject, question], [answer]]
    ids = {"subject_id": subject.subject_id, "reference_id": reference.subject_id}
    return make_conversation(task_id, task_type, turns, {**ids, **metadata})


def make_conversation(task_id: str, task_type: str, turns: Sequence[Sequence[str | Scan]], metadata: dict) -> dict:
    """One conversation of any number of turns, the user's first, then in alternation; a turn is texts and scans."""
    scans = [item for turn in turns for item in turn if isinstance(item, Scan)]
    return {
        "task_id": task_id,
        "task_type": task_type,
        "subject_ids": [scan.subject_id for scan in scans],
        "modalities": [scan.modality for scan in scans],
        "images": [{"path": scan.path, "token": IMAGE_TOKEN, "modality": scan.modality} for scan in scans],
        "conversations": [
            {"role": ("user", "assistant")[i % 2], "content": [_to_item(item) for item in turn]}
            for i, turn in enumerate(turns)
        ],
        "metadata": metadata,
    }


def write_conversations(records: Iterable[dict], folder: Path) -> int:
    """Write each record to `folder/<task_id>.json` (the folder is made) and return how many. A second one of the same
    task_id is a FileExistsError: it would replace the first in silence."""
    folder.mkdir(parents=True, exist_ok=True)
    n_written = 0
    for record in records:
        with open(folder / f"{record['task_id']}.json", "x", encoding="utf-8", newline="\n") as file:
            json.dump(record, file, indent=2, ensure_ascii=False)
            file.write("\n")
        n_written += 1
    return n_written


def write_shards(records: Iterable[dict], folder: Path, per_shard: int) -> int:  # type: ignore[return]  # the count has no end
    """Write the records to `folder/<folder's name>-00000.jsonl` and so on, one a line, and return how many.

    Records are taken one at a time. The folder is made; no record makes no file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    records, n_written = iter(records), 0
    for number in itertools.count():
        shard = itertools.islice(records, per_shard)
        first = next(shard, None)
        if first is None:
            return n_written
        with open(folder / f"{folder.name}-{number:05d}.jsonl", "x", encoding="utf-8", newline="\n") as file:
            for record in itertools.chain([first], shard):
                file.write(_LINE_ENCODER.encode(record) + "\n")
                n_written += 1


_LINE_ENCODER = json.JSONEncoder(ensure_ascii=False)


def _to_item(item: str | Scan) -> dict:
    if isinstance(item, str):
        return {"type": "text", "text": item}
    return {"type": "image", "modality": item.modality, "image_path": item.path}
