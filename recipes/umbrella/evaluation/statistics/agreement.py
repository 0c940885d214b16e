"""How far repeated measurements of the same thing agree: labels by Cohen's κ, numbers by ICC(2,1) and repeatability.

Measurements are an array (n, k): n things, each measured k times, in the same order of times.
"""

import itertools
import math
from dataclasses import dataclass

import numpy as np
from scipy.stats import chi2, f, t

from umbrella.evaluation.statistics.intervals import LEVEL, ROUNDING, Z_LEVEL

Interval = tuple[float, float]


def cohen_kappa(codes: np.ndarray) -> float | None:
    """Cohen's κ of whole numbers (n, k), unweighted: agreement beyond what chance gives at these shares of labels.

    Of more than two times the mean of κ over all pairs of times (Light 1971, Psychological Bulletin 76:365). None
    where it is not defined: at two times all have one and the same label, so that chance alone agrees always.
    """
    n_labels = int(codes.max()) + 1
    shares = np.stack([np.bincount(column, minlength=n_labels) for column in codes.T]) / len(codes)
    pairs = []
    for a, b in itertools.combinations(range(codes.shape[1]), 2):
        by_chance = float(shares[a] @ shares[b])
        if by_chance > 1 - ROUNDING:
            return None
        pairs.append((float((codes[:, a] == codes[:, b]).mean()) - by_chance) / (1 - by_chance))
    return sum(pairs) / len(pairs)


def share_alike(codes: np.ndarray) -> np.ndarray:
    """(n,): of the pairs of times of each thing, the share with the same label."""
    pairs = itertools.combinations(range(codes.shape[1]), 2)
    return np.mean([codes[:, a] == codes[:, b] for a, b in pairs], axis=0)


@dataclass(frozen=True)
class MeanSquares:
    """Of the two-way analysis of variance: between things, between times, and the rest; of n things at k times."""

    things: float
    times: float
    rest: float
    n: int
    k: int

    @classmethod
    def of(cls, values: np.ndarray) -> "MeanSquares":
        n, k = values.shape
        from_mean = values - values.mean()
        of_things, of_times = from_mean.mean(axis=1), from_mean.mean(axis=0)
        rest = from_mean - of_things[:, None] - of_times
        of_rest = float((rest**2).sum()) / ((n - 1) * (k - 1))
        things, times = float(k * of_things @ of_things / (n - 1)), float(n * of_times @ of_times / (k - 1))
        return cls(things, times, of_rest, n, k)


def icc(values: np.ndarray) -> float | None:
    """ICC(2,1) of numbers (n, k): absolute agreement of single measurements, things and times both drawn at random.

    Shrout and Fleiss 1979, Psychological Bulletin 86:420. None where it is not defined: of fewer than two things, and
    where all numbers are the same.
    """
    if len(values) < 2 or math.isclose(values.min(), values.max(), rel_tol=ROUNDING):
        return None
    squares = MeanSquares.of(values)
    n, k = squares.n, squares.k
    total = squares.things + (k - 1) * squares.rest + k * (squares.times - squares.rest) / n
    return (squares.things - squares.rest) / total if total > 0 else None


def icc_interval(values: np.ndarray) -> Interval | None:
    """The 95 % interval of `icc` by the F distribution, degrees of freedom after Satterthwaite.

    McGraw and Wong 1996, Psychological Methods 1:30. None where `icc` is, and where nothing is left to chance.
    """
    estimate = icc(values)
    if estimate is None:
        return None
    squares = MeanSquares.of(values)
    n, k = squares.n, squares.k
    if squares.rest < ROUNDING * squares.things:
        return None
    ratio, weight = squares.times / squares.rest, n * (1 + (k - 1) * estimate) - k * estimate
    of_times = k * estimate * ratio
    degrees = (n - 1) * (k - 1) * (of_times + weight) ** 2 / ((n - 1) * of_times**2 + weight**2)
    upper = (1 + LEVEL) / 2
    above, below = float(f.ppf(upper, n - 1, degrees)), float(f.ppf(upper, degrees, n - 1))
    spread = k * squares.times + (k * n - k - n) * squares.rest
    low = n * (squares.things - above * squares.rest) / (above * spread + n * squares.things)
    high = n * (below * squares.things - squares.rest) / (spread + n * below * squares.things)
    return low, high


def repeatability(values: np.ndarray) -> float:
    """The repeatability coefficient of numbers (n, k): two measurements of one thing differ by less in 95 % of cases.

    1.96 √2 times the standard deviation within things (Bland and Altman 1999, Statistical Methods in Medical Research
    8:135).
    """
    return Z_LEVEL * math.sqrt(2 * float(values.var(axis=1, ddof=1).mean()))


def repeatability_interval(values: np.ndarray) -> Interval | None:
    """The 95 % interval of `repeatability` by χ² with n (k - 1) degrees of freedom; None where nothing differs."""
    coefficient, degrees = repeatability(values), len(values) * (values.shape[1] - 1)
    if coefficient < ROUNDING:
        return None
    upper, lower = chi2.ppf([(1 + LEVEL) / 2, (1 - LEVEL) / 2], degrees)
    return coefficient * math.sqrt(degrees / upper), coefficient * math.sqrt(degrees / lower)


@dataclass(frozen=True)
class Limits:
    """Limits of agreement: 95 % of differences lie between `low` and `high`, about their mean `bias`."""

    bias: float
    low: float
    high: float


def limits_of_agreement(differences: np.ndarray) -> Limits:
    """The mean of two or more differences ± 1.96 standard deviations (Bland and Altman 1986, Lancet 327:307)."""
    bias, spread = float(differences.mean()), Z_LEVEL * float(differences.std(ddof=1))
    return Limits(bias, bias - spread, bias + spread)


def limits_intervals(differences: np.ndarray) -> dict[str, Interval]:
    """95 % intervals of each of `Limits` by Student's t: the standard error of a limit is √(3 / n) of the differences'
    standard deviation (Bland and Altman 1986), that of the mean √(1 / n)."""
    limits, n = limits_of_agreement(differences), len(differences)
    half = float(t.ppf((1 + LEVEL) / 2, n - 1)) * float(differences.std(ddof=1)) / math.sqrt(n)
    halves = {"bias": half, "low": math.sqrt(3) * half, "high": math.sqrt(3) * half}
    return {name: (getattr(limits, name) - h, getattr(limits, name) + h) for name, h in halves.items()}
