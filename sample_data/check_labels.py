"""Do the labels of a data set and its answers agree? By the rules by which the evaluation reads answers."""

from umbrella.evaluation.label_parsing import count_labels
from umbrella.evaluation.own_answers import OwnAnswers, check_labels_apart, compare_own_answers, find_wording
from umbrella.evaluation.reading import AnswerError, LabelledAnswer, LabelReading, Reading, find_reading
from umbrella.evaluation.text_folding import fold
from umbrella_dataset import Problem

FEWEST_TO_TELL = 2  # rows of which it is worth a word that all have one label


class LabelCheck:
    """Gathers labelled answers; afterwards `told` holds how they are read, `warnings` what is odd."""

    def __init__(self):
        self.told: list[str] = []
        self.warnings: list[str] = []
        self._rows: list[LabelledAnswer] = []
        self._splits: list[str | None] = []
        self._references: set[str] = set()

    def add(self, record: dict, source: str, split: str | None) -> None:
        """A valid record; one without a subject_label says nothing here."""
        metadata = record.get("metadata") or {}
        if fold(metadata.get("reference_label") or ""):
            self._references.add(metadata["reference_label"])
        if metadata.get("subject_label") is None:
            return
        stored = {name: metadata[name] for name in ("target_type", "unit") if isinstance(metadata.get(name), str)}
        self._rows.append(LabelledAnswer(source, metadata["subject_label"], _last_answer(record), **stored))
        self._splits.append(split)

    def find_problems(self) -> list[tuple[str, Problem]]:
        """(source, problem) of labels that cannot be scored or told apart, and of answers that state another label
        than their row's."""
        if not self._rows:
            return []
        try:
            reading, self.told = find_reading(self._rows)
            self._check_apart(reading)
        except AnswerError as error:
            return [(error.source, Problem("labels", error.field, error.expected, error.found))]
        own = compare_own_answers(reading, self._rows)
        if isinstance(reading, LabelReading):
            # A label that references alone have is a wrong answer too.
            unknown = [label for label in sorted(self._references) if reading.read_truth(label) is None]
            wide = LabelReading((*reading.labels, *unknown), reading.forms)
            wrong = [(row, read or wide.read(row.answer)) for row, read in own.others]
        else:  # reports hold numbers of all kinds
            wrong = own.others if own.do_most_state else []
        wrong = [(row, read) for row, read in wrong if read is not None]
        self._warn(own, len(wrong))
        return [
            (row.source, _contradiction(row, f"{read:g}" if isinstance(read, float) else read)) for row, read in wrong
        ]

    def _check_apart(self, reading: Reading) -> None:
        if isinstance(reading, LabelReading):
            check_labels_apart(reading, find_wording(reading, self._rows), self._rows)

    def _warn(self, own: OwnAnswers, n_problems: int) -> None:
        if len(own.others) > n_problems:
            self.warnings.append(
                f"{own.count_and_show()}. Answers like these count as wrong in an evaluation: write subject_label as "
                "the answers do. Are they free text? Then evaluate with --task text"
            )
        for split in dict.fromkeys(self._splits):
            labels = count_labels(row.label for row, of in zip(self._rows, self._splits, strict=True) if of == split)
            if len(labels) == 1 and labels.total() >= FEWEST_TO_TELL:
                where = split or "the files"
                self.warnings.append(
                    f"{where}: all {labels.total()} conversations have the subject_label {next(iter(labels))!r}: "
                    "there is nothing to tell apart"
                )


def _contradiction(row: LabelledAnswer, read: str) -> Problem:
    found = f'"{read}" and no other label'
    return Problem("wrong answer", "conversations[-1]", f'the subject_label "{row.label}"', found)


def _last_answer(record: dict) -> str:
    content = record["conversations"][-1]["content"]
    return content if isinstance(content, str) else "\n".join(item["text"] for item in content)
