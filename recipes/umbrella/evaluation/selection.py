"""Which rows are evaluated, and what the task asks of them."""

import json
from collections import Counter
from dataclasses import asdict, dataclass, field

from datasets import Dataset

from umbrella.arguments import DataArguments, EvalArguments
from umbrella.evaluation.parsing import parse_number
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


def find_task(rows: Dataset, evaluation: EvalArguments) -> str:
    """What kind of answer the rows ask for: "regression" where every label is a number, "classification" or "text"."""
    if evaluation.task != "auto":
        return evaluation.task
    labels = [entry["subject_label"] for entry in rows["metadata"]]
    # Conversations about a cohort state it: the labels 0 and 1 of a diagnosis are names, not numbers.
    stated = {json.loads(entry["extra"] or "{}").get("target_type") for entry in rows["metadata"]}
    if stated == {"categorical"}:
        return "classification"
    numeric = all(parse_number(label, evaluation.unit) is not None for label in labels)
    return "regression" if numeric and evaluation.labels is None else "classification"


def choose_labels(rows: Dataset, asked: list[str] | None) -> list[str]:
    """`--labels male,female`, else the labels of the split, sorted.

    Raises ValueError when a row has a label that was not asked for, or when there is only one label to choose from.
    """
    found = Counter(entry["subject_label"] for entry in rows["metadata"])
    labels = asked or sorted(found)
    unknown = [label for label in found if label not in labels]
    if unknown:
        raise ValueError(
            f"--labels {','.join(asked)}: expected every label of the split, but {unknown[0]!r}, the label of "
            f"{found[unknown[0]]} rows, is not among them"
        )
    if len(labels) < 2:
        raise ValueError(
            f"metadata.subject_label: expected at least two labels, found only {labels[0]!r} in the split. Name all "
            f"that an answer may give: --labels {labels[0]},OTHER"
        )
    return labels
