"""Formulas of risk by coverage, temperature and conformal sets: those of scikit-learn, scipy and MAPIE, and what their
promises come to."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import logit
from sklearn.metrics import brier_score_loss, log_loss, precision_recall_curve

from umbrella.evaluation.statistics.conformal import (
    least_subjects,
    luck_of_the_draw,
    quantile_over_subjects,
    share_of_subjects,
    spread_of_subjects,
)
from umbrella.evaluation.statistics.selective import area_under_risk, choose_threshold, risk_by_coverage, surest
from umbrella.evaluation.statistics.temperature import (
    fit_temperature,
    probabilities_at,
    squared_error,
    surprise,
    to_log_odds,
)

ANSWERS = st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=1, max_size=12)


def split(answers):
    confidence, wrong = zip(*answers, strict=True)
    return np.array(confidence, float), np.array(wrong)


# ------------------------------------------------------------------------------------------------ risk by coverage


@pytest.mark.parametrize("confidence", [(3, 1, 1, 2, 1, 3), (1, 1, 1, 1, 1, 1), (6, 5, 4, 3, 2, 1)])
def test_the_risk_of_equally_sure_rows_is_the_mean_over_all_their_orders(confidence):
    confidence, wrong = np.array(confidence, float), np.array([0, 1, 0, 1, 1, 0])
    orders = [
        list(order) for order in itertools.permutations(range(6)) if (np.diff(confidence[list(order)]) <= 0).all()
    ]
    expected = np.mean([np.cumsum(wrong[order]) / np.arange(1, 7) for order in orders], axis=0)
    assert risk_by_coverage(confidence, wrong) == pytest.approx(expected)


@given(ANSWERS)
def test_risk_at_each_threshold_is_one_minus_scikit_learns_precision(answers):
    confidence, wrong = split(answers)
    precision, _, thresholds = precision_recall_curve(~wrong, confidence) if not wrong.all() else ([], [], [])
    risks = risk_by_coverage(confidence, wrong)
    for threshold, right in zip(thresholds, precision, strict=False):
        assert risks[(confidence >= threshold).sum() - 1] == pytest.approx(1 - right)


@given(ANSWERS)
def test_areas_lie_between_the_best_order_and_the_worst(answers):
    confidence, wrong = split(answers)
    areas = area_under_risk(confidence, wrong)
    by_order = [np.mean(np.cumsum(order) / np.arange(1, len(wrong) + 1)) for order in (sorted(wrong), sorted(~wrong))]
    assert areas["best"] == pytest.approx(by_order[0])
    assert areas["random"] == pytest.approx(risk_by_coverage(np.zeros(len(wrong)), wrong).mean())
    assert -1e-12 <= areas["excess"] == pytest.approx(areas["aurc"] - areas["best"])
    assert areas["gain"] == pytest.approx(areas["random"] - areas["aurc"])


@given(ANSWERS, st.sampled_from((0.0, 0.1, 0.25, 0.5)))
def test_the_threshold_is_the_one_of_the_allowed_that_answers_most(answers, most_risk):
    confidence, wrong = split(answers)
    confidence[confidence == 0] = -np.inf  # nothing was read
    allowed = [c for c in confidence if np.isfinite(c) and wrong[confidence >= c].mean() <= most_risk + 1e-12]
    assert choose_threshold(confidence, wrong, most_risk) == min(allowed, default=None)


@given(ANSWERS, st.sampled_from((0.5, 0.8, 0.9, 1.0)))
def test_at_least_the_wished_share_is_answered_and_no_row_less_sure_than_one_that_is_not(answers, coverage):
    confidence, _ = split(answers)
    given = surest(confidence, coverage)
    assert given.mean() >= coverage - 1e-12
    assert given.all() or confidence[~given].max() < confidence[given].min()
    assert (confidence > confidence[given].min()).sum() < coverage * len(confidence)  # one block fewer is too few


# ------------------------------------------------------------------------------------------------ temperature


def draw_labels(temperature=1.0, n=400, n_labels=3, seed=0):
    """Log-likelihoods that are right at `temperature`."""
    draw = np.random.default_rng(seed)
    log_likelihoods = draw.normal(scale=2, size=(n, n_labels))
    cumulated = probabilities_at(log_likelihoods).cumsum(axis=1)
    return temperature * log_likelihoods - 40, (draw.random((n, 1)) > cumulated).sum(axis=1)


@pytest.mark.parametrize("temperature", [0.2, 1.0, 3.7, 40.0])
def test_the_temperature_is_where_scipy_finds_the_least_log_loss_of_scikit_learn(temperature):
    log_likelihoods, true = draw_labels(temperature)
    found = fit_temperature(log_likelihoods, true).value

    def loss(log_temperature):
        return log_loss(true, probabilities_at(log_likelihoods, math.exp(log_temperature)))

    at = math.log(temperature)
    expected = math.exp(minimize_scalar(loss, bounds=(at - 2, at + 2), method="bounded", options={"xatol": 1e-8}).x)
    assert found == pytest.approx(expected, rel=1e-4) and found == pytest.approx(temperature, rel=0.25)


def test_where_no_temperature_is_the_best_none_is_given_and_why_is_said():
    log_likelihoods, true = draw_labels()
    alike, either = np.tile([0.0, 1e-9], (4, 1)), np.array([0, 1, 0, 1])
    for values, of, why in (
        (log_likelihoods, log_likelihoods.argmax(axis=1), "right in every row"),
        (log_likelihoods[:1], log_likelihoods[:1].argmax(axis=1), "right in every row"),
        (log_likelihoods, log_likelihoods.argmin(axis=1), "no likelier than the others"),
        (alike, either, "no likelier than the others"),
        (1e-5 * (log_likelihoods + 40), true, "none above 0.001"),
    ):
        fitted = fit_temperature(values, of)
        assert fitted.value is None and why in fitted.why


@pytest.mark.parametrize("n_labels", [2, 3, 5])
def test_scores_of_probabilities_are_those_of_scikit_learn(n_labels):
    log_likelihoods, true = draw_labels(n_labels=n_labels)
    probabilities = probabilities_at(log_likelihoods, 1.7)
    assert surprise(log_likelihoods, true, 1.7).mean() == pytest.approx(log_loss(true, probabilities))
    expected = (
        brier_score_loss(true == 1, probabilities[:, 1])
        if n_labels == 2
        else brier_score_loss(true, probabilities, scale_by_half=False)
    )
    assert squared_error(probabilities, true).mean() == pytest.approx(expected)
    assert to_log_odds(log_likelihoods) == pytest.approx(logit(probabilities_at(log_likelihoods)))


def test_log_odds_tell_probabilities_apart_that_a_float_rounds_to_one():
    log_likelihoods = np.array([[0.0, -50.0], [0.0, -60.0]])
    assert (probabilities_at(log_likelihoods)[:, 0] == 1).all()
    assert to_log_odds(log_likelihoods)[:, 0].tolist() == [50.0, 60.0]


# ------------------------------------------------------------------------------------------------ conformal sets


class Answers:
    """A fitted classifier, or regressor, to MAPIE, whose inputs are the answers themselves."""

    def __init__(self, n_labels=0):
        self.classes_, self.is_fitted_ = np.arange(n_labels), True
        self._estimator_type = "classifier" if n_labels else "regressor"

    def fit(self, X, y):
        return self

    def predict_proba(self, X):
        return X

    def predict(self, X):
        return X.argmax(axis=1) if len(self.classes_) else X[:, 0]

    def get_params(self, deep=True):
        return {"n_labels": len(self.classes_)}

    def __sklearn_is_fitted__(self):
        return True

    def __sklearn_tags__(self):
        from sklearn.base import ClassifierMixin, RegressorMixin

        base = ClassifierMixin if len(self.classes_) else RegressorMixin
        return type("Tagged", (base,), {"__sklearn_tags__": base.__sklearn_tags__}).__sklearn_tags__(self)


@pytest.mark.parametrize("level", [0.5, 0.8, 0.9])
def test_sets_of_labels_of_one_row_a_subject_are_those_of_mapie(level):
    from mapie.classification import SplitConformalClassifier

    log_likelihoods, true = draw_labels()
    probabilities = probabilities_at(log_likelihoods)
    oracle = SplitConformalClassifier(Answers(3), level, "lac", prefit=True)
    _, expected = oracle.conformalize(probabilities[:150], true[:150]).predict_set(probabilities[150:])
    scores = -to_log_odds(log_likelihoods)
    quantile = quantile_over_subjects(scores[np.arange(150), true[:150]], range(150), level)
    assert np.array_equal(scores[150:] <= quantile, expected[:, :, 0])


@pytest.mark.parametrize("level", [0.5, 0.8, 0.9])
def test_intervals_of_one_row_a_subject_are_those_of_mapie(level):
    from mapie.regression import SplitConformalRegressor

    draw = np.random.default_rng(1)
    answered, noise = draw.normal(40, 9, (2, 99))
    true = answered + noise - 40
    oracle = SplitConformalRegressor(Answers(), level, prefit=True).conformalize(answered[:, None], true)
    _, ends = oracle.predict_interval(np.zeros((1, 1)))
    quantile = quantile_over_subjects(np.abs(answered - true), range(99), level)
    assert ends[0, :, 0] == pytest.approx([-quantile, quantile])


def draw_scores(draw, n_subjects, rows_each):
    """Scores whose spread within subjects is a quarter of that between them, of `rows_each` rows or 1, in turn."""
    rows_of = np.where(np.arange(n_subjects) % 2, 1, rows_each)
    subjects = np.repeat(np.arange(n_subjects), rows_of)
    return draw.normal(size=n_subjects)[subjects] + 0.25 * draw.normal(size=len(subjects)), subjects


@pytest.mark.parametrize(("n_subjects", "rows_each"), [(19, 1), (39, 8), (49, 3)])
def test_ninety_percent_of_new_subjects_rows_are_held_in_500_draws(n_subjects, rows_each):
    draw = np.random.default_rng(0)
    held = []
    for _ in range(500):
        scores, subjects = draw_scores(draw, n_subjects, rows_each)
        quantile = quantile_over_subjects(scores, subjects, 0.9)
        new, of = draw_scores(draw, 40, rows_each)
        held.append(share_of_subjects(new <= quantile, of).mean())
    assert np.mean(held) == pytest.approx(0.9, abs=0.02)


def test_rows_counted_as_if_each_were_a_subject_would_hold_too_few():
    draw, held = np.random.default_rng(0), []
    for _ in range(500):
        scores, new = np.repeat(draw.normal(size=12), 10), draw.normal(size=200)
        groups = (np.arange(120) // 10, np.arange(120))
        held.append([(new <= quantile_over_subjects(scores, subjects, 0.9)).mean() for subjects in groups])
    by_subject, by_row = np.mean(held, axis=0)
    assert by_subject > 0.9 and by_row < 0.86


def test_what_one_draw_of_subjects_comes_to_lies_within_the_luck_of_the_draw_in_95_percent():
    draw = np.random.default_rng(0)
    low, high = luck_of_the_draw(30, 0.9)
    quantiles = [quantile_over_subjects(scores, range(30), 0.9) for scores in draw.random((2000, 30))]
    assert np.mean([low <= q <= high for q in quantiles]) == pytest.approx(
        0.95, abs=0.015
    )  # of uniform scores q is held


@pytest.mark.parametrize("level", [0.5, 0.8, 0.9, 0.95, 0.99])
def test_the_least_number_of_subjects_is_where_the_quantile_becomes_a_number(level):
    n = least_subjects(level)
    scores = np.arange(2.0 * n)
    assert quantile_over_subjects(scores, np.arange(2 * n) // 2, level) == 2 * n - 1
    assert math.isinf(quantile_over_subjects(scores[2:], np.arange(2 * n - 2) // 2, level))


def test_answers_that_were_not_read_count_as_infinitely_wrong():
    assert quantile_over_subjects(np.array([1.0, 2.0, np.inf, 3.0]), range(4), 0.6) == 3.0
    assert math.isinf(quantile_over_subjects(np.array([1.0, np.inf, np.inf, 3.0]), range(4), 0.6))


def test_the_spread_of_a_subject_is_that_of_its_answers_that_were_read():
    answers = np.array([1.0, 3.0, 8.0, np.nan, 5.0, np.nan])
    spread = spread_of_subjects(answers, ["a", "a", "b", "b", "c", "a"])
    assert spread[[0, 1, 5]] == pytest.approx(np.std([1, 3], ddof=1)) and np.isnan(spread[2:5]).all()
