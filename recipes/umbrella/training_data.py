"""training_data.json: what a checkpoint was trained on, so that evaluation can refuse to test it on the same subjects.

Subjects are stored as salted hashes, never by their ids. The salt stands in the same file (evaluation needs it), so a
hash keeps an id from being read, not from being tried: who can guess an id can check it.
"""

import hashlib
import json
import secrets
from pathlib import Path

from datasets import Dataset

FILE_NAME = "training_data.json"


def subjects_of(rows: Dataset) -> set[str]:
    """All subjects of the rows, references included."""
    plain = rows.with_format(None)
    named = {subject for ids in plain["subject_ids"] for subject in ids}
    for entry in plain["metadata"]:
        named |= {entry["subject_id"], entry["reference_id"]}
    return named - {None}


def write_training_data(output_dir: str | Path, rows: Dataset) -> None:
    """Record the subjects and the modalities of the training rows in `output_dir`."""
    salt = secrets.token_hex(16)
    modalities = {modality for of_row in rows.with_format(None)["modalities"] for modality in of_row}
    record = {
        "rows": len(rows),
        "modalities": sorted(modalities),
        "salt": salt,
        "subject_sha256": sorted(_hash(salt, subject) for subject in subjects_of(rows)),
    }
    (Path(output_dir) / FILE_NAME).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def read_training_data(model_name_or_path: str) -> dict | None:
    """The record of a model's folder, or of the run that a checkpoint-N folder lies in; None where there is none."""
    folder = Path(model_name_or_path)
    path = next((p / FILE_NAME for p in (folder, folder.absolute().parent) if (p / FILE_NAME).is_file()), None)
    return json.loads(path.read_text(encoding="utf-8")) if path else None


def find_overlap(record: dict, rows: Dataset) -> list[str]:
    """The subjects of the rows, references included, that are in the training data."""
    trained = set(record["subject_sha256"])
    return sorted(subject for subject in subjects_of(rows) if _hash(record["salt"], subject) in trained)


def guard_against_leakage(model_name_or_path: str, rows: Dataset, split: str, allow_overlap: bool) -> str:
    """A sentence for the report on what is known of the overlap with the training data.

    Raises ValueError where a subject of the rows is in the training data (unless `allow_overlap`), or where the rows
    have a modality that training did not.
    """
    record = read_training_data(model_name_or_path)
    if record is None:
        return "Not known: the model records no training subjects, so an overlap cannot be excluded."
    modalities = {modality for of_row in rows.with_format(None)["modalities"] for modality in of_row}
    foreign = sorted(modalities - set(record["modalities"]))
    if foreign:
        raise ValueError(
            f"--split {split}: expected scans of {', '.join(record['modalities'])}, which {model_name_or_path} was "
            f"trained on; found {', '.join(foreign)}. Keep the rows that fit: "
            f"--modalities {' '.join(record['modalities'])}"
        )
    overlap = find_overlap(record, rows)
    if not overlap:
        return "No subject of the evaluated rows, references included, is in the training data."
    n = len(subjects_of(rows))
    if not allow_overlap:
        raise ValueError(
            f"--split {split}: expected subjects that {model_name_or_path} was not trained on, references included; "
            f"found {len(overlap)} of {n} in its training data, the first {overlap[0]!r}. Evaluate another split, or "
            "state the overlap in the report with --allow_subject_overlap"
        )
    return (
        f"WARNING: {len(overlap)} of {n} subjects of the evaluated rows are in the training data "
        "(--allow_subject_overlap): these numbers do not tell how the model does on new subjects."
    )


def _hash(salt: str, subject: str) -> str:
    return hashlib.sha256(f"{salt}{subject}".encode()).hexdigest()
