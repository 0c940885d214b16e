"""The column that is asked for, as it is understood: numbers or classes, their signs, labels, unit, what is missing.

What decides between numbers and classes, the first of these that applies:

1. --target_type; a question about change is about numbers
2. --labels: classes
3. --unit or --decimals: numbers
4. Levels of participants.json that name most of the values: classes
5. a template with labels (sex): classes; one of numbers (age), or Units of participants.json: numbers, where the
   values are numbers
6. the values themselves, by the rule of column_kind.py
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from umbrella.answers.numbers import (
    OF_DECIMAL,
    USUAL,
    NumberFormat,
    find_number_format,
    find_own_format,
    read_plain_number,
)
from umbrella.answers.text_folding import fold
from umbrella.cohort.questions.templates import Template
from umbrella.cohort.shared.findings import Finding, Remedies
from umbrella.cohort.shared.visits import CohortError, Visit, is_missing
from umbrella.cohort.tables.column_description import ColumnDescription
from umbrella.cohort.tables.column_kind import (
    Kind,
    are_mostly_numbers,
    find_missing_codes,
    format_number,
    infer_kind,
    read_numbers,
)
from umbrella.cohort.tables.column_labels import Codebook, describe_misfits, name_labels, to_value_key


@dataclass(frozen=True)
class TargetOptions:
    """What the user states about the target's column."""

    column: str
    kind: str | None = None  # "categorical", "numeric" or None: to be inferred
    labels: dict[str, str] = field(default_factory=dict)  # value → label; others are left out
    unit: str | None = None
    decimals: int | None = None
    missing: tuple[str, ...] | None = None  # further cells that mean "missing"; None: ask where there may be some
    is_change: bool = False
    needs: str | None = None  # the kind that other flags need, as --balance needs labels
    decimal_sign: str | None = None  # None: told from the column


@dataclass(frozen=True)
class Target:
    """A column and what each of its cells says.

    labels   cell → label, of a column of classes
    numbers  cell → number, of a column of numbers
    missing  cell → why it counts as missing
    """

    column: str
    kind: str  # "categorical" or "numeric"
    unit: str = ""
    decimals: int | None = None
    labels: dict[str, str] = field(default_factory=dict)
    numbers: dict[str, float] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    label_order: tuple[str, ...] = ()
    named: tuple[str, ...] = ()  # the values that labels are known for, where others are left out
    findings: tuple[Finding, ...] = ()
    needs: str | None = None  # the kind that other flags need: advice never names the other one

    def read(self, visit: Visit) -> tuple[str | None, str, str]:
        """(the answer, "", "") or (None, reason, detail)."""
        cell = visit.values.get(self.column)
        if cell is None or is_missing(cell):
            return None, "no label", f"{self.column} is {'not given' if cell is None else repr(cell)}"
        if cell in self.missing:
            return None, "no label", f"{self.column} is {cell!r}: {self.missing[cell]}"
        if self.kind == "numeric":
            number = self.numbers.get(cell)
            if number is None:
                return None, "not a number", f"{self.column} is {cell!r}"
            return format_number(number, self.decimals), "", ""
        label = self.labels.get(cell)
        if label is None:
            return None, "unknown label", f"{self.column} is {cell!r}, none of {', '.join(self.named)}"
        return label, "", ""

    def to_record(self) -> dict:
        """What splits.json keeps of it."""
        record: dict[str, Any] = {"column": self.column, "target_type": self.kind}
        if self.unit:
            record["unit"] = self.unit
        if self.labels:
            record["labels"] = dict(sorted(self.labels.items()))
        if self.missing:
            record["missing"] = sorted(self.missing)
        return record


