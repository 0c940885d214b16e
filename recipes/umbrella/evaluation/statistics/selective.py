"""Answers that are given only where the model is sure: how many are wrong of those that are given.

Coverage is the share of rows that are answered, risk the share of wrong answers among those. Rows are answered from
the surest on (El-Yaniv and Wiener 2010, Journal of Machine Learning Research 11:1605).
"""

import math

import numpy as np

ROUNDING = 1e-12


def risk_by_coverage(confidence: np.ndarray, wrong: np.ndarray) -> np.ndarray:
    """(n,) risk among the k surest rows, for k = 1 to n.

    Of rows that are equally sure each is as likely to come first: the expectation over their orders, not the luck of
    one. `confidence` may hold -inf, for answers that say nothing.
    """
    order = np.argsort(-confidence, kind="stable")
    _, block, sizes = np.unique(-confidence[order], return_inverse=True, return_counts=True)
    shared = np.bincount(block, np.asarray(wrong, float)[order]) / sizes
    return np.cumsum(shared[block]) / np.arange(1, len(order) + 1)


def area_under_risk(confidence: np.ndarray, wrong: np.ndarray) -> dict[str, float]:
    """The mean risk over all coverages, and what it is to be read beside.

    aurc    of these rows
    best    of the same answers if all wrong ones came last
    random  in expectation if the order were drawn: the risk of all rows
    excess  aurc - best (Geifman, Uziel and El-Yaniv 2019, Bias-Reduced Uncertainty Estimation, ICLR; best is exact
            here, not their limit for many rows)
    gain    random - aurc: above 0 where confidence tells right answers from wrong ones
    """
    wrong = np.asarray(wrong, float)
    aurc = float(risk_by_coverage(confidence, wrong).mean())
    best = float(risk_by_coverage(-wrong, wrong).mean())
    at_random = float(wrong.mean())
    return {"aurc": aurc, "best": best, "random": at_random, "excess": aurc - best, "gain": at_random - aurc}


def surest(confidence: np.ndarray, coverage: float) -> np.ndarray:
    """(n,) which rows are answered when at least this share of them is to be: those as sure as the last one too."""
    n_answered = math.ceil(coverage * len(confidence) - ROUNDING)
    return confidence >= np.sort(confidence)[::-1][n_answered - 1]


def choose_threshold(confidence: np.ndarray, wrong: np.ndarray, most_risk: float) -> float | None:
    """The least confidence with which an answer is given so that at most `most_risk` of those given are wrong.

    Of all that do, the one that answers most rows; None where none does. Rows of -inf are never answered.
    """
    candidates, place = np.unique(confidence, return_inverse=True)  # in ascending order
    n_given = np.cumsum(np.bincount(place)[::-1])[::-1]
    n_wrong = np.cumsum(np.bincount(place, np.asarray(wrong, float))[::-1])[::-1]
    fitting = candidates[(n_wrong <= (most_risk + ROUNDING) * n_given) & np.isfinite(candidates)]
    return float(fitting[0]) if len(fitting) else None
