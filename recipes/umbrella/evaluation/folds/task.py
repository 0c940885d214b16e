"""What the pooled rows ask for: each fold then reads and scores its answers alike, labels that it lacks included."""

from dataclasses import dataclass

from datasets import Dataset

from umbrella.answers.labelled_rows import read_labelled
from umbrella.answers.reading import LabelReading
from umbrella.answers.selection import choose_reading, keep_task
from umbrella.evaluation.folds.people import to_strata
from umbrella.options.arguments import EvalArguments


@dataclass(frozen=True)
class Task:
    """One task for all folds.

    strata  (rows,) the label, or the bin of the number, of each row; "" for one that is not tested
    flags   of eval.py that say the task, as far as they were not given
    told    what it was told from
    """

    strata: list[str]
    flags: tuple[str, ...]
    told: list[str]
    has_labels: bool = False


def find_task(rows: Dataset, evaluation: EvalArguments) -> Task:
    """The task of all rows, by the flags for eval.py and the rows' labels. Raises ValueError where no row has a label,
    or all have the same."""
    if evaluation.task == "text":
        return Task(["text"] * len(rows), (), ["--task text"])
    place_of = {source: place for place, source in enumerate(rows["source"])}
    labelled = [i for i, entry in enumerate(rows["metadata"]) if entry["subject_label"] is not None]
    if not labelled:
        raise ValueError(
            "metadata.subject_label: expected the true label in each row, found none. Add it, or compare free text "
            "with --eval_flags task=text"
        )
    task = "classification" if evaluation.task == "auto" and evaluation.labels is not None else evaluation.task
    kept = keep_task(rows.select(labelled), task)
    answers = read_labelled(kept)
    reading, told = choose_reading(answers, evaluation)
    truths: list[str | float | None] = [None] * len(rows)
    for source, answer in zip(kept["source"], answers, strict=True):
        truths[place_of[source]] = reading.read_truth(answer.label)
    flags = () if evaluation.task != "auto" else ("--task", reading.task)
    if isinstance(reading, LabelReading):
        if evaluation.labels is None and not any("," in label for label in reading.labels):  # commas part a list
            flags = (*flags, "--labels", *reading.labels)
    elif evaluation.unit is None and reading.unit:
        flags = (*flags, "--unit", reading.unit)
    return Task(to_strata(truths), flags, told, isinstance(reading, LabelReading))
