"""Do the labels of a data set and its answers agree? By the rules by which the evaluation reads answers."""

from collections.abc import Iterable

from umbrella.answers.label_parsing import count_labels
from umbrella.answers.labelled_answer import AnswerError, LabelledAnswer, split_kinds
from umbrella.answers.own_answers import (
    OwnAnswers,
    check_labels_apart,
    compare_own_answers,
    find_wording,
    show,
)
from umbrella.answers.reading import LabelReading, find_reading
from umbrella.answers.text_folding import fold
from umbrella.rows.cohort_labels import compare_words
from umbrella_dataset import Problem

FEWEST_TO_TELL = 2  # rows of which it is worth a word that all have one label


class LabelCheck:
    """Gathers labelled answers; afterwards `told` holds how they are read, `warnings` what is odd.

    As in the evaluation and in training, each split is read for itself; in one that states targets of both kinds, each
    kind.
    """

    def __init__(self) -> None:
        self.told: list[str] = []
        self.warnings: list[str] = []
        self._rows: dict[str | None, list[LabelledAnswer]] = {}

    def add(self, record: dict, source: str, split: str | None) -> None:
        """A valid record; one without a subject_label says nothing here."""
        metadata = record.get("metadata") or {}
        if metadata.get("subject_label") is not None:
            row = LabelledAnswer.of_metadata(source, _last_answer(record), metadata)
            self._rows.setdefault(split, []).append(row)

    def find_problems(self) -> list[tuple[str, Problem]]:
        """(source, problem) of labels that cannot be scored or told apart, and of answers that state another label
        than their row's."""
        groups = [(split, group) for split, rows in self._rows.items() for group in split_kinds(rows)]
        return [problem for split, group in groups for problem in self._check(split, group)]

    def _check(self, split: str | None, rows: list[LabelledAnswer]) -> list[tuple[str, Problem]]:
        try:
            reading, told = find_reading(rows)
            if isinstance(reading, LabelReading):
                check_labels_apart(reading, find_wording(reading, rows), rows)
        except AnswerError as error:
            return [(error.source, Problem("labels", error.field, error.expected, error.found))]
        heading = "" if split is None else f"{split}: "
        self.told += [f"{heading}{sentence}" for sentence in told]
        own = compare_own_answers(reading, rows)
        if isinstance(reading, LabelReading):
            wide = LabelReading((*reading.labels, *self._find_other_labels(reading, rows)), reading.forms)
            wrong = [(row, read or wide.read(row.answer)) for row, read in own.others]
        else:  # reports hold numbers of all kinds
            wrong = own.others if own.do_most_state else []
        wrong = [(row, read) for row, read in wrong if read is not None]
        self._warn(heading, rows, own, len(wrong))
        return [(row.source, _contradiction(row, read)) for row, read in wrong]

    def _find_other_labels(self, reading: LabelReading, rows: list[LabelledAnswer]) -> list[str]:
        """Labels that references or other splits alone have: to state one of them is a wrong answer too."""
        kinds = {row.kind for row in rows}
        alike = [row for of_split in self._rows.values() for row in of_split if row.kind in kinds]
        labels = {row.label for row in alike} | {row.reference for row in alike if row.reference}
        return [label for label in sorted(labels) if fold(label) and reading.read_truth(label) is None]

    def _warn(self, heading: str, rows: list[LabelledAnswer], own: OwnAnswers, n_problems: int) -> None:
        if len(own.others) > n_problems:
            self.warnings.append(
                f"{heading}{own.count_and_show()}. Answers like these count as wrong in an evaluation: write "
                "subject_label as the answers do. Are they free text? Then evaluate with eval.py --task text"
            )
        labels = count_labels(row.label for row in rows)
        if len(labels) == 1 and labels.total() >= FEWEST_TO_TELL:
            self.warnings.append(
                f"{heading or 'the files: '}all {labels.total()} conversations have the subject_label "
                f"{next(iter(labels))!r}: there is nothing to tell apart"
            )


def compare_folders(records: Iterable[tuple[dict, str]]) -> list[str]:
    """What training says of the labels of several cohorts, of valid records and the name of each one's folder."""
    words: dict[str, dict[str, set[str]]] = {}
    for record, folder in records:
        label = (record.get("metadata") or {}).get("subject_label")
        found = words.setdefault(record["task_type"], {}).setdefault(folder, set())
        found |= set() if label is None else {str(label)}
    return compare_words(words)


def _contradiction(row: LabelledAnswer, read: str | float) -> Problem:
    found = f'"{read if isinstance(read, str) else show(read)}" and no other label'
    return Problem("wrong answer", "conversations[-1]", f'the subject_label "{row.label}"', found)


def _last_answer(record: dict) -> str:
    content = record["conversations"][-1]["content"]
    return content if isinstance(content, str) else "\n".join(item["text"] for item in content)
