"""What so many subjects can tell: the interval that they give, the smallest difference that they show, and how many of
them a wished interval takes.

Rows of one subject are alike: by their intra-subject correlation they count as fewer independent ones.
"""

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.stats import beta, t

from umbrella.evaluation.statistics.holm import ALPHA, z_of_strictest
from umbrella.evaluation.statistics.intervals import (
    LEVEL,
    POWER,
    ROUNDING,
    Z_LEVEL,
    Z_POWER,
    least_number,
    number_subjects,
    wilson,
)

LEAST_DISCORDANT = 6  # subjects that all speak for one side: with five, the interval still holds 0
SD_OF_ERRORS = math.sqrt(math.pi / 2 - 1)  # of absolute errors over their mean, where errors are normal about 0


@dataclass(frozen=True)
class Design:
    """How a test set is built.

    icc  the intra-subject correlation: 0 where each row of a subject is as good as one of another subject, 1 where a
         subject's rows tell no more than one of them
    """

    rows_per_subject: float = 1.0
    icc: float = 1.0

    @property
    def effect(self) -> float:
        """By what factor the variance of a mean is larger than that of as many independent rows (Kish 1965)."""
        return 1 + (self.rows_per_subject - 1) * self.icc

    def count_independent(self, n_subjects: float) -> float:
        """How many independent rows the subjects' rows count as."""
        return n_subjects * self.rows_per_subject / self.effect

    def share_interval(self, share: float, n_subjects: float) -> tuple[float, float]:
        """The 95 % interval that `intervals.share_interval` can be expected to give."""
        trials = self.count_independent(n_subjects)
        if self.rows_per_subject > 1:  # then the spread between subjects is estimated from them
            trials *= (Z_LEVEL / float(t.ppf((1 + LEVEL) / 2, n_subjects - 1))) ** 2
        return wilson(share, trials)

    def mean_interval(self, mean: float, sd: float, n_subjects: float) -> tuple[float, float]:
        """The 95 % interval that `intervals.mean_interval` can be expected to give; `sd`: of single rows."""
        half = float(t.ppf((1 + LEVEL) / 2, n_subjects - 1)) * sd / math.sqrt(self.count_independent(n_subjects))
        return max(0.0, mean - half), mean + half


def subjects_for_width(interval_of: Callable[[int], tuple[float, float]], width: float) -> int | None:
    """The fewest subjects, two or more, whose interval is no wider from end to end; None: more than can be named."""

    def enough(n: int) -> bool:
        low, high = interval_of(n)
        return high - low <= width

    return least_number(enough, 2)


def detectable_above(reference: float, trials: float) -> float | None:
    """The smallest share above a fixed one which so many independent trials show in 80 % of samples; None: none.

    By the normal approximation, two-sided at 5 %: from a spread as under the fixed share to one as under the larger.
    """

    def lacks(share: float) -> float:
        spread = Z_LEVEL * math.sqrt(reference * (1 - reference)) + Z_POWER * math.sqrt(share * (1 - share))
        return share - reference - spread / math.sqrt(trials)

    if not 0 < reference < 1 or lacks(1.0) < 0:
        return None
    return float(brentq(lacks, reference, 1.0))


def least_discordant(n_tests: int) -> int:
    """How many subjects must differ, all in one direction, for a verdict: their mid-p is 2 to the power of minus as
    many, and must pass the strictest step of Holm's correction."""
    return max(LEAST_DISCORDANT, math.floor(math.log2(n_tests / ALPHA)) + 1)


@dataclass(frozen=True)
class PairedDesign:
    """How subjects' differences between two runs spread, a subject's difference being its sum over the mean of rows.

    variance     of these
    is_share     whether scores are rights and wrongs
    one_row      whether every subject has a single row
    dependence   see `sign_flips.dependence`
    n_tests      how many tests the family has
    """

    variance: float
    is_share: bool
    one_row: bool = True
    dependence: float = 1.0
    n_tests: int = 1

    def detectable(self, n_subjects: int) -> float | None:
        """The smallest difference that so many subjects show in 80 % of samples; None where they would show none.

        By the normal approximation, from a spread as where there is no difference to that about it. Of rights and
        wrongs at least as many subjects differ as the difference takes; and enough of them must, all in one
        direction, for a p-value as small as is asked for.
        """
        least, z = least_discordant(self.n_tests), z_of_strictest(self.n_tests)
        error = math.sqrt(self.dependence / n_subjects)
        if n_subjects < least or error * z >= 1:
            return None

        def lacks(difference: float) -> float:
            square = max(self.variance + difference**2, difference if self.is_share else 0.0)
            return difference - error * (z * math.sqrt(square) + Z_POWER * math.sqrt(max(square - difference**2, 0.0)))

        if self.is_share:
            if lacks(1.0) < 0:
                return None
            found = float(brentq(lacks, ROUNDING, 1.0))
            return max(found, float(beta.ppf(POWER, least, n_subjects - least + 1))) if self.one_row else found
        most = error * (z + Z_POWER) * math.sqrt(self.variance) / (1 - error * z)
        return float(brentq(lacks, 0.0, most)) if most > ROUNDING else None


def intra_subject_correlation(values: Sequence[float] | np.ndarray, subjects: Sequence[Hashable]) -> float | None:
    """How alike rows of one subject are, from 0 to 1, by analysis of variance (ICC(1), Donner 1986, International
    Statistical Review 54:67; below 0 it is 0).

    None where it cannot be known: one row a subject, a single subject, or all rows alike.
    """
    values, codes = np.asarray(values, float), number_subjects(subjects)
    rows = np.bincount(codes)
    n, k = len(values), len(rows)
    if k < 2 or n == k or np.ptp(values) < ROUNDING:
        return None
    means = np.bincount(codes, values) / rows
    between = float(rows @ (means - values.mean()) ** 2) / (k - 1)
    within = float(((values - means[codes]) ** 2).sum()) / (n - k)
    each = (n - float(rows @ rows) / n) / (k - 1)
    return min(1.0, max(0.0, (between - within) / (between + (each - 1) * within)))
