"""Intervals cover what they claim, by subjects and not by rows; McNemar's test equals the binomial it is."""

import numpy as np
import pytest
from scipy.stats import binom

from umbrella.evaluation.intervals import bootstrap, mcnemar, share_interval


def draw_clustered(draw, n_subjects=80, rows_each=3):
    """Answers whose chance of being right differs from subject to subject; 0.7 on average."""
    chance = draw.beta(1.4, 0.6, n_subjects)
    right = draw.random((n_subjects, rows_each)) < chance[:, None]
    return right.ravel(), np.repeat(np.arange(n_subjects), rows_each)


def coverage(interval_of):
    draw = np.random.default_rng(0)
    hits = 0
    for _ in range(1000):
        right, subjects = draw_clustered(draw)
        low, high = interval_of(right, subjects)
        hits += low <= 0.7 <= high
    return hits / 1000


def test_intervals_cover_95_percent_of_1000_draws():
    assert coverage(lambda right, subjects: share_interval(right, subjects, 500)) == pytest.approx(0.95, abs=0.02)


def test_intervals_over_rows_instead_of_subjects_would_cover_too_little():
    assert coverage(lambda right, subjects: share_interval(right, np.arange(len(right)), 500)) < 0.92


def test_bootstrap_of_a_share_and_of_any_statistic_agree():
    right, subjects = draw_clustered(np.random.default_rng(1))
    by_statistic = bootstrap(lambda rows: {"share": right[rows].mean()}, subjects.tolist(), 2000)["share"]
    assert by_statistic == pytest.approx(share_interval(right, subjects, 2000), abs=0.015)


def test_all_right_is_not_certainty():
    """20 subjects, all right: Wilson's interval for 20 of 20, however many rows they have."""
    low, high = share_interval([True] * 60, np.repeat(np.arange(20), 3))
    assert (low, high) == (pytest.approx(0.8389, abs=1e-4), 1.0)


def test_one_subject_has_no_interval():
    assert bootstrap(lambda rows: {"n": len(rows)}, ["x", "x"]) == {}
    assert share_interval([True, False], ["x", "x"]) == (0.0, 1.0)


def test_mcnemar_is_the_exact_binomial_test_of_the_discordant_pairs():
    before = [True] * 12 + [False] * 3 + [True] * 50
    after = [False] * 12 + [True] * 3 + [True] * 50
    assert mcnemar(before, after) == pytest.approx(2 * binom.cdf(3, 15, 0.5))
    assert mcnemar(before, before) == 1.0
