"""The interval of a difference of two means over subjects, from the interval of each: of groups, which may share
subjects, or of two shares of the same rows.

The distances of the ends are added as standard errors are, less what the two have in common (Zou and Donner 2008,
Statistics in Medicine 27:1693). Of shares of two groups, one row a subject, this is Newcombe's hybrid score interval
(1998, Statistics in Medicine 17:873).
"""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from umbrella.evaluation.statistics.intervals import LEVEL, ROUNDING, number_subjects
from umbrella.evaluation.statistics.measures import Measure, score_interval

MADE_UP = 4  # subjects that keep n of them, each of whom scores the same on both sides, from claiming certainty


@dataclass(frozen=True)
class Estimate:
    """A mean score of some rows.

    below, above  how far the ends of its interval lie from it
    influence     (n_subjects,) what each subject adds to its error
    """

    mean: float
    below: float
    above: float
    influence: np.ndarray

    def scale(self, factor: float) -> "Estimate":
        """Of the score times a positive factor."""
        return Estimate(self.mean * factor, self.below * factor, self.above * factor, self.influence * factor)


def estimate(
    measure: Measure, scores: np.ndarray, inside: np.ndarray, codes: np.ndarray, level: float = LEVEL
) -> Estimate | None:
    """Of the rows that are inside, (n,) bool; `codes` are the subjects of all rows, see `number_subjects`.

    None where the interval of a mean error cannot be had, see `mean_interval`.
    """
    ends = score_interval(measure, scores[inside], codes[inside].tolist(), level)
    if ends is None:
        return None
    mean = float(scores[inside].mean())
    influence = np.bincount(codes, np.where(inside, scores - mean, 0.0)) / inside.sum()
    return Estimate(mean, mean - ends[0], ends[1] - mean, influence)


def subtract(first: Estimate, second: Estimate) -> tuple[float, float]:
    """The interval of the first less the second."""
    own, other = first.influence @ first.influence, second.influence @ second.influence
    alike = 0.0
    if min(own, other) > ROUNDING**2:
        n_shared = int(((first.influence != 0) & (second.influence != 0)).sum())
        alike = float(first.influence @ second.influence / math.sqrt(own * other))
        alike = min(alike, n_shared / (n_shared + MADE_UP))
    difference = first.mean - second.mean
    low = difference - _add_distances(first.below, second.above, alike)
    return low, difference + _add_distances(first.above, second.below, alike)


def _add_distances(one: float, other: float, alike: float) -> float:
    return math.sqrt(max(0.0, one**2 + other**2 - 2 * alike * one * other))


def difference_interval(
    measure: Measure, scores: Sequence[float] | np.ndarray, inside: np.ndarray, subjects: Sequence[Hashable]
) -> tuple[float, float] | None:
    """The 95 % interval of the mean score of the rows inside a group, (n,) bool, less that of all others.

    None where the interval of one of them cannot be had, see `mean_interval`.
    """
    scores, codes = np.asarray(scores, float), number_subjects(subjects)
    one, other = (estimate(measure, scores, rows, codes) for rows in (inside, ~inside))
    return None if one is None or other is None else subtract(one, other)
