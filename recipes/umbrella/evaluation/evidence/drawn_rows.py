"""The rows that are asked again: at most so many, of whole subjects."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from umbrella.evaluation.verdicts import say_rows


@dataclass(frozen=True)
class DrawnRows:
    """Which rows are asked again.

    indices    rising
    n_rows     how many there are in all
    are_whole  whether all rows of each of their subjects are among them
    """

    indices: list[int]
    n_subjects: int
    n_rows: int
    are_whole: bool

    def describe(self) -> str:
        """Of which rows it is, for a sentence."""
        rows = say_rows({"n": len(self.indices), "n_subjects": self.n_subjects})
        if len(self.indices) == self.n_rows:
            return f"all {rows}" if self.n_rows > 1 else rows
        kind = "subjects with all their rows, drawn by the seed" if self.are_whole else "drawn by the seed"
        return f"{rows} out of {self.n_rows} rows, {kind}"


def draw_rows(subjects: Sequence[str], most_rows: int, seed: int) -> DrawnRows:
    """Subjects are drawn by the seed, and each that still fits is taken with all its rows. Where each alone has more
    rows than `most_rows`, rows are drawn instead."""
    rows_of: dict[str, list[int]] = {}
    for i, subject in enumerate(subjects):
        rows_of.setdefault(subject, []).append(i)
    drawn: list[int] = []
    for subject in random.Random(seed).sample(list(rows_of), len(rows_of)):
        if len(drawn) + len(rows_of[subject]) <= most_rows:
            drawn += rows_of[subject]
    are_whole = bool(drawn)
    if not drawn:
        drawn = random.Random(seed).sample(range(len(subjects)), most_rows)
    return DrawnRows(sorted(drawn), len({subjects[i] for i in drawn}), len(subjects), are_whole)
