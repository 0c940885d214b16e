"""Are the rows of a group worse than all others? A test by subjects for each of many groups, corrected over them."""

from collections.abc import Hashable, Sequence

import numpy as np

from umbrella.evaluation.statistics.intervals import number_subjects
from umbrella.evaluation.statistics.sign_flips import flip_signs

N_PERMUTATIONS = 9_999
N_TOGETHER = 500  # permutations that are held at once
ROUNDING = 1e-9  # of the largest difference: those that differ by less are the same


def compare_with_rest(
    scores: Sequence[float] | np.ndarray, members: np.ndarray, subjects: Sequence[Hashable], seed: int = 0
) -> np.ndarray:
    """(groups,) two-sided mid-p-values of the mean score of a group's rows against that of all others.

    members  (groups, n) bool, some rows inside each and some outside

    Where no subject is both inside and outside, who is inside is exchanged among the subjects, with all their rows.
    Where some are, the signs of what each subject adds to the difference are flipped, see `sign_flips.flip_signs`.
    """
    scores, codes = np.asarray(scores, float), number_subjects(subjects)
    rows = np.bincount(codes)
    inside = np.array([np.bincount(codes, of_group) for of_group in members])  # (groups, subjects)
    is_whole = ((inside == 0) | (inside == rows)).all(axis=1)
    found = np.empty(len(members))
    if is_whole.any():
        found[is_whole] = _exchange(np.bincount(codes, scores), rows, (inside[is_whole] > 0).T.astype(float), seed)
    for i in np.flatnonzero(~is_whole):
        weights = np.where(members[i], 1 / members[i].sum(), -1 / (~members[i]).sum())
        found[i] = flip_signs((scores - scores.mean()) * weights, subjects, seed=seed)
    return found


def _exchange(sums: np.ndarray, rows: np.ndarray, inside: np.ndarray, seed: int) -> np.ndarray:
    """sums, rows  (subjects,) of each one's scores, and how many; inside  (subjects, groups) 1 or 0"""

    def differ(of_sums: np.ndarray, of_rows: np.ndarray) -> np.ndarray:
        total, n = of_sums @ inside, of_rows @ inside
        return np.abs(total / n - (sums.sum() - total) / (rows.sum() - n))

    observed = differ(sums, rows)
    rounding = ROUNDING * max(1e-300, float(observed.max()))
    larger, as_large = np.zeros(len(observed)), np.ones(len(observed))  # the observed one among them
    draw, left = np.random.default_rng(seed), N_PERMUTATIONS
    while left:
        n = min(left, N_TOGETHER)
        order = draw.permuted(np.tile(np.arange(len(sums)), (n, 1)), axis=1)
        drawn = differ(sums[order], rows[order])
        larger += (drawn > observed + rounding).sum(axis=0)
        as_large += (np.abs(drawn - observed) <= rounding).sum(axis=0)
        left -= n
    return (larger + as_large / 2) / (N_PERMUTATIONS + 1)


def correct_by_holm(p_values: np.ndarray) -> np.ndarray:
    """p-values that hold for all of them together (Holm 1979, Scandinavian Journal of Statistics 6:65)."""
    order = np.argsort(p_values)
    raised = np.maximum.accumulate(p_values[order] * np.arange(len(p_values), 0, -1))
    return np.minimum(raised, 1.0)[np.argsort(order)]
