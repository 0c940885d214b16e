"""Whose scans a row is lent in place of its own: drawn by a seed, of another subject, of the same kinds."""

import itertools
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from datasets import Dataset

from umbrella.rows.scan_places import ScanPlaces, find_places, name_kinds

QUICK_TRIES = 32


@dataclass(frozen=True)
class ScanSet:
    """The scans of a row. `kinds`: of each its sequence or its modality; `places`: whose each is."""

    images: list[dict]
    kinds: list[str]
    places: ScanPlaces

    def name_kinds(self, places: Sequence[int]) -> list[str]:
        """The kinds of the scans at these places, sorted."""
        return sorted(self.kinds[place] for place in places)

    def exchange(self, places: Sequence[int], giver: "ScanSet", lent: Sequence[int]) -> list[dict]:
        """The scans, those at `places` replaced by the giver's at `lent`: each by one of its own kind, in their
        order. The kinds at both are the same."""
        of_kind = defaultdict(list)
        for place in reversed(lent):
            of_kind[giver.kinds[place]].append(giver.images[place])
        exchanged = list(self.images)
        for place in places:
            exchanged[place] = of_kind[self.kinds[place]].pop()
        return exchanged


def read_scan_sets(rows: Dataset) -> list[ScanSet]:
    """The scans of each row."""
    plain = rows.with_format(None)
    names = [name for name in ("images", "metadata", "conversations", "subject_ids") if name in plain.column_names]
    return [ScanSet(row["images"], name_kinds(row), find_places(row)) for row in plain.select_columns(names)]


def draw_givers(scans: Sequence[ScanSet], subjects: Sequence[str | None], seed: int) -> list[int]:
    """For each row another one that has as many scans of each kind, each once.

    Rows of one subject count as the same row: none keeps its subject's scans, unless it is the only subject with such.
    """
    givers = list(range(len(scans)))
    of_kinds: defaultdict[tuple, list[int]] = defaultdict(list)
    for i, own in enumerate(scans):
        of_kinds[tuple(sorted(own.kinds))].append(i)
    for alike in of_kinds.values():
        for row, giver in zip(alike, _derange(alike, subjects, random.Random(seed)), strict=True):
            givers[row] = giver
    return givers


def _derange(members: list[int], subjects: Sequence[str | None], rng: random.Random) -> list[int]:
    """The members in another order, in which none stands where one of its own subject stood."""
    order = list(members)
    rng.shuffle(order)
    # The subjects' order is drawn too: ids tell the group in many a cohort, and sorted by them most rows would be lent
    # a scan of their own group, or of the other one.
    place: dict[str | None, int] = {}
    for i in order:
        place.setdefault(subjects[i], len(place))
    order.sort(key=lambda i: place[subjects[i]])  # stable: subjects together
    # A shift by the most rows of one subject leaves no subject in its place.
    start = max(Counter(subjects[i] for i in order).values())
    if start * 2 > len(order):
        start = len(order) // 2
    shift = rng.randint(start, len(order) - start) if len(order) > 1 else 0
    giver = {order[i]: order[(i + shift) % len(order)] for i in range(len(order))}
    return [giver[member] for member in members]


def draw_donors(asked: list[int], members: list[int], fits: Callable[[int, int], bool], seed: int) -> dict[int, int]:
    """Those asked for among the members → a member that fits, drawn at random; whom none fits is absent."""
    donors, of_members = {}, set(members)
    for i in asked:
        if i not in of_members:
            continue
        rng = random.Random(f"{seed} {i}")  # the same donor whatever else is asked: answers on disk stay valid
        # Mostly one of a few tries fits; only where none does, all are tried, in random order.
        tries = itertools.chain(rng.choices(members, k=QUICK_TRIES), _shuffled(members, rng))
        donor = next((j for j in tries if fits(i, j)), None)
        if donor is not None:
            donors[i] = donor
    return donors


def _shuffled(members: list[int], rng: random.Random) -> Iterator[int]:
    yield from rng.sample(members, len(members))
