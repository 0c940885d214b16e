"""How the answers of a data set are read: the kind of task, its labels or the signs and unit of its numbers.

One rule for the evaluation, for the check while a model trains and for the validator. Knows no model, no `datasets`.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from umbrella.evaluation.answer_words import units_like
from umbrella.evaluation.label_parsing import find_forms, find_spelling, find_spellings, parse_label
from umbrella.evaluation.number_parsing import find_numerals, list_numerals, parse_number, read_quantity
from umbrella.evaluation.numbers import (
    OF_DECIMAL,
    USUAL,
    NumberFormat,
    find_number_format,
    find_own_format,
    to_ascii_digits,
)
from umbrella.evaluation.text_folding import fold

STORED_KINDS = {"categorical": "classification", "numeric": "regression"}  # metadata.target_type → task
OTHER_TASK = {"classification": "regression for numbers", "regression": "classification for classes"}
MOST_COMPARED = 1000  # rows that tell the signs of the answers' numbers
MOST_SHOWN = 8
OTHER_SIGNS = [NumberFormat(*signs) for signs in (".,", ",.", (",", " "), (".", " "), (".", "'"))]


@dataclass(frozen=True)
class LabelledAnswer:
    """A row's true label, its own last answer, and what its metadata say of the target."""

    source: str
    label: str
    answer: str
    target_type: str | None = None
    unit: str | None = None


class AnswerError(ValueError):
    """Labels or answers that cannot be scored, with the row."""

    def __init__(self, source: str, field: str, expected: str, found: str, remedy: str):
        super().__init__(f"{source}: {field}: expected {expected}, found {found}. {remedy}")
        self.source, self.field, self.expected, self.found = source, field, expected, f"{found}. {remedy}"


@dataclass(frozen=True)
class LabelReading:
    """One of `labels`, also within the words that the data's own answers build of them (`forms`)."""

    labels: tuple[str, ...]
    forms: tuple[str, ...] = ()
    task = "classification"

    def read(self, text: str) -> str | None:
        return parse_label(text, self.labels, self.forms)

    def read_truth(self, label: str) -> str | None:
        """The label in the spelling that stands for it; None for another one."""
        return find_spelling(label, self.labels)

    def to_dict(self) -> dict:
        return {"task": self.task, "labels": list(self.labels), "forms": list(self.forms)}


@dataclass(frozen=True)
class NumberReading:
    """A number, in `unit` where the answers state one; the signs of the numbers in answers and in subject_label."""

    unit: str | None
    answers: NumberFormat = USUAL
    truths: NumberFormat = USUAL
    task = "regression"

    def read(self, text: str) -> float | None:
        return parse_number(text, self.unit, self.answers)

    def read_truth(self, label: str) -> float | None:
        return parse_number(label, self.unit, self.truths)

    def to_dict(self) -> dict:
        signs = {"signs_of_answers": str(self.answers), "signs_of_labels": str(self.truths)}
        return {"task": self.task, "unit": self.unit, **signs}


Reading = LabelReading | NumberReading


@dataclass(frozen=True)
class Asked:
    """What flags say of the task; None or "auto" where they say nothing."""

    task: str = "auto"
    labels: tuple[str, ...] | None = None
    unit: str | None = None
    decimal_sign: str | None = None


def find_reading(rows: Sequence[LabelledAnswer], asked: Asked = Asked()) -> tuple[Reading, list[str]]:
    """How the answers of labelled rows are read, and sentences that say what it was told from.

    Raises AnswerError for kinds that contradict one another, empty labels, a label that is no number.
    """
    for row in rows:
        if not fold(row.label):
            raise AnswerError(row.source, "metadata.subject_label", "a label", repr(row.label), "Write one, or null.")
    task, evidence = find_kind(rows, asked)
    if task == "regression":
        reading, told = _find_number_reading(rows, asked)
    else:
        reading, told = _find_label_reading(rows, asked)
    return reading, [evidence, *told]


