"""What is asked about each visit: a label, a number, or what has changed since an earlier visit of the participant."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from umbrella.answers.text_folding import fold
from umbrella.cohort.questions.target import Target
from umbrella.cohort.shared.findings import advise
from umbrella.cohort.shared.visits import Exclusions, ShortageError, Visit, is_missing
from umbrella.cohort.tables.column_kind import format_number


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


def make_cases(
    visits: list[Visit], target: Target, exclusions: Exclusions, given: frozenset[str] = frozenset()
) -> list[Case]:
    """A case for each visit with a value. Left out and counted: no value, text in a numeric target, a value that has
    no label. Raises CohortError, whose advice names no flag that was `given`, where fewer than two different answers
    are left."""
    cases = []
    for visit in visits:
        label, reason, detail = target.read(visit)
        if label is None:
            exclusions.add_visit(visit, reason, detail)
        else:
            cases.append(Case(visit, label))
    _check_answers(cases, visits, target, exclusions, given)
    return cases


def make_change_cases(
    visits: list[Visit],
    target: Target,
    question: ChangeQuestion,
    n_references: int,
    order: Callable[[list[Visit]], list[Visit]],
    exclusions: Exclusions,
    given: frozenset[str] = frozenset(),
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
    _check_answers(cases, visits, target, exclusions, given)
    return cases


def _make_pair(visit: Visit, earlier: Visit, target: Target, question: ChangeQuestion) -> tuple[Case | None, str, str]:
    label, reason, detail = target.read(visit)
    if label is None:
        return None, reason, detail
    before, reason, detail = target.read(earlier)
    if before is None and question.needs_earlier_value:
        return None, reason, detail
    if not question.as_change:
        return Case(visit, label, earlier, before or ""), "", ""
    numbers = {
        "reference": target.numbers[earlier.values[target.column]],
        "subject": target.numbers[visit.values[target.column]],
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


def _could_be_labels(visits: list[Visit], target: Target) -> bool:
    """Whether the values, taken for labels, would be two or more where numbers are too few: some are no numbers."""
    if target.kind != "numeric" or target.needs == "numeric":
        return False
    cells = {visit.values.get(target.column) for visit in visits}
    cells = {cell for cell in cells if not is_missing(cell) and cell not in target.missing}
    return not cells <= target.numbers.keys() and len({fold(cell) for cell in cells}) > 1


def _check_answers(
    cases: list[Case], visits: list[Visit], target: Target, exclusions: Exclusions, given: frozenset[str]
) -> None:
    """Raises CohortError where fewer than two different answers are left."""
    counts = Counter(case.label for case in cases)
    if len(counts) >= 2:
        return
    found = "none" if not counts else f"only {next(iter(counts))!r} ({len(cases)} times)"
    known = (
        f". The labels known are {', '.join(target.named)}" if target.kind == "categorical" and target.named else ""
    )
    remedies = [("", "another column")]
    if _could_be_labels(visits, target):
        remedies.insert(0, ("--target_type", "--target_type categorical where the values are labels"))
    elif target.kind == "categorical" and target.named:
        remedies.insert(0, ("--labels", "--labels VALUE=LABEL names others"))
    advice = advise(given, remedies)
    reasons = ", ".join(f"{n} {reason}" for reason, n in exclusions.count_reasons().most_common(4))
    example = next((row.detail for row in exclusions.rows if row.reason in ("unknown label", "not a number")), "")
    raise ShortageError(
        f"--target {target.column} ({target.kind}): expected at least two different answers, found {found}{known}. "
        f"Remedy: {advice}. Left out: {reasons or 'nothing'}{f' (as: {example})' if example else ''}"
    )