def understand_target(
    visits: Sequence[Visit], options: TargetOptions, template: Template, description: ColumnDescription
) -> Target:
    """Raises CohortError where numbers may be codes for "missing" and nothing says whether they are."""
    column = options.column
    cells = [visit.values.get(column) for visit in visits]
    cells = [cell for cell in cells if not is_missing(cell)]
    number_format, told_from = find_number_format(cells)
    if options.decimal_sign is not None:
        number_format, told_from = OF_DECIMAL[options.decimal_sign], f'decimal sign "{options.decimal_sign}" as stated'
    numbers = read_numbers(cells, number_format)
    missing = _find_missing(cells, numbers, options, description)
    cells = [cell for cell in cells if cell not in missing]
    suspects = {} if options.missing is not None else find_missing_codes([numbers[c] for c in cells if c in numbers])
    plain = [cell for cell in cells if numbers.get(cell) not in suspects]
    codebook = Codebook(description.levels, description.source, template.labels)
    kind = _decide_kind(plain, numbers, options, template, description)
    findings = [Finding(column, text) for text in description.unused]
    findings.append(Finding(column, kind.evidence, _overrule_kind(kind.name, options, bool(numbers)), kind.is_stated))
    counts = Counter(cell for visit in visits if (cell := visit.values.get(column)) in missing)
    for is_stated in (True, False):
        some = {cell: n for cell, n in counts.items() if (missing[cell] == _BY_MISSING) == is_stated}
        if some:
            said = ", ".join(f"{cell} ({_count(n)}, {missing[cell]})" for cell, n in some.items())
            findings.append(Finding(column, f"missing: {said}", _SAY_MISSING, is_stated))
    if kind.name == "categorical":
        # A class that the sidecar names is one, whatever its code.
        suspects = {code: n for code, n in suspects.items() if format_number(code) not in description.levels}
    if kind.name == "numeric" or (all(cell in numbers for cell in plain) and not options.labels):
        _refuse_suspects(column, suspects, [numbers[cell] for cell in plain if cell in numbers], description)
    if kind.name == "numeric":
        unit, source = _choose_unit(options, template, description)
        if unit:
            otherwise = (("--unit", "--unit UNIT for another"),)
            findings.append(Finding(column, f"the unit is {unit}, {source}", otherwise, options.unit is not None))
        findings += _describe_numbers(column, cells, numbers, number_format, told_from, options)
        findings += _describe_misfits(column, cells, numbers, {}, options, codebook)
        return Target(
            column,
            "numeric",
            unit,
            options.decimals,
            numbers=numbers,
            missing=missing,
            findings=tuple(findings),
            needs=options.needs,
        )
    codes = numbers if all(cell in numbers for cell in cells) else {}
    labels, found = name_labels(column, cells, codes, options.labels, codebook)
    misfits = _describe_misfits(column, cells, codes, labels, options, codebook)
    if misfits and not labels:
        raise CohortError(f"--target {misfits[0].to_line(frozenset())}")
    named = options.labels or template.labels
    unit = options.unit if options.unit is not None else template.unit
    return Target(
        column,
        "categorical",
        unit,
        labels=labels,
        missing=missing,
        label_order=_order(set(labels.values()), options, description, template),
        named=tuple(dict.fromkeys([*named, *(() if options.labels else description.levels)])),
        findings=(*findings, *found, *misfits),
        needs=options.needs,
    )


def _describe_misfits(
    column: str,
    cells: Sequence[str],
    numbers: dict[str, float],
    labels: dict[str, str],
    options: TargetOptions,
    codebook: Codebook,
) -> list[Finding]:
    are_stated_numbers = options.kind == "numeric" or options.is_change or options.unit or options.decimals is not None
    if options.labels or are_stated_numbers:
        return []
    return describe_misfits(column, cells, numbers, labels, codebook)


def _describe_numbers(
    column: str,
    cells: Sequence[str],
    numbers: dict[str, float],
    number_format: NumberFormat,
    told_from: str,
    options: TargetOptions,
) -> list[Finding]:
    """How the numbers of a column were read, where that is not plain, and how many cells are none."""
    findings = []
    # Points alone need no word, unless all could be signs of thousands.
    signed = [cell for cell in numbers if "." in cell or "," in cell]
    if number_format != USUAL or (signed and not any(map(find_own_format, signed))):
        other = "." if number_format.decimal == "," else ","
        otherwise = (("--decimal_sign", f"--decimal_sign {other} reads them otherwise"),)
        findings.append(Finding(column, told_from, otherwise, options.decimal_sign is not None))
    left_out = [cell for cell in cells if cell not in numbers]
    if left_out:
        text = f"{len(left_out)} of {len(cells)} values are no numbers, as {left_out[0]!r}: left out"
        findings.append(Finding(column, text))
    return findings


_BY_MISSING = "by --missing"
_SAY_MISSING = (("--missing", "--missing none for values"),)


