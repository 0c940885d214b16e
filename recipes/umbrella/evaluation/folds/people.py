"""Who of the rows belongs together: a subject with all its rows, the references shown beside it, families."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from datasets import Dataset

from umbrella.evaluation.results import group_rows, subjects_of_rows
from umbrella.rows.division import divide

SPARE = 1e-9


@dataclass(frozen=True)
class People:
    """The people of rows, and what must not be torn apart.

    subjects  (rows,) whom each row is about; a row without a subject is one of its own
    unit_of   person → its unit, whose name is that of one of them
    units     (rows,) the units of all people of a row, references included: one, unless crossing rows are left out
    """

    subjects: list[str]
    unit_of: dict[str, str]
    units: list[frozenset[str]]

    @property
    def own_units(self) -> list[str]:
        """(rows,) the unit of the subject that a row is about."""
        return [self.unit_of[subject] for subject in self.subjects]


def find_people(rows: Dataset, group_by: str | None, leave_out_crossing: bool) -> People:
    """The people of rows. A unit is a family, with all who are shown beside its members; without those where crossing
    rows are left out. Raises ValueError for a name that no row's metadata has."""
    subjects, plain = subjects_of_rows(rows), rows.with_format(None)
    people = [
        {subject, *ids, *filter(None, [entry["subject_id"], entry["reference_id"]])}
        for subject, ids, entry in zip(subjects, plain["subject_ids"], plain["metadata"], strict=True)
    ]
    root: dict[str, str] = {}

    def find(person: str) -> str:
        while root.setdefault(person, person) != person:
            root[person] = person = root[root[person]]
        return person

    def join(first: str, second: str) -> None:
        first, second = sorted((find(first), find(second)))
        root[second] = first

    for some, subject in zip(people, subjects, strict=True):
        for person in some:
            join(person, person if leave_out_crossing else subject)
    families = group_rows(rows, group_by) if group_by else []
    first_of: dict[str, str] = {}
    for subject, family in zip(subjects, families, strict=False):
        if family != "not stated":
            join(first_of.setdefault(family, subject), subject)
    unit_of = {person: find(person) for person in root}
    return People(subjects, unit_of, [frozenset(unit_of[person] for person in some) for some in people])


def divide_subjects(people: People, answers: Sequence[str], shares: dict[str, float], seed: int) -> dict[str, str]:
    """Unit → part, by the answers of its subjects in equal shares. `answers`: (rows,) strata.

    Raises ValueError for fewer units than parts, and for one that is larger than the largest part.
    """
    of_subject: dict[str, Counter[str]] = {person: Counter() for person in people.unit_of}
    for subject, answer in zip(people.subjects, answers, strict=True):
        of_subject.setdefault(subject, Counter())[answer] += 1
    names = list(of_subject)
    groups = [people.unit_of[name] for name in names]
    sizes, room = Counter(groups), max(shares.values()) * len(names)
    together = "subjects, with relatives and references"
    (largest, n), *_ = sizes.most_common(1)
    if n > 1 and n > room + 1 + SPARE:
        raise ValueError(
            f"--folds: expected {together} to fit into a part (of {room:.0f} of {len(names)} subjects), found {n} "
            f"that must stay together, as {largest!r}: each is shown beside another, or is its relative. Make "
            "conversations without references (generate_conversations.py --reference none), or leave out the rows "
            "whose reference is in another fold: --leave_out_crossing true"
        )
    if len(sizes) < len(shares):
        raise ValueError(
            f"--folds {len(shares)}: expected at least as many {together} that stay together, found {len(sizes)} "
            f"({len(names)} subjects). Ask for fewer folds"
        )
    strata = [
        min(counts.items(), key=lambda item: (-item[1], item[0]))[0] if counts else "shown beside others alone"
        for counts in of_subject.values()
    ]
    part_of = divide(names, strata, groups, shares, seed)
    return {people.unit_of[name]: part for name, part in part_of.items()}


def to_strata(truths: Sequence[str | float | None]) -> list[str]:
    """The stratum of each true answer: the label, or the bin of a number, of at most four with as many rows each."""
    numbers = [truth for truth in truths if isinstance(truth, float)]
    borders = np.unique(np.quantile(numbers, [0.25, 0.5, 0.75])) if numbers else np.array([])
    return [str(int(np.searchsorted(borders, truth))) if isinstance(truth, float) else truth or "" for truth in truths]
