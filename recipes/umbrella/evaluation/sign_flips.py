"""The one test of paired rows: the signs of the subjects' differences are flipped.

Were there no difference, each subject's sum of differences would as likely have the other sign. With one row a subject
and answers that are right or wrong, this is McNemar's exact test.
"""

from collections.abc import Hashable, Sequence

import numpy as np

from umbrella.evaluation.intervals import number_subjects

NAME = "sign flips by subject"
MOST_ENUMERATED = 14  # subjects whose sums are no whole numbers: 16,384 sign patterns
MOST_SUM = 100_000  # of whole numbers, to which their distribution is added up
N_FLIPS = 9_999
ROUNDING = 1e-9  # of the largest sum: sums that differ by less are the same


def flip_signs(
    differences: Sequence[float],
    subjects: Sequence[Hashable],
    donors: Sequence[Hashable] | None = None,
    seed: int = 0,
) -> float:
    """The two-sided p-value of the sum of paired differences, one a row.

    Exact for whole numbers (such as right minus right) and for few subjects; else (b + 1) / (m + 1) of random flips.
    donors  whose scan a row was shown in place of its own: rows that share a person are not independent, and the sum
            is made smaller by what that adds to its spread, see `dependence`.
    """
    differences = np.asarray(differences, float)
    sums = np.bincount(number_subjects(subjects), differences)
    rounding = ROUNDING * np.abs(sums).max()
    sizes = np.abs(sums)[np.abs(sums) > rounding]
    least = abs(sums.sum()) / np.sqrt(dependence(differences, subjects, donors)) - rounding
    if np.array_equal(sizes, np.rint(sizes)) and sizes.sum() <= MOST_SUM:
        return _add_up(sizes.astype(int), least)
    if len(sizes) <= MOST_ENUMERATED:
        patterns = np.arange(2 ** len(sizes))[:, None] >> np.arange(len(sizes)) & 1
        return float((np.abs((2 * patterns - 1) @ sizes) >= least).mean())
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], (N_FLIPS, len(sizes)))
    return float((1 + (np.abs(signs @ sizes) >= least).sum()) / (N_FLIPS + 1))


def _add_up(sizes: np.ndarray, least: float) -> float:
    """The chance that whole numbers with random signs come to `least` or more: their sum's distribution, exactly."""
    chances = np.ones(1)  # of the sums -total, ..., total
    for size in sizes:
        pad = np.zeros(2 * size)
        chances = (np.concatenate([chances, pad]) + np.concatenate([pad, chances])) / 2
    total = sizes.sum()
    return float(min(1.0, chances[np.abs(np.arange(-total, total + 1)) >= least].sum()))


def dependence(
    differences: Sequence[float], subjects: Sequence[Hashable], donors: Sequence[Hashable] | None = None
) -> float:
    """By what factor (1 or more) rows that share a donor raise the variance of the sum over that of its subjects.

    A scan that the model takes for a woman's is wrong in each row that it was lent to, and a donor is chosen by its
    label: without this, a model that reads scans and knows nothing is "worse" under exchange in 17 to 25 % of tests.
    The variance is that of pairs of rows which share a person (Fafchamps and Gubert 2007, Journal of Development
    Economics 83:326), about 0, as it is where there is no difference.
    """
    if donors is None:
        return 1.0
    differences = np.asarray(differences, float)
    people = number_subjects([*subjects, *donors]).reshape(2, -1)
    own, lent = people
    apart = own != lent
    by_subject = np.bincount(own, differences, people.max() + 1)
    touched = by_subject + np.bincount(lent[apart], differences[apart], people.max() + 1)
    couples = np.sort(people[:, apart], axis=0).T
    couple = np.unique(couples, axis=0, return_inverse=True)[1].ravel() if len(couples) else np.zeros(0, int)
    twice = np.bincount(couple, differences[apart])  # rows that share both persons are in two of the sums above
    within = by_subject @ by_subject
    return max(1.0, float((touched @ touched - twice @ twice) / within)) if within > 0 else 1.0
