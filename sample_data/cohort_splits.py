"""The split of every participant of a cohort: external sites first, then a file or a division by the options."""

import hashlib
import json
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from cohort import CohortError, Exclusions, is_missing, to_key
from cohort_target import MOST_CODES, Case, to_number
from split_subjects import SPLITS, read_split_file, split_subjects

EXTERNAL = "external"  # the held-out site, in a data folder of its own


@dataclass(frozen=True)
class SplitPlan:
    """How the participants are divided."""

    fractions: dict[str, float]
    stratify: tuple[str, ...] = ()
    group_by: str | None = None
    split_file: Path | None = None
    holdout: tuple[str, str] | None = None  # column, value
    seed: int = 0


def assign_splits(cases: list[Case], plan: SplitPlan, exclusions: Exclusions) -> dict[str, list[Case]]:
    """Split → its cases. All visits of a participant and all members of a group are in one split.

    Left out and counted: participants that a split file does not name; other visits and relatives of those held out.
    Raises CohortError for a participant in two groups, a holdout that is not there, a split file that parts a group.
    """
    group_of = _find_groups(cases, plan.group_by)
    inside, external = _hold_out(cases, plan.holdout, group_of, exclusions)
    split_of = _read_splits(inside, plan, group_of, exclusions) if plan.split_file else _divide(inside, plan, group_of)
    splits: dict[str, list[Case]] = {name: [] for name in (*SPLITS, EXTERNAL)}
    splits[EXTERNAL] += external
    for case in inside:
        split = split_of.get(case.visit.participant_id)
        if split is None:
            exclusions.add_visit(case.visit, "not in the split file", str(plan.split_file))
        else:
            splits[split].append(case)
    return {name: some for name, some in splits.items() if some}


def describe_large_groups(splits: dict[str, list[Case]], column: str | None) -> list[str]:
    """A note for each group that is larger than the smallest split: such a group cannot be in every split."""
    subjects = {split: {case.visit.participant_id for case in cases} for split, cases in splits.items()}
    smallest = min(subjects, key=lambda split: len(subjects[split]))
    place, sizes = {}, Counter()
    group_of = _find_groups([case for cases in splits.values() for case in cases], column)
    for split, members in subjects.items():
        for subject in sorted(members):
            sizes[group_of[subject]] += 1
            place[group_of[subject]] = split
    return [
        f"WARNING {group} ({column}) has {size} participants, more than {smallest}: all of them are in {place[group]}"
        for group, size in sorted(sizes.items())
        if size > max(1, len(subjects[smallest]))
    ]


def _find_groups(cases: list[Case], column: str | None) -> dict[str, str]:
    """Participant → group; without a value a participant is a group of one."""
    group_of: dict[str, str] = {}
    for case in cases:
        name = case.visit.participant_id
        value = case.visit.values.get(column) if column else None
        if is_missing(value):
            continue
        if group_of.setdefault(name, f"group {value}") != f"group {value}":
            raise CohortError(
                f"{name}: --group_by {column}: expected one value a participant, found {group_of[name][6:]!r} and "
                f"{value!r}. Mend the table"
            )
    return {
        case.visit.participant_id: group_of.get(case.visit.participant_id, case.visit.participant_id) for case in cases
    }


def _hold_out(
    cases: list[Case], holdout: tuple[str, str] | None, group_of: dict[str, str], exclusions: Exclusions
) -> tuple[list[Case], list[Case]]:
    """(the cases to be divided, the external ones)."""
    if holdout is None:
        return cases, []
    column, value = holdout
    external = [case for case in cases if case.visit.values.get(column) == value]
    if not external:
        values = sorted({case.visit.values.get(column, "") for case in cases})
        raise CohortError(
            f"--holdout {column}={value}: expected a value of {column}, found only {', '.join(values[:10])}"
        )
    subjects = {case.visit.participant_id for case in external}
    groups = {group_of[subject] for subject in subjects}
    inside = []
    for case in cases:
        if case.visit.values.get(column) == value:
            continue
        if case.visit.participant_id in subjects:
            exclusions.add_visit(case.visit, "held out elsewhere", f"another visit has {column} {value}")
        elif group_of[case.visit.participant_id] in groups:
            exclusions.add_visit(case.visit, "relative held out", f"one of its group has {column} {value}")
        else:
            inside.append(case)
    if not inside:
        raise CohortError(f"--holdout {column}={value}: expected participants left to train on, found none")
    return inside, external


def _divide(cases: list[Case], plan: SplitPlan, group_of: dict[str, str]) -> dict[str, str]:
    first: dict[str, Case] = {}
    for case in cases:
        first.setdefault(case.visit.participant_id, case)
    columns = [_to_strata([case.visit.values.get(column, "") for case in first.values()]) for column in plan.stratify]
    strata = [" | ".join(values) for values in zip(*columns, strict=True)] or [""] * len(first)
    groups = [group_of[subject] for subject in first]
    return split_subjects(list(first), strata, groups, plan.fractions, plan.seed)


def _to_strata(values: list[str]) -> list[str]:
    """The values, or the quarter that each is in where they are numbers with many distinct values."""
    numbers = [to_number(value) for value in values]
    known = [number for number in numbers if number is not None]
    if len(set(known)) <= MOST_CODES:
        return values
    borders = np.quantile(known, [0.25, 0.5, 0.75])
    return ["" if number is None else str(int(np.searchsorted(borders, number))) for number in numbers]


def _read_splits(
    cases: list[Case], plan: SplitPlan, group_of: dict[str, str], exclusions: Exclusions
) -> dict[str, str]:
    by_key, notes = read_split_file(plan.split_file)
    exclusions.notes += notes
    names = dict.fromkeys(case.visit.participant_id for case in cases)
    split_of = {name: by_key[to_key(name)] for name in names if to_key(name) in by_key}
    if not split_of:
        raise CohortError(
            f"--split_file {plan.split_file}: expected ids of the cohort (as {next(iter(names))}), found none of them "
            f"(as {next(iter(by_key), 'no id')})"
        )
    splits_of_group = defaultdict(dict)
    for name, split in split_of.items():
        splits_of_group[group_of[name]][split] = name
    for group, splits in splits_of_group.items():
        if len(splits) > 1:
            found = ", ".join(f"{name} in {split}" for split, name in sorted(splits.items()))
            raise CohortError(f"--split_file {plan.split_file}: expected {group} in one split, found {found}")
    return split_of


def write_splits(path: Path, splits: dict[str, list[str]], plan: SplitPlan) -> str:
    """Write splits.json, its participants sorted, and return the sha256 of its bytes."""
    record = {
        "seed": plan.seed,
        "fractions": None if plan.split_file else plan.fractions,
        "stratify": list(plan.stratify),
        "group_by": plan.group_by,
        "holdout": None if plan.holdout is None else {plan.holdout[0]: plan.holdout[1]},
        "splits": {name: sorted(set(subjects)) for name, subjects in splits.items()},
    }
    data = (json.dumps(record, indent=1, ensure_ascii=False) + "\n").encode()
    path.write_bytes(data)
    return hashlib.sha256(data).hexdigest()
