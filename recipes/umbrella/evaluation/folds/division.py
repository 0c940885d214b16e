"""Which rows each fold trains on, chooses by, and is tested on."""

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from datasets import Dataset

from umbrella.evaluation.folds.arguments import DEFAULT_FOLDS, FoldArguments
from umbrella.evaluation.folds.people import People, divide_subjects, find_people
from umbrella.evaluation.results import group_rows

RANDOM, LEFT_OUT = "random", "left out"
NOT_STATED = "not stated"
FEW_SUBJECTS = 10  # of a group: its interval is wider than most differences


@dataclass(frozen=True)
class Fold:
    """One run: rows by their number.

    kind    RANDOM: a part of a division, LEFT_OUT: a group of --by
    repeat  which division, from 1 on
    group   that is left out
    """

    name: str
    kind: str
    repeat: int
    train: tuple[int, ...]
    test: tuple[int, ...]
    validation: tuple[int, ...] = ()
    group: str | None = None

    def says(self) -> str:
        """What it is, for a person."""
        return f"{self.group!r} left out" if self.kind == LEFT_OUT else self.name.replace("_", " ")


@dataclass(frozen=True)
class Division:
    """All folds, and what must be said of them."""

    folds: list[Fold]
    notes: list[str]


def divide_rows(
    rows: Dataset, answers: Sequence[str], asked: FoldArguments, wants_validation: bool, has_labels: bool
) -> Division:
    """All runs of a cross-validation. `answers`: (rows,) strata, "" for a row that is not tested; the labels
    themselves where it `has_labels`.

    Raises ValueError for a single group in --by, and as `divide_subjects` does.
    """
    people = find_people(rows, asked.group_by, asked.leave_out_crossing)
    groups = group_rows(rows, asked.by) if asked.by else []
    notes = _note_groups(groups, people, asked.by) if groups else []
    named = dict(enumerate(sorted(set(groups) - {NOT_STATED}), start=1))
    folds = [_leave_out(f"without_{i}_{_to_name(group)}", group, groups, people) for i, group in named.items()]
    n_folds = asked.folds if asked.folds is not None else len(named) or DEFAULT_FOLDS
    strata = [f"{group} | {answer}" for group, answer in zip(groups, answers, strict=True)] if groups else answers
    for repeat in range(1, asked.repeats + 1) if n_folds else ():
        folds += _divide_once(people, strata, groups, (n_folds, repeat, asked.fold_seed))
    folds = [replace(fold, test=tuple(i for i in fold.test if answers[i])) for fold in folds]
    _check(folds)
    notes += _note_crossing(folds, len(rows), groups) + (_note_answers(folds, answers) if has_labels else [])
    if wants_validation:
        folds = [_take_validation(fold, people, answers, asked) for fold in folds]
    return Division(folds, notes)


def _divide_once(
    people: People, strata: Sequence[str], groups: list[str], division: tuple[int, int, int]
) -> list[Fold]:
    n_folds, repeat, seed = division
    parts = [f"repeat_{repeat}_fold_{number}" for number in range(1, n_folds + 1)]
    part_of = divide_subjects(people, strata, dict.fromkeys(parts, 1 / n_folds), seed + repeat - 1)
    of_rows = [frozenset(part_of[unit] for unit in units) for units in people.units]
    used = [i for i in range(len(of_rows)) if not groups or groups[i] != NOT_STATED]
    return [
        Fold(
            part,
            RANDOM,
            repeat,
            train=tuple(i for i in used if part not in of_rows[i]),
            test=tuple(i for i in used if of_rows[i] == {part}),
        )
        for part in parts
    ]


def _leave_out(name: str, group: str, groups: list[str], people: People) -> Fold:
    held_out = {unit for unit, of_row in zip(people.own_units, groups, strict=True) if of_row == group}
    rows = range(len(groups))
    return Fold(
        name,
        LEFT_OUT,
        1,
        train=tuple(i for i in rows if groups[i] != NOT_STATED and held_out.isdisjoint(people.units[i])),
        test=tuple(i for i in rows if groups[i] == group and people.units[i] <= held_out),
        group=group,
    )


