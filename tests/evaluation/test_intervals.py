"""Intervals cover what they claim, by subjects and not by rows, also where subjects are few."""

import numpy as np
import pytest
from scipy.stats import binomtest, sem, t

from umbrella.evaluation.statistics.intervals import (
    bootstrap,
    mean_interval,
    share_interval,
    subjects_for_share,
    wilson,
)


def draw_clustered(draw, n_subjects=80, rows_each=3):
    """Answers whose chance of being right differs from subject to subject; 0.7 on average."""
    chance = draw.beta(1.4, 0.6, n_subjects)
    right = draw.random((n_subjects, rows_each)) < chance[:, None]
    return right.ravel(), np.repeat(np.arange(n_subjects), rows_each)


def coverage(interval_of, n_draws=1000, **shape):
    draw = np.random.default_rng(0)
    hits = 0
    for _ in range(n_draws):
        right, subjects = draw_clustered(draw, **shape)
        low, high = interval_of(right, subjects)
        hits += low <= 0.7 <= high
    return hits / n_draws


@pytest.mark.slow
def test_intervals_cover_95_percent_of_1000_draws():
    assert coverage(share_interval) == pytest.approx(0.95, abs=0.02)


@pytest.mark.parametrize("rows_each", [1, 2, 5, 20])
@pytest.mark.parametrize("n_subjects", [4, 6, 8])
def test_intervals_of_few_subjects_cover_too(n_subjects, rows_each):
    """Wilson's own for one row a subject comes to 91 % at 4 (it is no more than near 95 %)."""
    assert coverage(share_interval, 400, n_subjects=n_subjects, rows_each=rows_each) >= 0.90


def test_intervals_over_rows_instead_of_subjects_would_cover_too_little():
    assert coverage(lambda right, _: share_interval(right, np.arange(len(right)))) < 0.92


def test_one_row_a_subject_is_wilsons_interval():
    for right in range(9):
        expected = binomtest(right, 8).proportion_ci(method="wilson")
        found = share_interval([True] * right + [False] * (8 - right), range(8))
        assert found == pytest.approx((expected.low, expected.high))


def test_bootstrap_of_a_share_and_of_any_statistic_agree():
    right, subjects = draw_clustered(np.random.default_rng(1))
    by_statistic = bootstrap(lambda rows: {"share": right[rows].mean()}, subjects.tolist(), 2000)["share"]
    assert by_statistic == pytest.approx(share_interval(right, subjects), abs=0.015)


@pytest.mark.slow
def test_a_bootstrap_of_five_subjects_covers_a_mean():
    """The plain percentiles would cover 82 % of the draws."""
    draw, hits = np.random.default_rng(0), 0
    for _ in range(200):
        numbers = draw.normal(size=5)
        low, high = bootstrap(lambda rows, of=numbers: {"mean": of[rows].mean()}, list("abcde"), 200)["mean"]
        hits += low <= 0 <= high
    assert hits / 200 > 0.87


def test_a_mean_has_scipys_t_interval_where_each_subject_has_one_row():
    numbers = [3.0, 5.0, 4.0, 10.0, 6.5]
    expected = t.interval(0.95, 4, np.mean(numbers), sem(numbers))
    assert mean_interval(numbers, range(5)) == pytest.approx(expected)
    doubled = mean_interval(np.repeat(numbers, 2), np.repeat(range(5), 2))
    assert doubled == pytest.approx(expected)  # more rows of the same subjects tell no more
    assert mean_interval([2.0, 3.0], ["x", "x"]) is None and mean_interval([2.0, 2.0], ["x", "y"]) is None


def test_balanced_accuracy_of_classes_of_one_size_has_the_interval_of_accuracy_or_a_wider_one():
    right, labels = [True] * 9 + [False] + [True] * 7 + [False] * 3, ["a"] * 10 + ["b"] * 10
    plain, balanced = share_interval(right, range(20)), share_interval(right, range(20), labels)
    assert balanced == pytest.approx(plain, abs=0.03)
    every = share_interval([True] * 20, range(20), labels)
    assert every == pytest.approx(share_interval([True] * 20, range(20)))


def test_balanced_accuracy_covers_with_classes_of_5_and_35():
    draw, hits = np.random.default_rng(0), 0
    rare = np.arange(40) < 5
    for _ in range(400):
        chance = np.where(rare, draw.beta(1.4, 0.6, 40), draw.beta(3.6, 0.4, 40))
        right = (draw.random((40, 5)) < chance[:, None]).ravel()
        low, high = share_interval(right, np.repeat(np.arange(40), 5), np.repeat(rare, 5))
        hits += low <= 0.8 <= high
    assert hits / 400 > 0.92


def test_what_is_the_same_in_all_resamples_has_no_interval():
    """An AUROC of 1 in each: a bootstrap would say 1 to 1."""
    assert bootstrap(lambda rows: {"auroc": 1.0, "mean": float(rows.mean())}, list("abcdefgh")).keys() == {"mean"}


def test_the_number_of_subjects_that_is_named_is_the_least_whose_interval_is_inside_the_bound():
    """No answer of 8 changed: Wilson's interval reaches 10 % from 35 subjects on."""
    n = subjects_for_share([False] * 8, range(8), below=0.1)
    assert (n, wilson(0, n)[1] <= 0.1, wilson(0, n - 1)[1] <= 0.1) == (35, True, False)
    assert subjects_for_share([True, False] * 4, range(8), below=0.1) is None


def test_all_right_is_not_certainty():
    """20 subjects, all right: Wilson's interval for 20 of 20, however many rows they have."""
    low, high = share_interval([True] * 60, np.repeat(np.arange(20), 3))
    assert (low, high) == (pytest.approx(0.8389, abs=1e-4), 1.0)


def test_one_subject_has_no_interval():
    assert bootstrap(lambda rows: {"n": len(rows)}, ["x", "x"]) == {}
    assert share_interval([True, False], ["x", "x"]) == share_interval([True, True], ["x", "x"]) == (0.0, 1.0)
