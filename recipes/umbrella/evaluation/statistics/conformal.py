"""Sets and intervals that hold the truth in a wished share of cases, whatever the model is worth: split conformal.

A score says how badly a true answer fits; what fits no worse than the wished share of the rows of another split is in
the set (Vovk, Gammerman and Shafer 2005; Angelopoulos and Bates 2023, Conformal Prediction: A Gentle Introduction).
The promise rests on one thing: that the subjects of both splits were drawn alike. Rows of one subject are alike, so
each subject counts once, its rows share its weight; the promise is about any row of a new subject (Lee, Barber and
Willett 2023, Distribution-free inference with hierarchical data, arXiv:2306.06342).
"""

import math
from collections.abc import Hashable, Sequence

import numpy as np
from scipy.stats import beta

from umbrella.evaluation.statistics.intervals import LEVEL, number_subjects

ROUNDING = 1e-9


def quantile_over_subjects(scores: np.ndarray, subjects: Sequence[Hashable], level: float) -> float:
    """The score that a row of a new subject stays within with at least the probability `level`.

    scores  (n,) of the true answers; inf where nothing was answered

    Of one row a subject the ceil((n + 1) level)-th smallest. inf where the subjects are fewer than `least_subjects`.
    """
    codes = number_subjects(subjects)
    rows_of = np.bincount(codes)
    order = np.argsort(scores, kind="stable")
    weights = 1 / rows_of[codes[order]] / (len(rows_of) + 1)
    reached = np.flatnonzero(np.cumsum(weights) >= level - ROUNDING)
    return float(scores[order[reached[0]]]) if len(reached) else math.inf


def least_subjects(level: float) -> int:
    """How many subjects a quantile of this level needs: of 9 the largest score is the 90 % one."""
    return math.ceil(level / (1 - level) - ROUNDING)


def luck_of_the_draw(n_subjects: int, level: float) -> tuple[float, float]:
    """Between which shares the sets of so many subjects hold the truth in 95 % of draws of these subjects.

    The promise is about the mean over all draws; what one draw comes to follows a beta distribution where each subject
    has one row (Vovk 2012, Conditional validity of inductive conformal predictors, ACML).
    """
    rank = math.ceil((n_subjects + 1) * level - ROUNDING)
    low, high = beta.ppf([(1 - LEVEL) / 2, (1 + LEVEL) / 2], rank, n_subjects + 1 - rank)
    return float(low), float(high)


def share_of_subjects(held: np.ndarray, subjects: Sequence[Hashable]) -> np.ndarray:
    """(n subjects,) of each subject's rows the share that is held: what the promise is the mean of."""
    codes = number_subjects(subjects)
    return np.bincount(codes, np.asarray(held, float)) / np.bincount(codes)


def spread_of_subjects(answers: np.ndarray, subjects: Sequence[Hashable]) -> np.ndarray:
    """(n,) standard deviation of the numbers that were answered to each row's subject; nan of fewer than two.

    answers  (n,) nan where none could be read
    """
    codes, read = number_subjects(subjects), ~np.isnan(answers)
    n_subjects = codes.max() + 1
    counts = np.bincount(codes[read], minlength=n_subjects).astype(float)
    counts[counts < 2] = np.nan
    means = np.bincount(codes[read], answers[read], n_subjects) / counts
    squares = np.bincount(codes[read], (answers - means[codes])[read] ** 2, n_subjects)
    return np.sqrt(squares / (counts - 1))[codes]
