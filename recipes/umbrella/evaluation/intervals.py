"""How sure a number is: bootstrap over subjects, and a paired test.

Rows of one subject are alike, so an interval that resamples rows is too narrow: whole subjects are drawn instead.
"""

from collections.abc import Callable, Hashable, Sequence

import numpy as np
from scipy.stats import binomtest

LEVEL = 0.95
Statistic = Callable[[np.ndarray], dict[str, float]]


def draw_subjects(subjects: Sequence[Hashable], n_resamples: int, seed: int):
    """Yield arrays of row indices: subjects drawn with replacement, as many as there are, with all their rows."""
    rows_of = {}
    for row, subject in enumerate(subjects):
        rows_of.setdefault(subject, []).append(row)
    groups = [np.array(rows) for rows in rows_of.values()]
    draw = np.random.default_rng(seed)
    for _ in range(n_resamples):
        yield np.concatenate([groups[i] for i in draw.integers(0, len(groups), len(groups))])


def bootstrap(
    statistic: Statistic, subjects: Sequence[Hashable], n_resamples: int = 1000, seed: int = 0
) -> dict[str, tuple[float, float]]:
    """95 % percentile intervals of each number that `statistic` (row indices → {name: number}) gives.

    A number that a resample lacks, as the AUROC where a class was not drawn, is left out of that resample. A number
    without an interval (a single subject, or never defined) is absent.
    """
    if len(set(subjects)) < 2:
        return {}
    values: dict[str, list[float]] = {}
    for rows in draw_subjects(subjects, n_resamples, seed):
        for name, value in statistic(rows).items():
            values.setdefault(name, []).append(value)
    tails = [50 * (1 - LEVEL), 50 * (1 + LEVEL)]
    return {name: tuple(float(edge) for edge in np.percentile(drawn, tails)) for name, drawn in values.items()}


def share_interval(hits: Sequence[bool], subjects: Sequence[Hashable], n_resamples: int = 1000, seed: int = 0):
    """The 95 % interval (low, high) of a share of rows by bootstrap over subjects.

    Where all rows agree no resample differs, and the bootstrap would claim certainty: there it is Wilson's interval
    for as many trials as there are subjects.
    """
    hits = np.asarray(hits, float)
    if hits.min() == hits.max():
        n = len(set(subjects))
        interval = binomtest(int(hits[0]) * n, n).proportion_ci(LEVEL, method="wilson")
        return float(interval.low), float(interval.high)
    codes = np.unique(np.asarray(subjects, str), return_inverse=True)[1]
    n_subjects = codes.max() + 1
    right, total = np.bincount(codes, hits), np.bincount(codes)
    if n_subjects < 2:
        return 0.0, 1.0
    drawn = np.random.default_rng(seed).integers(0, n_subjects, (n_resamples, n_subjects))
    shares = right[drawn].sum(axis=1) / total[drawn].sum(axis=1)
    return tuple(float(edge) for edge in np.percentile(shares, [50 * (1 - LEVEL), 50 * (1 + LEVEL)]))


def mcnemar(right_before: Sequence[bool], right_after: Sequence[bool]) -> float:
    """The p-value of McNemar's exact test: are two runs over the same rows right equally often?"""
    before, after = np.asarray(right_before, bool), np.asarray(right_after, bool)
    lost, gained = int((before & ~after).sum()), int((~before & after).sum())
    return float(binomtest(lost, lost + gained).pvalue) if lost + gained else 1.0
