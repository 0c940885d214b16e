"""The test of a group of rows against all others, by subjects.

Where each subject lies wholly in the group or wholly outside, subjects are permuted: did the group not matter, any as
many of them could be the group. The statistic is the difference of means over its standard error, so that groups which
spread differently are not taken for groups that differ (Janssen 1997, Statistics and Probability Letters 36:9); one
made-up subject a side, of the spread of all, keeps it from being endless in a group whose few subjects agree.

Where subjects have rows on both sides, they are compared with themselves too: the signs of the subjects' parts in the
difference are flipped, as in the test of paired rows (the wild cluster bootstrap with the null imposed: Cameron,
Gelbach and Miller 2008, Review of Economics and Statistics 90:414).
"""

import math
from collections.abc import Hashable, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations

import numpy as np

from umbrella.evaluation.statistics.holm import z_of_strictest
from umbrella.evaluation.statistics.intervals import ROUNDING, Z_POWER, number_subjects
from umbrella.evaluation.statistics.sign_flips import NAME, flip_signs

PERMUTED = "permutation of subjects, mid-p"
FLIPPED = f"{NAME}, of subjects in the group and outside"
MOST_ENUMERATED = 20_000  # choices of the group's subjects, all of which are tried
N_PERMUTATIONS = 9_999
SAME = 1e-9  # statistics, which lie between 0 and 1, that differ by less are the same


@dataclass(frozen=True)
class AgainstRest:
    """A group of rows beside all others.

    difference  of the mean scores, the group's minus the others'; None where there are no others
    p           None where it cannot be known: see `note`
    error       standard error of the difference, over subjects; None where it cannot be known, or is 0
    note        why there is no test; None where there is one
    """

    difference: float | None
    p: float | None = None
    test: str | None = None
    error: float | None = None
    note: str | None = None

    def to_dict(self) -> dict:
        return asdict(self)

    def detectable(self, n_tests: int) -> float | None:
        """The smallest difference that the test shows in 80 % of samples, past the strictest step of Holm's correction
        over so many, at the observed spread."""
        return None if self.error is None else (z_of_strictest(n_tests) + Z_POWER) * self.error


def compare_with_rest(
    scores: Sequence[float] | np.ndarray,
    subjects: Sequence[Hashable],
    in_group: Sequence[bool] | np.ndarray,
    n_permutations: int = N_PERMUTATIONS,
    seed: int = 0,
) -> AgainstRest:
    """Test whether rows of a group score like all others; scores as large as the observed difference count half.

    Raises ValueError where all rows, or none, are in the group.
    """
    scores, codes, in_group = np.asarray(scores, float), number_subjects(subjects), np.asarray(in_group, bool)
    if in_group.all() or not in_group.any():
        raise ValueError(f"expected rows in the group and outside, found {in_group.sum()} of {len(in_group)} in it")
    difference = float(scores[in_group].mean() - scores[~in_group].mean())
    inside, outside = set(codes[in_group]), set(codes[~in_group])
    if min(len(inside), len(outside)) < 2:
        where = "in the group" if len(inside) < 2 else "outside the group"
        return AgainstRest(difference, note=f"a single subject {where}, which tells nothing about others")
    error = _measure_error(scores, codes, in_group)
    if inside & outside:
        parts = (scores - scores.mean()) * np.where(in_group, 1 / in_group.sum(), -1 / (~in_group).sum())
        return AgainstRest(difference, flip_signs(parts, subjects, seed=seed), FLIPPED, error)
    rows, sums = np.bincount(codes), np.bincount(codes, scores)
    is_member = np.bincount(codes, in_group) > 0
    return AgainstRest(difference, _permute(sums, rows, is_member, n_permutations, seed), PERMUTED, error)


def _measure_error(scores: np.ndarray, codes: np.ndarray, in_group: np.ndarray) -> float | None:
    """Of the difference of means, from the subjects' parts in it."""
    residuals = np.zeros(len(scores))
    for side, sign in ((in_group, 1), (~in_group, -1)):
        n_subjects = len(set(codes[side]))
        shrunk = math.sqrt(n_subjects / (n_subjects - 1)) / side.sum()
        residuals[side] = sign * shrunk * (scores[side] - scores[side].mean())
    error = float(np.linalg.norm(np.bincount(codes, residuals)))
    return error if error > ROUNDING else None


def _permute(sums: np.ndarray, rows: np.ndarray, is_member: np.ndarray, n_permutations: int, seed: int) -> float:
    """The two-sided mid-p-value of which subjects are the group; `sums`: of their scores, over so many rows each."""
    n, n_members = len(rows), int(is_member.sum())
    if math.comb(n, n_members) <= MOST_ENUMERATED:
        chosen = np.array(list(combinations(range(n), n_members)))
        groups = np.zeros((len(chosen), n))
        np.put_along_axis(groups, chosen, 1.0, axis=1)
    else:
        groups = np.random.default_rng(seed).permuted(np.tile(is_member, (n_permutations, 1)), axis=1).astype(float)
        groups = np.vstack([groups, is_member])
    found, observed = _standardise(groups, sums, rows), _standardise(is_member[None].astype(float), sums, rows)[0]
    if np.ptp(found) <= SAME:  # no choice of subjects differs from another
        return 1.0
    return float((found > observed + SAME).mean() + (np.abs(found - observed) <= SAME).mean() / 2)


def _standardise(groups: np.ndarray, sums: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """(n groups, n subjects) of 0 and 1 → (n groups,): d² / (d² + its variance), which grows with d over its error."""
    made_up = float(((sums - sums.sum() / rows.sum() * rows) ** 2).mean())
    moments = np.stack([sums, rows, sums**2, sums * rows, rows**2], axis=1)
    within = groups @ moments
    means, variances = [], []
    for side in (within, moments.sum(axis=0) - within):
        of_sums, of_rows, squares, products, of_squares = side.T
        mean = of_sums / of_rows
        spread = np.maximum(squares - 2 * mean * products + mean**2 * of_squares, 0.0)
        means.append(mean)
        variances.append((spread + made_up) / of_rows**2)
    squared = (means[0] - means[1]) ** 2
    return squared / np.maximum(squared + variances[0] + variances[1], ROUNDING**2)