def find_kind(rows: Sequence[LabelledAnswer], asked: Asked) -> tuple[str, str]:
    """("classification" or "regression", what it was told from): by --task or --labels, else by the stored
    metadata.target_type, else regression only where every subject_label is a number and nothing else but a unit."""
    stored = [(row, STORED_KINDS[row.target_type]) for row in rows if row.target_type in STORED_KINDS]
    counts = Counter(kind for _, kind in stored)
    if asked.task != "auto":
        return asked.task, f"--task {asked.task}"
    if asked.labels is not None:
        return "classification", "--labels: classification"
    if len(counts) > 1:
        first = {kind: row for row, kind in reversed(stored)}
        one, other = first["classification"], first["regression"]
        raise AnswerError(
            other.source,
            "metadata.target_type",
            f"one kind of target in all rows, as categorical in {one.source}",
            f"numeric ({counts['regression']} rows, and {counts['classification']} categorical)",
            "Evaluate them apart, or choose with eval.py --task classification or --task regression",
        )
    if counts:
        (kind, n) = counts.popitem()
        name = "metadata.target_type"
        return kind, f"{name}: {stored[0][0].target_type} in {n} of {len(rows)} rows → {kind}"
    labels = Counter(row.label for row in rows)
    signs, _ = find_number_format([numeral for label in labels for numeral in list_numerals(label)])
    unit = asked.unit or next((row.unit for row in rows if row.unit), None)
    others = [label for label in labels if read_quantity(label, unit, signs) is None]
    kind = "classification" if others else "regression"
    found = f"{len(labels)} value{'s' if len(labels) > 1 else ''}, " + (
        f"not all numbers ({others[0]!r})" if others else "all numbers"
    )
    overruled = f"; eval.py --task {OTHER_TASK[kind]}" if any(map(list_numerals, labels)) else ""
    return kind, f"subject_label: {found} → {kind}{overruled}"


def _find_label_reading(rows: Sequence[LabelledAnswer], asked: Asked) -> tuple[LabelReading, list[str]]:
    counts = Counter(row.label for row in rows)
    told = []
    if asked.labels is not None:
        labels = sorted({fold(label): label for label in reversed(asked.labels)}.values(), key=asked.labels.index)
    else:
        spellings = find_spellings(row.label for row in rows)
        labels = sorted(set(spellings.values()))
        for label in labels:
            written = [f"{raw!r} ({counts[raw]})" for raw in sorted(counts) if spellings[raw] == label]
            if len(written) > 1:
                told.append(f"subject_label: {', '.join(written)} are one label, {label!r}")
    of_label = {fold(label): label for label in labels}
    known = [row for row in rows if fold(row.label) in of_label]
    forms = find_forms([row.answer for row in known], [of_label[fold(row.label)] for row in known], labels)
    if forms:
        told.append(f"labels are also read in the words {', '.join(forms[:MOST_SHOWN])}, as the answers write them")
    return LabelReading(tuple(labels), tuple(forms)), told


def _find_number_reading(rows: Sequence[LabelledAnswer], asked: Asked) -> tuple[NumberReading, list[str]]:
    stored = _find_stored_unit(rows) if asked.unit is None else asked.unit
    answers, truths, sentences = _find_signs(rows, stored, asked.decimal_sign)
    unit, origin = stored, "metadata.unit"
    if unit is None:
        unit, origin = _find_written_unit(rows, answers, truths)
    if asked.unit is None and unit is not None:
        sentences.append(f"unit: {unit}, by {origin}; --unit for another")
    reading = NumberReading(unit, answers, truths)
    for row in rows:
        if reading.read_truth(row.label) is None:
            remedy = "Correct it, or score labels as classes: eval.py --task classification"
            raise AnswerError(row.source, "metadata.subject_label", "one whole number", repr(row.label), remedy)
    return reading, sentences


