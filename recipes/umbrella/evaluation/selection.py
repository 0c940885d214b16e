"""Which rows are evaluated, and what the task asks of them."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from datasets import Dataset

from umbrella.arguments import DataArguments, EvalArguments
from umbrella.evaluation.reading import Asked, LabelledAnswer, LabelReading, Reading, find_reading
from umbrella.evaluation.scoring import last_text
from umbrella.evaluation.text_folding import fold
from umbrella.splits import load_splits, pick_split


@dataclass(frozen=True)
class Selection:
    """found → excluded (reason → rows) → used."""

    found: int
    used: int
    excluded: dict[str, int] = field(default_factory=dict)

    def to_dict(self) -> dict:
        return asdict(self)


def select_rows(data: DataArguments, evaluation: EvalArguments) -> tuple[Dataset, Selection]:
    """The rows of the split to evaluate, and which were left out and why.

    Raises ValueError when the split does not exist, when no row is left, or when no row has a true label.
    """
    rows = pick_split(load_splits(data), evaluation.split)
    found, excluded = len(rows), {}
    if data.task_types or data.modalities:
        everything = DataArguments(json_dir=data.json_dir, dataset_name=data.dataset_name, image_root=data.image_root)
        found = len(pick_split(load_splits(everything), evaluation.split))
        excluded["another task type or modality than asked for"] = found - len(rows)
    if evaluation.task != "text":
        labelled = [i for i, entry in enumerate(rows["metadata"]) if entry["subject_label"] is not None]
        if not labelled:
            raise ValueError(
                f"--split {evaluation.split}: metadata.subject_label: expected the true label in each row, found none "
                "in the whole split. Add it, or compare free text with --task text"
            )
        if len(labelled) < len(rows):
            excluded["no metadata.subject_label"] = len(rows) - len(labelled)
            rows = rows.select(labelled)
    excluded = {reason: n for reason, n in excluded.items() if n}
    for reason, n in excluded.items():
        print(f"left out: {n} of {found} rows: {reason}")
    return rows, Selection(found, len(rows), excluded)


def read_labelled(rows: Dataset) -> list[LabelledAnswer]:
    """The rows that have a label, with their own answers."""
    plain = rows.with_format(None).select_columns(["metadata", "conversations", "source"])
    return [to_labelled(row) for row in plain if row["metadata"]["subject_label"] is not None]


def to_labelled(row: dict) -> LabelledAnswer:
    extra = json.loads(row["metadata"]["extra"] or "{}")
    stored = {name: value for name in ("target_type", "unit") if isinstance(value := extra.get(name), str) and value}
    return LabelledAnswer(row["source"], row["metadata"]["subject_label"], last_text(row), **stored)


def choose_reading(rows: Sequence[LabelledAnswer], evaluation: EvalArguments) -> tuple[Reading, list[str]]:
    """How answers are read, by the flags and the rows, and what it was told from: see `find_reading`.

    Raises ValueError when a row has a label that was not asked for, or when there is only one label to choose from.
    """
    labels = None if evaluation.labels is None else tuple(evaluation.labels)
    if labels is not None and not all((labels, *map(fold, labels))):
        raise ValueError(f"--labels: expected labels with commas between them, found {', '.join(labels) or 'none'}")
    asked = Asked(evaluation.task, labels, evaluation.unit, evaluation.decimal_sign)
    reading, evidence = find_reading(rows, asked)
    if not isinstance(reading, LabelReading):
        return reading, evidence
    unknown = Counter(row.label for row in rows if reading.read_truth(row.label) is None)
    if unknown:
        label, n = unknown.most_common(1)[0]
        raise ValueError(
            f"--labels {','.join(labels)}: expected every label of the split, but {label!r}, the label of {n} rows, "
            "is not among them"
        )
    if len(reading.labels) < 2:
        raise ValueError(
            f"metadata.subject_label: expected at least two labels, found only {reading.labels[0]!r} in the split "
            f"({len(rows)} rows). Name all that an answer may give: --labels {reading.labels[0]},OTHER"
        )
    return reading, evidence
