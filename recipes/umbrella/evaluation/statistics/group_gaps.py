"""The difference between the best and the worst of several groups, with an interval that knows they were chosen.

The best and the worst are chosen by the same rows that they are compared on, so the gap that is seen is too large on
average, and an interval of these two groups alone, found as if they had been named beforehand, misses a true gap of 0
in far more than 5 % of tests. Here the intervals of all pairs hold together (Tukey's studentised range), so whichever
pair differs most in truth is among them: the gap lies between the largest of the pairs' lower ends and the largest of
their upper ends.
"""

import math
from collections.abc import Hashable, Sequence
from dataclasses import asdict, dataclass
from functools import cache

import numpy as np
from scipy.stats import norm, studentized_range

from umbrella.evaluation.statistics.differences import Estimate, estimate, subtract
from umbrella.evaluation.statistics.intervals import LEVEL, number_subjects
from umbrella.evaluation.statistics.measures import Measure

LEAST_SUBJECTS = 5  # of a group that is ranked: of three and three, all right and all wrong, Fisher's p is 0.10
N_CHANCE_DRAWS = 2_000


@dataclass(frozen=True)
class Gap:
    """How far apart the best and the worst group are.

    difference  of their mean scores, 0 or more
    interval    of the largest difference between any two groups; None where all subjects of a group
                have the same error
    by_chance   about the difference that groups of these sizes would show on average if they were alike; None where
                all rows have the same score, by which no spread is known
    """

    best: str
    worst: str
    difference: float
    interval: tuple[float, float] | None
    by_chance: float | None
    n_groups: int

    def to_dict(self) -> dict:
        return asdict(self)


def find_gap(
    measure: Measure,
    scores: Sequence[float] | np.ndarray,
    groups: Sequence[str],
    subjects: Sequence[Hashable],
    level: float = LEVEL,
) -> Gap | None:
    """The gap between groups of rows, each of two subjects at least; None for fewer than two groups.

    A subject may have rows in several groups.
    """
    scores, codes = np.asarray(scores, float), number_subjects(subjects)
    names = sorted(set(groups))
    if len(names) < 2:
        return None
    inside = {name: np.array([group == name for group in groups]) for name in names}
    means = {name: float(scores[rows].mean()) for name, rows in inside.items()}
    best = max(names, key=lambda name: measure.better * means[name])
    worst = min(names, key=lambda name: measure.better * means[name])
    of_pairs = _pair_level(len(names), level)
    found = [estimate(measure, scores, rows, codes, of_pairs) for rows in inside.values()]
    return Gap(
        best,
        worst,
        abs(means[best] - means[worst]),
        _join_pairs([known for known in found if known is not None]) if None not in found else None,
        _expect_by_chance(scores, np.array(list(inside.values())), codes) if np.ptp(scores) > 0 else None,
        len(names),
    )


@cache
def _pair_level(n_groups: int, level: float) -> float:
    """The level of each interval at which those of all pairs hold together at `level`."""
    return float(2 * norm.cdf(studentized_range.ppf(level, n_groups, np.inf) / math.sqrt(2)) - 1)


def _join_pairs(found: Sequence[Estimate]) -> tuple[float, float]:
    lows, highs = [0.0], []
    for i, first in enumerate(found):
        for second in found[:i]:
            low, high = subtract(first, second)
            lows += [low, -high]
            highs += [high, -low]
    return max(lows), max(highs)


def _expect_by_chance(scores: np.ndarray, inside: np.ndarray, codes: np.ndarray) -> float:
    """The mean range of normal numbers that spread, and go together, as the groups' means do about a common one.

    inside  (groups, n) bool
    """
    rows = inside.sum(axis=1)
    means = inside @ scores / rows
    errors = np.where(inside, scores - means[:, None], 0) / rows[:, None]
    influence = np.array([np.bincount(codes, of_group) for of_group in errors])  # (groups, subjects)
    n_subjects = np.array([len(set(codes[of_group])) for of_group in inside])
    spread = influence @ influence.T
    own = spread.diagonal() * n_subjects / np.maximum(n_subjects - 1, 1)
    # Where all rows of a group agree it has no spread of its own: no less than its rows have as rows of all.
    np.fill_diagonal(spread, np.maximum(own, scores.var() / rows))
    draws = np.random.default_rng(0).multivariate_normal(np.zeros(len(rows)), spread, N_CHANCE_DRAWS, method="svd")
    return float(np.ptp(draws, axis=1).mean())
