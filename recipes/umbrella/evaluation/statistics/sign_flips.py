"""The one test of paired rows: the signs of the subjects' differences are flipped.

Were there no difference, each subject's sum of differences would as likely have the other sign. Sums as large as the
observed one count half (mid-p): of answers that are right or wrong few sums are possible, and counted whole they find
3 % where 5 % are asked for. With one row a subject this is McNemar's mid-p test (Fagerland, Lydersen and Laake 2013,
BMC Medical Research Methodology 13:91).
"""

from collections.abc import Hashable, Sequence

import numpy as np

from umbrella.evaluation.statistics.intervals import number_subjects

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
    donors  whose scan a row was shown in place of its own: rows that share a person are not independent, and the sum
            is made smaller by what that adds to its spread, see `dependence`.
    """
    differences = np.asarray(differences, float)
    sums = np.bincount(number_subjects(subjects), differences)
    rounding = ROUNDING * np.abs(sums).max()
    sizes = np.abs(sums)[np.abs(sums) > rounding]
    observed = abs(sums.sum()) / np.sqrt(dependence(differences, subjects, donors))
    if not len(sizes):
        return 1.0
    if np.array_equal(sizes, np.rint(sizes)) and sizes.sum() <= MOST_SUM:
        flipped, chances = _add_up(sizes.astype(int))
    elif len(sizes) <= MOST_ENUMERATED:
        patterns = np.arange(2 ** len(sizes))[:, None] >> np.arange(len(sizes)) & 1
        flipped, chances = (2 * patterns - 1) @ sizes, np.full(len(patterns), 1 / len(patterns))
    else:
        signs = np.random.default_rng(seed).choice([-1.0, 1.0], (N_FLIPS, len(sizes)))
        flipped, chances = np.append(signs @ sizes, observed), np.full(N_FLIPS + 1, 1 / (N_FLIPS + 1))
    larger, as_large = np.abs(flipped) > observed + rounding, np.abs(np.abs(flipped) - observed) <= rounding
    return float(min(1.0, chances[larger].sum() + chances[as_large].sum() / 2))


def _add_up(sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The sums that whole numbers with random signs can come to, and the chance of each, exactly."""
    chances = np.ones(1)  # of the sums -total, ..., total
    for size in sizes:
        pad = np.zeros(2 * size)
        chances = (np.concatenate([chances, pad]) + np.concatenate([pad, chances])) / 2
    total = sizes.sum()
    return np.arange(-total, total + 1), chances


def dependence(
    differences: Sequence[float] | np.ndarray, subjects: Sequence[Hashable], donors: Sequence[Hashable] | None = None
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
