"""What a row's score is, and which difference of scores is too small to matter."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from umbrella.evaluation.statistics.intervals import LEVEL, mean_interval, share_interval
from umbrella.evaluation.statistics.notation import number, percent

MARGIN = 0.10  # of accuracy: runs that surely differ by less do as well as each other
MARGIN_OF_SPREAD = (
    0.20  # the same for errors of numbers, as a share of the mean distance of true numbers from their mean
)


@dataclass(frozen=True)
class Measure:
    """What a row's score is, and which difference of scores is too small to matter.

    key     of the score in metrics.json
    better  1 where more is better, -1 where less is
    scale   the difference that one row can be expected to make at most
    """

    key: str
    name: str
    better: int
    scale: float
    margin: float

    def show(self, value: float) -> str:
        """A score as a reader wants it: shares as per cent, errors in the unit of the answers."""
        return percent(value) if self.better > 0 else number(value)

    def show_difference(self, value: float) -> str:
        """A difference of scores, signed: in points of per cent, or in the unit of the answers."""
        return f"{100 * value:+z.1f}" if self.better > 0 else f"{'+' if value >= 0 else '-'}{number(abs(value))}"

    @property
    def unit_of_difference(self) -> str:
        return " points" if self.better > 0 else ""

    def show_margin(self) -> str:
        return f"{100 * self.margin:g} points" if self.better > 0 else number(self.margin)


ACCURACY = Measure("accuracy", "accuracy", 1, 1.0, MARGIN)
EXACT_MATCH = Measure("exact_match", "exact match", 1, 1.0, MARGIN)


def measure_errors(expected: Sequence[float]) -> Measure:
    """The absolute error; its margin is a part of what always answering the mean of the true numbers is wrong by."""
    expected = np.asarray(expected, float)
    spread = float(np.abs(expected - expected.mean()).mean())
    return Measure("mae", "mean absolute error", -1, spread, MARGIN_OF_SPREAD * spread)


def score_interval(
    measure: Measure, scores: Sequence[float] | np.ndarray, subjects: Sequence[Hashable], level: float = LEVEL
) -> tuple[float, float] | None:
    """The interval of a mean score by subjects: a share's for rights and wrongs, Student's t for errors."""
    if measure.better > 0:
        return share_interval(scores, subjects, level=level)
    return mean_interval(scores, subjects, level)
