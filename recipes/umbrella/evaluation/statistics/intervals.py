"""How sure a number is, by subjects: 95 % intervals of shares, and of any statistic by bootstrap.

Rows of one subject are alike, so an interval that counts rows is too narrow: subjects are counted or drawn instead.
"""

import math
from collections.abc import Callable, Hashable, Iterator, Sequence

import numpy as np
from scipy.stats import norm, t

LEVEL = 0.95
POWER = 0.80  # with which the number of subjects that is named would tell
Z_LEVEL, Z_POWER = float(norm.ppf((1 + LEVEL) / 2)), float(norm.ppf(POWER))
ROUNDING = 1e-12
MOST_SUBJECTS = 1_000_000  # a larger number is not named
Statistic = Callable[[np.ndarray], dict[str, float]]


def number_subjects(subjects: Sequence[Hashable]) -> np.ndarray:
    """(n rows,) whole numbers from 0 on, the same for rows of the same subject."""
    index: dict[Hashable, int] = {}
    return np.array([index.setdefault(subject, len(index)) for subject in subjects], int)


def draw_subjects(subjects: Sequence[Hashable], n_resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Yield arrays of row indices: subjects drawn with replacement, as many as there are, with all their rows."""
    codes = number_subjects(subjects)
    groups = [np.flatnonzero(codes == code) for code in range(codes.max() + 1)]
    draw = np.random.default_rng(seed)
    for _ in range(n_resamples):
        yield np.concatenate([groups[i] for i in draw.integers(0, len(groups), len(groups))])


def tails(n_subjects: int) -> list[float]:
    """The two percentiles between which a bootstrap's 95 % interval lies: 2.5 and 97.5 for many subjects.

    A percentile interval is too narrow where subjects are few (80 % coverage at 5); the percentiles are moved outwards
    as Student's t and the divisor n - 1 would move them (Hesterberg 2015, The American Statistician 69:371).
    """
    outer = t.ppf((1 + LEVEL) / 2, n_subjects - 1) * math.sqrt(n_subjects / (n_subjects - 1))
    return [float(100 * norm.cdf(-outer)), float(100 * norm.cdf(outer))]


def bootstrap(
    statistic: Statistic, subjects: Sequence[Hashable], n_resamples: int = 1000, seed: int = 0
) -> dict[str, tuple[float, ...]]:
    """95 % intervals of each number that `statistic` (row indices → {name: number}) gives, see `tails`.

    A number that a resample lacks, as the AUROC where a class was not drawn, is left out of that resample. A number
    without an interval is absent: of a single subject, never defined, or the same in all resamples, from which a
    bootstrap would claim certainty.
    """
    n_subjects = len(set(subjects))
    if n_subjects < 2:
        return {}
    values: dict[str, list[float]] = {}
    for rows in draw_subjects(subjects, n_resamples, seed):
        for name, value in statistic(rows).items():
            values.setdefault(name, []).append(value)
    edges = tails(n_subjects)
    return {
        name: tuple(float(edge) for edge in np.percentile(drawn, edges))
        for name, drawn in values.items()
        if not math.isclose(min(drawn), max(drawn), abs_tol=ROUNDING)
    }


def share_interval(
    hits: Sequence[float] | np.ndarray,
    subjects: Sequence[Hashable],
    strata: Sequence[Hashable] | None = None,
    level: float = LEVEL,
) -> tuple[float, float]:
    """The interval (low, high) of a share of rows, or of the mean of the shares of `strata` of rows.

    Wilson's interval for `effective_trials`; (0, 1) for a single subject, which tells nothing about others.
    """
    if len(set(subjects)) < 2:
        return 0.0, 1.0
    return wilson(*effective_trials(hits, subjects, strata, level), level)


def mean_interval(
    values: Sequence[float] | np.ndarray, subjects: Sequence[Hashable], level: float = LEVEL
) -> tuple[float, float] | None:
    """The interval of the mean of numbers that are 0 or more, by Student's t over subjects.

    None for a single subject, and where all subjects agree. A bootstrap of 4 subjects ends at the largest of them.
    """
    values, codes = np.asarray(values, float), number_subjects(subjects)
    n_subjects = int(codes.max()) + 1
    if n_subjects < 2:
        return None
    residuals = np.bincount(codes, values - values.mean()) / len(values)
    error = math.sqrt(n_subjects / (n_subjects - 1) * float(residuals @ residuals))
    if error < ROUNDING:
        return None
    half = float(t.ppf((1 + level) / 2, n_subjects - 1)) * error
    return max(0.0, float(values.mean()) - half), float(values.mean()) + half


def wilson(share: float, n: float, level: float = LEVEL) -> tuple[float, float]:
    """Wilson's interval of a share in `n` trials, which need not be a whole number."""
    z = float(norm.ppf((1 + level) / 2))
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    return max(0.0, middle - half), min(1.0, middle + half)


def effective_trials(
    hits: Sequence[float] | np.ndarray,
    subjects: Sequence[Hashable],
    strata: Sequence[Hashable] | None = None,
    level: float = LEVEL,
) -> tuple[float, float]:
    """(share, n): as many independent trials as the spread between two or more subjects leaves of the rows.

    One row a subject: the rows. Several: share (1 - share) / variance between subjects, never more than the rows, and
    fewer for the few subjects that the variance rests on (Korn and Graubard 1998, Survey Methodology 24:193), by the
    quantiles of the interval's level. Where
    no spread can be seen, since all rows agree or a stratum has one subject, each subject counts once.
    """
    hits, subjects = np.asarray(hits, float), number_subjects(subjects)
    strata = np.zeros(len(hits), int) if strata is None else number_subjects(strata)
    n_strata, n_subjects = strata.max() + 1, subjects.max() + 1
    rows_of = np.bincount(strata)
    subjects_of = np.array([len(set(subjects[strata == i])) for i in range(n_strata)])
    shares = np.bincount(strata, hits) / rows_of
    share = float(shares.mean())
    if hits.min() == hits.max() or subjects_of.min() == 1:
        return share, float(n_strata**2 / np.sum(1 / subjects_of))
    most = float(n_strata**2 / np.sum(1 / rows_of))
    if n_subjects == len(hits) and n_strata == 1:
        return share, most
    residuals = np.zeros((n_strata, n_subjects))
    np.add.at(residuals, (strata, subjects), (hits - shares[strata]) / (n_strata * rows_of[strata]))
    residuals *= np.sqrt(subjects_of / (subjects_of - 1))[:, None]
    by_stratum = (residuals**2).sum(axis=1)
    unseen = np.where(by_stratum < ROUNDING, _guess_variance(shares, subjects_of) / n_strata**2, 0.0)
    variance = float((residuals.sum(axis=0) ** 2).sum() + unseen.sum())
    by_stratum += unseen
    degrees = by_stratum.sum() ** 2 / np.sum(by_stratum**2 / (subjects_of - 1))  # Satterthwaite's
    trials = min(most, share * (1 - share) / variance)
    tail = (1 + level) / 2
    return share, trials * (float(norm.ppf(tail)) / float(t.ppf(tail, degrees))) ** 2


def _guess_variance(shares: np.ndarray, n_subjects: np.ndarray) -> np.ndarray:
    """Of shares whose subjects all agree: as if two more were right and two more wrong (Agresti and Coull 1998)."""
    shares = (shares * n_subjects + 2) / (n_subjects + 4)
    return shares * (1 - shares) / n_subjects


def subjects_for_share(
    hits: Sequence[bool], subjects: Sequence[Hashable], above: float | None = None, below: float | None = None
) -> int | None:
    """About how many subjects would show that the share lies above, or below, a bound, if it is what it is here.

    With 80 % power at the observed spread; None where none would.
    """
    n_subjects = len(set(subjects))
    share, trials = effective_trials(hits, subjects)

    def enough(n: int) -> bool:
        trials_then = trials * n / n_subjects
        low, high = wilson(share, trials_then)
        luck = Z_POWER * math.sqrt(share * (1 - share) / trials_then)
        return low - luck > above if above is not None else high + luck <= below

    return least_number(enough, n_subjects + 1)


def least_number(enough: Callable[[int], bool], start: int) -> int | None:
    """The least whole number from `start` on that is enough, of a rule that stays true once it is; None: too large."""
    low, high = start - 1, start
    while not enough(high):
        if high > MOST_SUBJECTS:
            return None
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
