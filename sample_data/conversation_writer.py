"""Writes conversations about scans as JSON files (JSON_FORMAT_SPECIFICATION.md). Knows nothing of how scans are made.

A comparison is four turns:

    user       text, then the reference scan
    assistant  acknowledgement
    user       the subject's scan, then the question
    assistant  answer
"""

import json
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

IMAGE_TOKEN = "<image>"


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

    def draw(self, rng: random.Random, **fields: str) -> tuple[str, str, str, str]:
        """One wording of each turn, each drawn on its own. A field that nobody gave is a KeyError."""
        turns = (self.introduction, self.acknowledgement, self.question, self.answer)
        return tuple(rng.choice(wordings).format(**fields) for wordings in turns)


def make_comparison(
    task_id: str,
    task_type: str,
    reference: Scan,
    subject: Scan,
    wording: tuple[str, str, str, str],
    metadata: dict,
) -> dict:
    """One conversation: the reference scan first, the subject's scan second.

    `metadata` takes any JSON value; `subject_id` and `reference_id` are added from the scans.
    """
    introduction, acknowledgement, question, answer = wording
    scans = (reference, subject)
    return {
        "task_id": task_id,
        "task_type": task_type,
        "subject_ids": [scan.subject_id for scan in scans],
        "modalities": [scan.modality for scan in scans],
        "images": [{"path": scan.path, "token": IMAGE_TOKEN, "modality": scan.modality} for scan in scans],
        "conversations": [
            {"role": "user", "content": [_text_item(introduction), _image_item(reference)]},
            {"role": "assistant", "content": [_text_item(acknowledgement)]},
            {"role": "user", "content": [_image_item(subject), _text_item(question)]},
            {"role": "assistant", "content": [_text_item(answer)]},
        ],
        "metadata": {"subject_id": subject.subject_id, "reference_id": reference.subject_id, **metadata},
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


def _text_item(text: str) -> dict:
    return {"type": "text", "text": text}


def _image_item(scan: Scan) -> dict:
    return {"type": "image", "modality": scan.modality, "image_path": scan.path}
