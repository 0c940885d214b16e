"""How the answers of a data set are read: the kind of task, its labels or the signs and unit of its numbers.

One rule for the evaluation, for the check while a model trains and for the validator. Knows no model, no `datasets`.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from umbrella.answers.answer_words import units_like
from umbrella.answers.label_parsing import find_forms, find_spelling, find_spellings, parse_label
from umbrella.answers.labelled_answer import AnswerError, LabelledAnswer
from umbrella.answers.number_parsing import find_numerals, list_numerals, parse_number, read_quantity
from umbrella.answers.numbers import (
    OF_DECIMAL,
    USUAL,
    NumberFormat,
    are_codes,
    find_number_format,
    find_own_format,
    to_ascii_digits,
)
from umbrella.answers.text_folding import fold

OTHER_TASK = {"classification": "regression for numbers", "regression": "classification for classes"}
MOST_COMPARED = 1000  # rows that tell the signs of the answers' numbers
MOST_SHOWN = 8
OTHER_SIGNS = [NumberFormat(*signs) for signs in (".,", ",.", (",", " "), (".", " "), (".", "'"))]


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
    empty = {label for label in {row.label for row in rows} if not fold(label)}
    for row in rows if empty else ():
        if row.label in empty:
            raise AnswerError(row.source, "metadata.subject_label", "a label", repr(row.label), "Write one, or null.")
    task, evidence = find_kind(rows, asked)
    if task == "regression":
        reading, told = _find_number_reading(rows, asked)
    else:
        reading, told = _find_label_reading(rows, asked)
    return reading, [evidence, *told]


def find_kind(rows: Sequence[LabelledAnswer], asked: Asked) -> tuple[str, str]:
    """("classification" or "regression", what it was told from): by --task or --labels, else by the stored
    metadata.target_type, else regression only where every subject_label is a number and nothing else but a unit, and
    they do not look like codes of classes (`are_codes`)."""
    if asked.task != "auto":
        return asked.task, f"--task {asked.task}"
    if asked.labels is not None:
        return "classification", "--labels: classification"
    stored = [row for row in rows if row.kind is not None]
    counts = Counter(row.kind for row in stored)
    if len(counts) > 1:
        first = {row.kind: row for row in reversed(stored)}
        one, other = first["classification"], first["regression"]
        raise AnswerError(
            other.source,
            "metadata.target_type",
            f"one kind of target in all rows, as categorical in {one.source}",
            f"numeric ({counts['regression']} rows, and {counts['classification']} categorical)",
            "Evaluate them apart: eval.py --task classification and eval.py --task regression keep the rows of one "
            "kind, --task_types those of one task_type",
        )
    if counts:
        (kind, n) = counts.popitem()
        return kind, f"metadata.target_type: {stored[0].target_type} in {n} of {len(rows)} rows → {kind}"
    return _tell_kind(rows, asked)


def _tell_kind(rows: Sequence[LabelledAnswer], asked: Asked) -> tuple[str, str]:
    labels = Counter(row.label for row in rows)
    signs, _ = find_number_format([numeral for label in labels for numeral in list_numerals(label)])
    unit = asked.unit or next((row.unit for row in rows if row.unit), None)
    read = {label: read_quantity(label, unit, signs) for label in labels}
    others = [label for label in labels if read[label] is None]
    found = f"{len(labels)} value{'s' if len(labels) > 1 else ''}, "
    if others:
        kind, found = "classification", f"{found}not all numbers ({others[0]!r}) → classification"
    elif unit is None and _are_bare_codes([read[row.label] for row in rows]):
        kind, found = "classification", f"{found}whole numbers that come again → codes of classes, classification"
    else:
        kind, found = "regression", f"{found}all numbers → regression"
    can_be_other = kind == "regression" or _are_readable_as_numbers(rows, asked)
    return kind, f"subject_label: {found}{f'; eval.py --task {OTHER_TASK[kind]}' if can_be_other else ''}"


def _are_bare_codes(quantities: Sequence[tuple[float, str | None]]) -> bool:
    return all(unit is None for _, unit in quantities) and are_codes([number for number, _ in quantities])


def _are_readable_as_numbers(rows: Sequence[LabelledAnswer], asked: Asked) -> bool:
    if not all(list_numerals(row.label) for row in rows):
        return False
    try:
        _find_number_reading(rows, asked)
    except AnswerError:
        return False
    return True


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
    meant = {label: of_label.get(fold(label)) for label in counts}
    known = [row for row in rows if meant[row.label] is not None]
    forms = find_forms([row.answer for row in known], [meant[row.label] for row in known], labels)
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
        sentences.append(f"unit: {unit}, by {origin}; eval.py --unit for another")
    reading = NumberReading(unit, answers, truths)
    for row in rows:
        if reading.read_truth(row.label) is None:
            remedy = "Correct it, or score labels as classes: eval.py --task classification"
            raise AnswerError(row.source, "metadata.subject_label", "one whole number", repr(row.label), remedy)
    return reading, sentences


def _find_stored_unit(rows: Sequence[LabelledAnswer]) -> str | None:
    first = next((row for row in rows if row.unit), None)
    for row in rows:
        if row.unit and not _are_one_unit(row.unit, first.unit):
            expected = f"one unit in all rows, as {first.unit!r} in {first.source}"
            remedy = "Evaluate them apart, or state the labels' unit with eval.py --unit"
            raise AnswerError(row.source, "metadata.unit", expected, row.unit, remedy)
    return None if first is None else first.unit


def _are_one_unit(unit: str, other: str) -> bool:
    """Whether two names are of one unit: "years", "Year"."""
    return units_like(unit).get(other.casefold()) == 1.0


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
        return answers, answers, [f"numbers: {sentence}; eval.py --decimal_sign for another"]
    truths, of_truths = find_number_format(of_labels)
    if decimal_sign is None:
        answers, sentence = _fit_to_truths(rows[:MOST_COMPARED], unit, answers, truths, sentence)
    if answers == truths:
        return answers, truths, [f"numbers: {of_truths}; eval.py --decimal_sign for another in answers"]
    of_answers = f"numbers in answers: {sentence}; eval.py --decimal_sign for another"
    return answers, truths, [of_answers, f"in labels: {of_truths}"]


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
