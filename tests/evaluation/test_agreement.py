"""Agreement of repeated measurements: as scikit-learn and pingouin compute it, and as the published table has it."""

import itertools

import numpy as np
import pandas
import pingouin
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from properties import examples
from scipy.stats import norm
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.inter_rater import cohens_kappa

from umbrella.evaluation.statistics.agreement import (
    cohen_kappa,
    icc,
    icc_interval,
    limits_intervals,
    limits_of_agreement,
    repeatability,
    repeatability_interval,
    share_alike,
)
from umbrella.evaluation.statistics.intervals import bootstrap

# Six targets by four judges: table 2 of Shrout and Fleiss 1979.
SHROUT_FLEISS = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], float)


def draw_codes(seed, n, k, labels=3):
    """Labels at k times, of which about two thirds stay."""
    draw = np.random.default_rng(seed)
    first = draw.integers(0, labels, (n, 1))
    return np.where(draw.random((n, k)) < 0.7, first, draw.integers(0, labels, (n, k)))


@pytest.mark.filterwarnings("ignore:.*have only one label in common")
@examples(30)
@given(st.integers(0, 10_000), st.integers(2, 40), st.integers(2, 5))
def test_kappa_is_scikit_learns_and_of_several_times_the_mean_of_its_pairs(seed, n, k):
    codes = draw_codes(seed, n, k)
    by_sklearn = [
        cohen_kappa_score(codes[:, a], codes[:, b], labels=[0, 1, 2]) for a, b in itertools.combinations(range(k), 2)
    ]
    if np.isnan(by_sklearn).any():
        assert cohen_kappa(codes) is None
    else:
        assert cohen_kappa(codes) == pytest.approx(np.mean(by_sklearn), abs=1e-12)
    assert np.mean(share_alike(codes)) == pytest.approx(
        np.mean([(codes[:, a] == codes[:, b]).mean() for a, b in itertools.combinations(range(k), 2)])
    )


def test_kappa_of_one_answer_to_all_is_none():
    assert cohen_kappa(np.zeros((9, 2), int)) is None
    assert cohen_kappa(np.array([[0, 0], [0, 1]])) == 0.0


def test_the_interval_of_kappa_by_subject_is_that_of_statsmodels_for_one_row_a_subject():
    codes = draw_codes(0, 400, 2)
    table = np.zeros((3, 3))
    np.add.at(table, tuple(codes.T), 1)
    by_statsmodels = cohens_kappa(table)
    found = bootstrap(lambda rows: {"kappa": cohen_kappa(codes[rows])}, range(400), 1000)["kappa"]
    assert cohen_kappa(codes) == pytest.approx(by_statsmodels.kappa)
    assert found == pytest.approx((by_statsmodels.kappa_low, by_statsmodels.kappa_upp), abs=0.01)


def by_pingouin(values):
    n, k = values.shape
    table = pandas.DataFrame(
        {
            "thing": np.repeat(np.arange(n), k),
            "time": np.tile(np.arange(k), n),
            "value": values.ravel(),
        }
    )
    found = pingouin.intraclass_corr(table, "thing", "time", "value").set_index("Type").loc["ICC(A,1)"]
    return found["ICC"], found["CI95"]


@pytest.mark.parametrize(("n", "k", "noise"), [(3, 2, 0.5), (25, 2, 0.1), (25, 2, 3.0), (40, 4, 1.0)])
def test_icc_and_its_interval_are_pingouins(n, k, noise, monkeypatch):
    monkeypatch.setitem(pingouin.options, "round.column.CI95", None)
    draw = np.random.default_rng(n + k)
    values = 40 + draw.normal(size=(n, 1)) * 5 + draw.normal(size=(n, k)) * noise * 5 + np.arange(k)
    expected, interval = by_pingouin(values)
    assert icc(values) == pytest.approx(expected, abs=1e-9)
    assert icc_interval(values) == pytest.approx(tuple(interval), abs=1e-9)


def test_icc_is_that_of_the_published_table():
    assert icc(SHROUT_FLEISS) == pytest.approx(0.29, abs=0.005)
    assert icc_interval(SHROUT_FLEISS) == pytest.approx((0.019, 0.761), abs=0.001)  # McGraw and Wong, of the same data


def test_icc_without_any_difference_is_none_and_without_error_has_no_interval():
    assert icc(np.full((5, 2), 40.0)) is None and icc(np.array([[1.0, 2.0]])) is None
    exact = np.repeat(np.arange(5.0)[:, None], 2, axis=1)
    assert icc(exact) == 1 and icc_interval(exact) is None
    assert icc_interval(np.full((5, 2), 40.0)) is None


def test_limits_of_agreement_are_those_that_pingouin_draws():
    draw = np.random.default_rng(3)
    first, second = draw.normal(40, 8, 30), draw.normal(41, 8, 30)
    axes = pingouin.plot_blandaltman(second, first, agreement=norm.ppf(0.975), ax=Figure().subplots())
    lines = sorted({line.get_ydata()[0] for line in axes.lines} - {0})
    bands = sorted((band.get_y(), band.get_y() + band.get_height()) for band in axes.patches)
    found = limits_of_agreement(second - first)
    assert [found.low, found.bias, found.high] == pytest.approx(lines)
    intervals = limits_intervals(second - first)
    for name, band in zip(("low", "bias", "high"), bands, strict=True):
        assert intervals[name] == pytest.approx(band)


@pytest.mark.parametrize("k", [2, 3])
def test_two_measurements_differ_by_less_than_the_coefficient_in_95_percent(k):
    """And its interval holds the true coefficient in 95 % of draws."""
    draw, sigma, n, n_draws = np.random.default_rng(k), 2.0, 15, 1000
    drawn = draw.normal(50, 9, (n_draws, n, 1)) + draw.normal(0, sigma, (n_draws, n, k))
    true = norm.ppf(0.975) * np.sqrt(2) * sigma
    held = sum(low <= true <= high for low, high in map(repeatability_interval, drawn))
    assert held / n_draws == pytest.approx(0.95, abs=0.02)
    again = draw.normal(0, sigma, (2, 20_000))
    assert np.mean(np.abs(again[0] - again[1]) < true) == pytest.approx(0.95, abs=0.01)
    assert np.mean([repeatability(values) for values in drawn]) == pytest.approx(true, rel=0.05)
    assert repeatability_interval(np.ones((4, 2))) is None