def _to_name(group: str) -> str:
    """What of a group may stand in a folder's name."""
    return re.sub(r"[^A-Za-z0-9-]", "_", group)[:40]


def _take_validation(fold: Fold, people: People, answers: Sequence[str], asked: FoldArguments) -> Fold:
    """The same with a share of its training subjects as validation."""
    own = People([people.subjects[i] for i in fold.train], people.unit_of, [people.units[i] for i in fold.train])
    known = set().union(*own.units)
    own = replace(own, unit_of={person: unit for person, unit in people.unit_of.items() if unit in known})
    shares = {"train": 1 - asked.validation, "validation": asked.validation}
    part_of = divide_subjects(own, [answers[i] for i in fold.train], shares, asked.fold_seed)
    parts = [frozenset(part_of[unit] for unit in units) for units in own.units]
    pairs = list(zip(fold.train, parts, strict=True))
    validation = tuple(i for i, part in pairs if part == {"validation"} and answers[i])
    if not validation:
        raise ValueError(
            f"--validation {asked.validation:g}: expected a share of the training subjects that holds some, found "
            f"none of {len(set(own.subjects))} in {fold.says()}. Ask for a larger share, or --eval_strategy no"
        )
    return replace(fold, train=tuple(i for i, part in pairs if "validation" not in part), validation=validation)


def _check(folds: Collection[Fold]) -> None:
    for fold in folds:
        for name, some in (("test", fold.test), ("training", fold.train)):
            if not some:
                raise ValueError(
                    f"{fold.says()}: expected {name} rows, found none: all others have a person in common with those "
                    "held out, or no label. Make conversations without references, or leave out the rows whose "
                    "reference is in another fold: --leave_out_crossing true"
                )


def _note_groups(groups: list[str], people: People, by: str | None) -> list[str]:
    subjects: dict[str, set[str]] = {}
    for group, subject in zip(groups, people.subjects, strict=True):
        subjects.setdefault(group, set()).add(subject)
    missing = groups.count(NOT_STATED)
    named = {group: len(some) for group, some in sorted(subjects.items()) if group != NOT_STATED}
    if len(named) < 2:
        raise ValueError(
            f"--by {by}: expected at least two groups of {by}, each to be left out in turn, found only "
            f"{', '.join(named) or 'none'}. Leave --by out for random folds"
        )
    notes = [f"WARNING {missing} rows without {by} are left out, of training too"] if missing else []
    return notes + [
        f"WARNING {by} {group!r} has {n} subject{'s' * (n != 1)}: too few to tell what leaving it out costs"
        for group, n in named.items()
        if n < FEW_SUBJECTS
    ]


def _note_crossing(folds: list[Fold], n_rows: int, groups: list[str]) -> list[str]:
    """Rows that no fold tests, and rows that a fold neither tests nor trains on."""
    n_rows -= groups.count(NOT_STATED)
    notes = []
    for kind, repeat in dict.fromkeys((fold.kind, fold.repeat) for fold in folds):
        some = [fold for fold in folds if (fold.kind, fold.repeat) == (kind, repeat)]
        if lost := n_rows - sum(len(fold.test) for fold in some):
            which = f"repeat {repeat}" if kind == RANDOM else "groups left out"
            notes.append(
                f"WARNING {lost} of {n_rows} rows are tested by no fold ({which}): they have no label, or show people "
                "of several folds"
            )
    return notes


def _note_answers(folds: list[Fold], answers: Sequence[str]) -> list[str]:
    """Labels that a fold lacks."""
    known = sorted({answer for answer in answers if answer})
    notes = []
    for fold in folds:
        trained, tested = (Counter(answers[i] for i in some) for some in (fold.train, fold.test))
        for label in known:
            if tested[label] and not trained[label]:
                notes.append(f"WARNING {fold.says()}: {label!r} is in no training row, so it cannot be learnt")
            elif not tested[label]:
                notes.append(f"WARNING {fold.says()}: no row of {label!r} is held out; its score is of the others")
    return notes
