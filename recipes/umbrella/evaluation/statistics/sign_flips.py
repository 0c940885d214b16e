"""The one test of paired rows: the signs of the subjects' differences are flipped.

Were there no difference, each subject's sum of differences would as likely have the other sign. Sums as large as the
observed one count half (mid-p): of answers that are right or wrong few sums are possible, and counted whole they find
3 % where 5 % are asked for. With one row a subject this is McNemar's mid-p test (Fagerland, Lydersen and Laake 2013,
BMC Medical Research Methodology 13:91).
"""

from collections.abc import Hashable, Sequence

import numpy as np

from umbrella.evaluation.statistics.intervals import number_subjects
from umbrella.evaluation.statistics.lent_scans import SharedPeople

NAME = "sign flips by subject, mid-p"
MOST_ENUMERATED = 14  # subjects whose sums are no whole numbers: 16,384 sign patterns
MOST_SUM = 100_000  # of whole numbers, to which their distribution is added up
N_FLIPS = 9_999
ROUNDING = 1e-9  # of the largest sum: sums that differ by less are the same


def flip_signs(
    differences: Sequence[float] | np.ndarray,
    subjects: Sequence[Hashable],
    donors: Sequence[Hashable] | None = None,
    seed: int = 0,
) -> float:
    """The two-sided mid-p-value of the sum of paired differences, one a row; 1 where no subject differs.

    By all flips for whole numbers (such as right minus right) and for few subjects; else by random flips, the observed
    one among them.
    donors  whose scan a row was shown in place of its own: rows that share a person are not independent, and each sum
            is compared in units of the spread that they give it, see `umbrella.evaluation.statistics.lent_scans`.
    """
    differences = np.asarray(differences, float)
    sums = np.bincount(number_subjects(subjects), differences)
    rounding = ROUNDING * np.abs(sums).max()
    differ = np.abs(sums) > rounding
    sizes = np.abs(sums)[differ]
    if not len(sizes):
        return 1.0
    shared = None if donors is None else SharedPeople(differences, subjects, donors)
    if shared is not None and shared.are_any:
        signs = _draw_signs(len(sums), seed) if len(sums) > MOST_ENUMERATED else _list_signs(len(sums))
        sizes_in_spreads = shared.standardize(signs)
        return _count_half(sizes_in_spreads, np.full(len(signs), 1 / len(signs)), sizes_in_spreads[0], ROUNDING)
    if np.array_equal(sizes, np.rint(sizes)) and sizes.sum() <= MOST_SUM:
        flipped, chances = _add_up(sizes.astype(int))
    else:
        signs = _list_signs(len(sizes)) if len(sizes) <= MOST_ENUMERATED else _draw_signs(len(sizes), seed)
        flipped, chances = signs @ sums[differ], np.full(len(signs), 1 / len(signs))
    return _count_half(np.abs(flipped), chances, abs(sums.sum()), rounding)


def _list_signs(n: int) -> np.ndarray:
    """(2**n, n): all patterns, as they were observed first."""
    return 1.0 - 2.0 * (np.arange(2**n)[:, None] >> np.arange(n) & 1)


def _draw_signs(n: int, seed: int) -> np.ndarray:
    """(N_FLIPS + 1, n): random patterns, as they were observed first."""
    drawn = np.random.default_rng(seed).choice([-1.0, 1.0], (N_FLIPS, n))
    return np.concatenate([np.ones((1, n)), drawn])


def _count_half(flipped: np.ndarray, chances: np.ndarray, observed: float, rounding: float) -> float:
    larger, as_large = flipped > observed + rounding, np.abs(flipped - observed) <= rounding
    return float(min(1.0, chances[larger].sum() + chances[as_large].sum() / 2))


def _add_up(sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The sums that whole numbers with random signs can come to, and the chance of each, exactly."""
    chances = np.ones(1)  # of the sums -total, ..., total
    for size in sizes:
        pad = np.zeros(2 * size)
        chances = (np.concatenate([chances, pad]) + np.concatenate([pad, chances])) / 2
    total = sizes.sum()
    return np.arange(-total, total + 1), chances
