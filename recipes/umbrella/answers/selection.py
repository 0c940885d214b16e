"""Which rows are evaluated, and what the task asks of them."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace

from datasets import Dataset

from umbrella.answers.labelled_answer import LabelledAnswer
from umbrella.answers.reading import Asked, LabelReading, Reading, find_reading
from umbrella.answers.scoring import last_text
from umbrella.answers.text_folding import fold
from umbrella.options.arguments import DataArguments, EvalArguments
from umbrella.rows.loading import load_splits, pick_split

# Flags that say how answers are read → the task of which they say it.
READ_BY = dict.fromkeys(("labels", "answer_template"), "classification")
READ_BY |= dict.fromkeys(("unit", "decimal_sign"), "regression")


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
        everything = replace(data, task_types=None, modalities=None)
        found = len(pick_split(load_splits(everything), evaluation.split))
        excluded["another task type or modality than asked for"] = found - len(rows)
    if evaluation.task != "text":
        task = "classification" if evaluation.task == "auto" and evaluation.labels is not None else evaluation.task
        rows, without = keep_answerable(rows, task)
        excluded |= without
        if not len(rows):
            raise ValueError(
                f"--split {evaluation.split}: metadata.subject_label: expected the true label in each row, found none "
                "in the whole split. Add it, or compare free text with --task text"
            )
    excluded = {reason: n for reason, n in excluded.items() if n}
    for reason, n in excluded.items():
        print(f"left out: {n} of {found} rows: {reason}")
    return rows, Selection(found, len(rows), excluded)


def keep_answerable(rows: Dataset, task: str) -> tuple[Dataset, dict[str, int]]:
    """The rows whose answers to the task can be judged, and how many were left out by each reason."""
    labelled = [i for i, entry in enumerate(rows["metadata"]) if entry["subject_label"] is not None]
    with_label = rows.select(labelled)
    kept = keep_task(with_label, task)
    return kept, {
        "no metadata.subject_label": len(rows) - len(labelled),
        f"another metadata.target_type than that of {task}": len(labelled) - len(kept),
    }


def keep_task(rows: Dataset, task: str) -> Dataset:
    """Of rows that state both kinds of target those that do not state another one than the task's; else all."""
    kinds = [_read_answer(row).kind for row in _plain(rows)]
    if len(set(kinds) - {None}) < 2 or task not in kinds:
        return rows
    return rows.select([i for i, kind in enumerate(kinds) if kind in (task, None)])


def read_labelled(rows: Dataset) -> list[LabelledAnswer]:
    """The rows that have a label, with their own answers."""
    return [_read_answer(row) for row in _plain(rows) if row["metadata"]["subject_label"] is not None]


def _plain(rows: Dataset) -> Dataset:
    return rows.with_format(None).select_columns(["metadata", "conversations", "source"])


def _read_answer(row: dict) -> LabelledAnswer:
    metadata = {**json.loads(row["metadata"]["extra"] or "{}"), **row["metadata"]}
    return LabelledAnswer.of_metadata(row["source"], last_text(row), metadata)


def check_flags(evaluation: EvalArguments, task: str) -> None:
    """Raises ValueError for a flag that the task does not read."""
    for name, reader in READ_BY.items():
        if getattr(evaluation, name) is not None and task != reader:
            raise ValueError(
                f"--{name}: expected a task that reads it, {reader}, found {task}. "
                f"Leave it out, or choose --task {reader}"
            )


def choose_reading(rows: Sequence[LabelledAnswer], evaluation: EvalArguments) -> tuple[Reading, list[str]]:
    """How answers are read, by the flags and the rows, and what it was told from: see `find_reading`.

    Raises ValueError when a row has a label that was not asked for, or when there is only one label to choose from.
    """
    labels = None if evaluation.labels is None else tuple(evaluation.labels)
    if labels is not None and not all((labels, *map(fold, labels))):
        raise ValueError(f"--labels: expected labels with commas between them, found {', '.join(labels) or 'none'}")
    asked = Asked(evaluation.task, labels, evaluation.unit, evaluation.decimal_sign)
    reading, evidence = find_reading(rows, asked)
    check_flags(evaluation, reading.task)
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