def _find_missing(
    cells: Sequence[str], numbers: dict[str, float], options: TargetOptions, description: ColumnDescription
) -> dict[str, str]:
    """Cell → why it counts as missing, beyond the words that always do."""
    stated = {fold(text) for text in options.missing or ()}
    stated_numbers = {read_plain_number(text) for text in options.missing or ()} - {None}
    missing = {}
    for cell in dict.fromkeys(cells):
        if fold(cell) in stated or numbers.get(cell, math.nan) in stated_numbers:
            missing[cell] = _BY_MISSING
        elif not options.labels:
            level = description.missing.get(to_value_key(cell, numbers), description.missing.get(fold(cell)))
            if level is not None:
                missing[cell] = f"{description.source}: {level}"
    return missing


def _decide_kind(
    cells: Sequence[str],
    numbers: dict[str, float],
    options: TargetOptions,
    template: Template,
    description: ColumnDescription,
) -> Kind:
    inferred = infer_kind(cells, numbers)
    n_numbers = sum(cell in numbers for cell in cells)
    count = f"{len(cells)} values, {'all' if n_numbers == len(cells) else n_numbers or 'no'} numbers"
    holds_numbers = are_mostly_numbers(cells, numbers)
    if options.is_change:
        return Kind("numeric", f"{count} → numbers, since a change is asked for", is_stated=True)
    if options.kind is not None:
        return Kind(options.kind, f"{count}, {options.kind} by --target_type", is_stated=True)
    if options.labels:
        return Kind("categorical", f"{count} → classes, by --labels", is_stated=True)
    if options.unit or options.decimals is not None:
        flag = "--unit" if options.unit else "--decimals"
        return Kind("numeric", f"{count} → regression, by {flag}", is_stated=True)
    different = {to_value_key(cell, numbers) for cell in set(cells)}
    n_named = len(different & description.levels.keys())
    if n_named and 2 * n_named >= len(different):
        return Kind(
            "categorical", f"{n_named} of {len(different)} values have Levels in {description.source} → classes"
        )
    if template.labels:
        return Kind("categorical", f"{count} → classes, by the labels of the template {template.name}")
    if template.target_type == "numeric" and holds_numbers:
        return Kind("numeric", f"{count} → regression, since the template {template.name} asks for numbers")
    if description.unit and holds_numbers:
        return Kind("numeric", f"{count}, Units {description.unit} in {description.source} → regression")
    if template.target_type == "categorical":
        return Kind("categorical", f"{count} → classes, since the template {template.name} asks for labels")
    return inferred


def _overrule_kind(kind: str, options: TargetOptions, has_numbers: bool) -> Remedies:
    """How to have the other kind, where that can be: text is no number, and other flags may need this kind."""
    if not has_numbers or options.needs == kind:
        return ()
    other = "--target_type categorical for classes" if kind == "numeric" else "--target_type numeric for regression"
    return (("--target_type", other),)


def _choose_unit(options: TargetOptions, template: Template, description: ColumnDescription) -> tuple[str, str]:
    if options.unit is not None:
        return options.unit, "by --unit"
    if description.unit:
        return description.unit, f"by {description.source}"
    return template.unit, f"as in the template {template.name}"


def _refuse_suspects(
    column: str, suspects: dict[float, int], others: Sequence[float], description: ColumnDescription
) -> None:
    if not suspects:
        return
    codes = [format_number(code) for code in suspects]
    levels = [
        f", {description.levels[code]!r} in {description.source}" for code in codes if code in description.levels
    ]
    found = " and ".join(f"{code} ({_count(n)})" for code, n in zip(codes, suspects.values(), strict=True))
    found += "".join(levels)
    raise CohortError(
        f"--target {column}: expected numbers that mean what they say, found {found} where the other {len(others)} "
        f'run from {format_number(min(others))} to {format_number(max(others))}. If that stands for "missing": '
        f"--missing={','.join(codes)}. If they are values: --missing none"
    )


def _count(n: int) -> str:
    return f"{n} row{'s' if n > 1 else ''}"


def _order(
    labels: set[str], options: TargetOptions, description: ColumnDescription, template: Template
) -> tuple[str, ...]:
    """The labels in the order of the options, the sidecar or the template, then sorted."""
    by_fold = {fold(label): label for label in labels}
    named = options.labels.values() or [*description.levels.values(), *template.labels.values()]
    first = [by_fold[fold(label)] for label in named if fold(label) in by_fold]
    return tuple(dict.fromkeys([*first, *sorted(labels)]))
