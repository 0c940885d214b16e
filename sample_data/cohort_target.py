"""What is asked about each visit: a label, a number, or what has changed since an earlier visit of the participant."""

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from cohort import CohortError, Exclusions, Visit, is_missing

# A column of numbers with more distinct values than this is a quantity, one with fewer may be a code of classes.
MOST_CODES = 10


@dataclass(frozen=True)
class Target:
    """A column and how it is read."""

    column: str
    kind: str  # "categorical" or "numeric"
    unit: str = ""
    labels: dict[str, str] = field(default_factory=dict)  # value in lower case → label; empty: values as they are
    decimals: int | None = None


@dataclass(slots=True)
class Case:
    """A visit with its true answer; `earlier` is the visit it is compared with where the question is about time."""

    visit: Visit
    label: str  # the answer's {value}; a number as text where the target is numeric
    earlier: Visit | None = None
    earlier_label: str = ""
    extra: dict[str, float] = field(default_factory=dict)  # further metadata


@dataclass(frozen=True)
class ChangeQuestion:
    """What is asked about two visits: the later one's own value, the difference of their numbers, or its sign."""

    as_change: bool
    directions: tuple[str, str] | None  # labels of the sign: decreased, increased
    needs_earlier_value: bool  # to tell the change, or because the wordings say it


def infer_kind(visits: Sequence[Visit], column: str) -> str:
    """ "numeric" for a column of numbers, most of whose values are numbers and more than 10 of them distinct."""
    values = {visit.values.get(column, "") for visit in visits}
    values = {value for value in values if not is_missing(value)}
    numbers = {value for value in values if to_number(value) is not None}
    return "numeric" if len(numbers) > MOST_CODES and len(numbers) * 2 > len(values) else "categorical"


