"""The split of every participant of a cohort: external sites first, then a file or a division by the options."""

import hashlib
import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from umbrella.answers.numbers import find_number_format
from umbrella.answers.text_folding import fold
from umbrella.cohort.bids.labels import match_labels
from umbrella.cohort.questions.cases import Case
from umbrella.cohort.shared.visits import CohortError, Exclusions, is_missing
from umbrella.cohort.splits.division import read_split_file, split_subjects
from umbrella.cohort.tables.column_kind import infer_kind, read_numbers
from umbrella.files.data_format import SPLITS
from umbrella.records.cohort import EXTERNAL, to_key

MOST_BINS = 4  # of numbers, with as many participants in each


@dataclass(frozen=True)
class SplitPlan:
    """How the participants are divided."""

    fractions: dict[str, float]
    stratify: tuple[str, ...] | None = ()  # None: by the answers
    group_by: str | None = None
    split_file: Path | None = None
    holdout: tuple[str, str] | None = None  # column, value
    seed: int = 0


def assign_splits(
    cases: list[Case],
    plan: SplitPlan,
    exclusions: Exclusions,
    target_column: str,
    has_labels: bool,
    given: frozenset[str] = frozenset(),
) -> dict[str, list[Case]]:
    """Split → its cases. All visits of a participant and all members of a group are in one split.

    target_column  to stratify by it is to stratify by the answers, which are labels where it `has_labels`

    Left out and counted: participants that a split file does not name; other visits and relatives of those held out.
    Raises CohortError for a participant in two groups, a holdout that is not there, a split file that parts a group.
    """
    group_of = find_groups(cases, plan.group_by)
    inside, external = _hold_out(cases, plan.holdout, group_of, exclusions)
    if plan.split_file:
        split_of = _read_splits(inside, plan, group_of, exclusions)
    else:
        first: dict[str, Case] = {}
        for case in inside:
            first.setdefault(case.visit.participant_id, case)
        strata = _find_strata(list(first.values()), plan.stratify, target_column, has_labels)
        groups = [group_of[subject] for subject in first]
        split_of = split_subjects(list(first), strata, groups, plan.fractions, plan.seed, given)
    splits: dict[str, list[Case]] = {name: [] for name in (*SPLITS, EXTERNAL)}
    splits[EXTERNAL] += external
    for case in inside:
        split = split_of.get(case.visit.participant_id)
        if split is None:
            exclusions.add_visit(case.visit, "not in the split file", str(plan.split_file))
        else:
            splits[split].append(case)
    return {name: some for name, some in splits.items() if some}


def find_groups(cases: list[Case], column: str | None) -> dict[str, str]:
    """Participant → group; without a value a participant is a group of one. Raises CohortError for one in two."""
    group_of: dict[str, str] = {}
    spelling: dict[str, str] = {}
    name_of: dict[str, str] = {}
    for case in cases:
        name = case.visit.participant_id
        value = case.visit.values.get(column) if column else None
        if is_missing(value):
            continue
        # The first spelling names the group: "F1" and "f1" are one family.
        if value not in name_of:
            name_of[value] = spelling.setdefault(fold(value), value)
        value = name_of[value]
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
    cells = {case.visit.values.get(column, "") for case in cases}
    held_out = {cell for cell in cells if fold(cell) == fold(value)}
    external = [case for case in cases if case.visit.values.get(column, "") in held_out]
    if not external:
        values = sorted(cells)
        raise CohortError(
            f"--holdout {column}={value}: expected a value of {column}, found only {', '.join(values[:10])}"
        )
    subjects = {case.visit.participant_id for case in external}
    groups = {group_of[subject] for subject in subjects}
    inside = []
    for case in cases:
        if case.visit.values.get(column, "") in held_out:
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


def _find_strata(
    cases: list[Case], stratify: tuple[str, ...] | None, target_column: str, has_labels: bool
) -> list[str]:
    columns = []
    for column in (target_column,) if stratify is None else stratify:
        if column == target_column:
            answers = [case.label for case in cases]
            columns.append(answers if has_labels else to_bins(answers))
        else:
            columns.append(to_strata([case.visit.values.get(column, "") for case in cases]))
    return [" | ".join(values) for values in zip(*columns, strict=True)] or [""] * len(cases)


def to_strata(cells: list[str]) -> list[str]:
    """The stratum of each cell: its label, whatever the spelling, or its bin in a column of numbers."""
    known = [cell for cell in cells if not is_missing(cell)]
    numbers = read_numbers(known, find_number_format(known)[0])
    if infer_kind(known, numbers).name == "numeric":
        return to_bins(cells)
    folded = {cell: fold(cell) for cell in set(cells)}
    return [folded[cell] for cell in cells]


def to_bins(cells: list[str]) -> list[str]:
    """Which of at most 4 bins of as many participants the number of each cell is in; "" for any other text. A bin has
    3 members or more, so that each can be in every split."""
    numbers = read_numbers(cells, find_number_format(cells)[0])
    values = [numbers[cell] for cell in cells if cell in numbers]
    n_bins = max(1, min(MOST_BINS, len(values) // len(SPLITS)))
    borders = np.quantile(values, [i / n_bins for i in range(1, n_bins)]) if values else []
    return [str(int(np.searchsorted(borders, numbers[cell]))) if cell in numbers else "" for cell in cells]


def _read_splits(
    cases: list[Case], plan: SplitPlan, group_of: dict[str, str], exclusions: Exclusions
) -> dict[str, str]:
    by_key, notes = read_split_file(plan.split_file)
    exclusions.notes += notes
    names = dict.fromkeys(case.visit.participant_id for case in cases)
    labels = match_labels(by_key, {to_key(name) for name in names}, "sub", f"--split_file {plan.split_file}")
    by_key = {labels[key]: split for key, split in by_key.items()}
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


def write_splits(path: Path, splits: dict[str, list[str]], plan: SplitPlan, target: dict) -> str:
    """Write splits.json, its participants sorted, and return the sha256 of its bytes.

    target  the column that is asked for, as it was understood
    """
    is_divided = plan.split_file is None
    record = {
        "seed": plan.seed,
        "fractions": plan.fractions if is_divided else None,
        "stratify": ([target["column"]] if plan.stratify is None else list(plan.stratify)) if is_divided else [],
        "group_by": plan.group_by,
        "holdout": None if plan.holdout is None else {plan.holdout[0]: plan.holdout[1]},
        "target": target,
        "splits": {name: sorted(set(subjects)) for name, subjects in splits.items()},
    }
    data = (json.dumps(record, indent=1, ensure_ascii=False) + "\n").encode()
    path.write_bytes(data)
    return hashlib.sha256(data).hexdigest()