def _find_stored_unit(rows: Sequence[LabelledAnswer]) -> str | None:
    units = {row.unit: row.source for row in reversed(rows) if row.unit}
    if len(units) > 1:
        (one, source), (other, elsewhere), *_ = units.items()
        remedy = "Evaluate them apart, or state the labels' unit with eval.py --unit"
        raise AnswerError(source, "metadata.unit", f"one unit in all rows, as {other!r} in {elsewhere}", one, remedy)
    return next(iter(units), None)


def _find_written_unit(
    rows: Sequence[LabelledAnswer], answers: NumberFormat, truths: NumberFormat
) -> tuple[str | None, str]:
    """The unit that labels are written with, else the one by which the rows' own answers state them: "45" and "45
    years" mean that an answer in months is converted."""
    read = [(row, read_quantity(row.label, None, truths)) for row in rows]
    of_labels = Counter(quantity[1] for _, quantity in read if quantity and quantity[1])
    for row, quantity in read:
        if quantity and quantity[1] and quantity[1] not in units_like(of_labels.most_common(1)[0][0]):
            unit, n = of_labels.most_common(1)[0]
            remedy = "Write all in units of one kind"
            raise AnswerError(row.source, "metadata.subject_label", f"{unit}, as in {n} rows", repr(row.label), remedy)
    if of_labels:
        return of_labels.most_common(1)[0][0], "the labels"
    some = rows[:MOST_COMPARED]
    texts = [to_ascii_digits(row.answer).casefold() for row in some]
    of_answers = Counter(found.unit for text in texts for found in find_numerals(text, None, answers) if found.unit)

    def count(unit: str | None) -> int:
        return sum(parse_number(row.answer, unit, answers) == parse_number(row.label, unit, truths) for row in some)

    if not of_answers:
        return None, ""
    unit = of_answers.most_common(1)[0][0]
    return (unit, "the answers") if count(unit) >= max(1, count(None)) else (None, "")


def _find_signs(
    rows: Sequence[LabelledAnswer], unit: str | None, decimal_sign: str | None
) -> tuple[NumberFormat, NumberFormat, list[str]]:
    """The signs of the numbers in answers and in labels: a table's 45.5 may stand beside a German text's 45,5."""
    of_labels = [numeral for row in rows for numeral in list_numerals(row.label)]
    answers, sentence = find_number_format(numeral for row in rows for numeral in list_numerals(row.answer))
    if decimal_sign is not None:
        answers = _with_decimal(answers, decimal_sign)
        sentence = f"{answers}, by --decimal_sign"
    if not any(map(find_own_format, of_labels)):
        return answers, answers, [f"numbers: {sentence}; --decimal_sign for another"]
    truths, of_truths = find_number_format(of_labels)
    if decimal_sign is None:
        answers, sentence = _fit_to_truths(rows[:MOST_COMPARED], unit, answers, truths, sentence)
    if answers == truths:
        return answers, truths, [f"numbers: {of_truths}; --decimal_sign for another in answers"]
    return answers, truths, [f"numbers in answers: {sentence}; --decimal_sign for another", f"in labels: {of_truths}"]


def _with_decimal(found: NumberFormat, decimal: str) -> NumberFormat:
    if found.decimal == decimal or found.thousands in (" ", "'"):
        return NumberFormat(decimal, found.thousands)
    return OF_DECIMAL[decimal]


def _fit_to_truths(
    rows: Sequence[LabelledAnswer], unit: str | None, answers: NumberFormat, truths: NumberFormat, sentence: str
) -> tuple[NumberFormat, str]:
    """The signs by which most answers state their row's number: those found, unless others do better."""

    def count(signs: NumberFormat) -> int:
        return sum(parse_number(row.answer, unit, signs) == parse_number(row.label, unit, truths) for row in rows)

    n_found = count(answers)
    if n_found == len(rows):
        return answers, sentence
    best = max(OTHER_SIGNS, key=count)
    n_best = count(best)
    if n_best <= n_found:
        return answers, sentence
    return best, f"{best}: so read, {n_best} of {len(rows)} answers state their row's number ({n_found} by {answers})"