def to_number(text: str) -> float | None:
    """The finite number that a cell holds, None for any other text."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def format_number(number: float, decimals: int | None) -> str:
    """34.0 → "34", 23.50 → "23.5"; never in exponents of ten."""
    text = f"{number:.{6 if decimals is None else decimals}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("", "-0") else text


def make_cases(visits: list[Visit], target: Target, exclusions: Exclusions) -> list[Case]:
    """A case for each visit with a value. Left out and counted: no value, text in a numeric target, a value that
    `labels` does not name. Raises CohortError where fewer than two labels or numbers are left."""
    cases = []
    for visit in visits:
        label, reason, detail = _read_value(visit, target)
        if label is None:
            exclusions.add_visit(visit, reason, detail)
        else:
            cases.append(Case(visit, label))
    _check_labels(cases, target, exclusions)
    return cases


def make_change_cases(
    visits: list[Visit],
    target: Target,
    question: ChangeQuestion,
    n_references: int,
    order: Callable[[list[Visit]], list[Visit]],
    exclusions: Exclusions,
) -> list[Case]:
    """A case for each later visit and each of the participant's first `n_references` earlier ones.

    Left out and counted besides the reasons of `make_cases`: participants with one visit, pairs without a change.
    """
    of_subject: dict[str, list[Visit]] = {}
    for visit in visits:
        of_subject.setdefault(visit.participant_id, []).append(visit)
    cases = []
    for visits_of_one in of_subject.values():
        if len(visits_of_one) == 1:
            exclusions.add_visit(visits_of_one[0], "one session", "a change needs an earlier one")
            continue
        ordered = order(visits_of_one)
        for i, visit in enumerate(ordered[1:], 1):
            for earlier in ordered[: min(i, n_references)]:
                case, reason, detail = _make_pair(visit, earlier, target, question)
                if case is None:
                    exclusions.add_visit(visit, reason, f"since session {earlier.session}: {detail}")
                else:
                    cases.append(case)
    _check_labels(cases, target, exclusions)
    return cases


def _make_pair(visit: Visit, earlier: Visit, target: Target, question: ChangeQuestion) -> tuple[Case | None, str, str]:
    label, reason, detail = _read_value(visit, target)
    if label is None:
        return None, reason, detail
    before, reason, detail = _read_value(earlier, target)
    if before is None and question.needs_earlier_value:
        return None, reason, detail
    if not question.as_change:
        return Case(visit, label, earlier, before or ""), "", ""
    numbers = {
        "reference": to_number(earlier.values[target.column]),
        "subject": to_number(visit.values[target.column]),
    }
    change = numbers["subject"] - numbers["reference"]
    if question.directions is None:
        extra = {f"{name}_value": number for name, number in numbers.items()}
        return Case(visit, format_number(change, target.decimals), earlier, before, extra), "", ""
    if change == 0:
        return None, "no change", f"{target.column} is {before} at both"
    # These names are what the evaluation's control needs to find a first scan that reverses the answer.
    extra = {f"{name}_size": number for name, number in numbers.items()}
    return Case(visit, question.directions[change > 0], earlier, before, extra), "", ""


def _read_value(visit: Visit, target: Target) -> tuple[str | None, str, str]:
    """(label, "", "") or (None, reason, detail)."""
    value = visit.values.get(target.column)
    if is_missing(value):
        return None, "no label", f"{target.column} is {'not given' if value is None else repr(value)}"
    if target.kind == "numeric":
        number = to_number(value)
        if number is None:
            return None, "not a number", f"{target.column} is {value!r}"
        return format_number(number, target.decimals), "", ""
    if not target.labels:
        return value, "", ""
    label = target.labels.get(value.lower())
    if label is None:
        return None, "unknown label", f"{target.column} is {value!r}, none of {', '.join(target.labels)}"
    return label, "", ""


def _check_labels(cases: list[Case], target: Target, exclusions: Exclusions) -> None:
    """Raises CohortError where fewer than two different answers are left."""
    counts = Counter(case.label for case in cases)
    if len(counts) >= 2:
        return
    found = "none" if not counts else f"only {next(iter(counts))!r} ({len(cases)} times)"
    remedy = f" The labels known are {', '.join(target.labels)}: give others with --labels." if target.labels else ""
    reasons = ", ".join(f"{n} {reason}" for reason, n in exclusions.count_reasons().most_common(4))
    raise CohortError(
        f"--target {target.column} ({target.kind}): expected at least two different answers, found {found}.{remedy} "
        f"Choose another column. Left out: {reasons or 'nothing'}"
    )


def make_session_order(visits: list[Visit], chosen: Sequence[str], column: str | None):
    """A function that puts a participant's visits in order of time.

    By the order of `chosen` sessions, else by a column of numbers or ISO dates, else by the number in labels that
    differ in nothing else (ses-1, ses-2, ses-10). Raises CohortError where none of them tells.
    """
    if chosen:
        return lambda some: sorted(some, key=lambda visit: chosen.index(visit.session))
    if column is not None:
        return lambda some: sorted(some, key=lambda visit: _to_time(visit, column))
    labels = sorted({visit.session for visit in visits})
    parts = {label: re.fullmatch(r"(\D*)(\d+)", label) for label in labels}
    if not all(parts.values()) or len({part[1] for part in parts.values()}) != 1:
        found = ", ".join(filter(None, labels[:8])) or "no sessions"
        raise CohortError(
            f"sessions: expected labels whose order in time can be told (1, 2, 10), found {found}. "
            "Give --sessions in their order, or --order_by COLUMN"
        )
    return lambda some: sorted(some, key=lambda visit: int(parts[visit.session][2]))


def _to_time(visit: Visit, column: str) -> tuple[float, str]:
    value = visit.values.get(column, "")
    number = to_number(value)
    if number is None and not re.match(r"\d{4}-\d\d-\d\d", value):
        raise CohortError(
            f"{visit.participant_id} session {visit.session}: --order_by {column}: expected a number or a date "
            f"(2020-01-31), found {value!r}"
        )
    return (math.inf, value) if number is None else (number, "")
