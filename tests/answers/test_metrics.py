"""Metrics: scikit-learn's, scipy's and sacrebleu's own figures; unparseable answers stay in the denominator."""

import evaluate
import numpy as np
import pytest
import sacrebleu
from hypothesis import given
from hypothesis import strategies as st
from properties import examples
from scipy.stats import pearsonr
from sklearn import metrics as sk

from umbrella.answers.metrics import (
    classification_metrics,
    confusion,
    explain_undefined,
    majority_vote,
    regression_metrics,
)
from umbrella.answers.text_metrics import TextMetrics
from umbrella.evaluation.results import summarize_regression
from umbrella.evaluation.summary import summarize_as_text

LABELS = ["a", "b", "c"]


@examples(40)
@given(st.integers(0, 10**6), st.integers(2, 3))
def test_classification_equals_scikit_learn_on_random_answers(seed, n_labels):
    draw = np.random.default_rng(seed)
    true = np.r_[np.arange(n_labels), draw.integers(0, n_labels, 40)]
    predicted = np.r_[np.arange(n_labels), draw.integers(0, n_labels, 40)]
    probabilities = draw.dirichlet(np.ones(n_labels), len(true))
    found = classification_metrics(true, predicted, LABELS[:n_labels], probabilities)
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(true, predicted))
    assert found["balanced_accuracy"] == pytest.approx(sk.balanced_accuracy_score(true, predicted))
    assert found["macro_f1"] == pytest.approx(sk.f1_score(true, predicted, average="macro"))
    for i, label in enumerate(LABELS[:n_labels]):
        assert found[f"sensitivity_{label}"] == pytest.approx(sk.recall_score(true == i, predicted == i))
        assert found[f"specificity_{label}"] == pytest.approx(sk.recall_score(true != i, predicted != i))
    one_hot = np.eye(n_labels)[true]
    squares = ((probabilities - one_hot) ** 2).sum(axis=1).mean()
    if n_labels == 2:
        assert found["auroc"] == pytest.approx(sk.roc_auc_score(true, probabilities[:, 1]))
        assert found["brier"] == pytest.approx(squares / 2)
    else:
        assert found["auroc"] == pytest.approx(sk.roc_auc_score(true, probabilities, multi_class="ovr"))
        assert found["brier"] == pytest.approx(squares)


def test_an_unparseable_answer_is_wrong_in_every_metric():
    """Four rows of each label; one answer to a row of each is unparseable (2), all else right."""
    true, predicted = np.array([0, 0, 0, 0, 1, 1, 1, 1]), np.array([0, 0, 0, 2, 1, 1, 1, 2])
    found = classification_metrics(true, predicted, ["a", "b"])
    for name in ("accuracy", "balanced_accuracy", "sensitivity_a", "specificity_a", "sensitivity_b", "specificity_b"):
        assert found[name] == 0.75, name
    assert confusion(["a", None, "b"], ["a", "a", "a"], ["a", "b"]).tolist() == [[1, 1, 1], [0, 0, 0]]


def test_calibration_error_by_hand():
    """Ten rows at confidence 0.9 of which half are right: off by 0.4. Ten at 0.6 of which 6 are right: not off."""
    probabilities = np.array([[0.9, 0.1]] * 10 + [[0.6, 0.4]] * 10)
    true = np.array([0, 1] * 5 + [0] * 6 + [1] * 4)
    assert classification_metrics(true, true, ["a", "b"], probabilities)["ece"] == pytest.approx(0.2)


def test_one_class_alone_leaves_metrics_undefined_with_a_reason():
    true = np.zeros(4, int)
    found = classification_metrics(true, true, ["a", "b"], np.full((4, 2), 0.5))
    assert not {"auroc", "sensitivity_b", "specificity_a"} & set(found)
    reasons = explain_undefined(true, ["a", "b"], has_probabilities=True)
    assert reasons["auroc"] == "needs rows of each label; none has 'b'"
    assert set(reasons) == {"auroc", "sensitivity_b", "specificity_a"}


def test_majority_vote_counts_subjects_and_a_tie_is_no_answer():
    votes = majority_vote(["x", "x", "x", "y", "y"], ["a", "a", "b", "a", "b"], ["a", "a", "a", "b", "b"])
    assert votes == (["a", None], ["a", "b"])
    assert majority_vote(["x", "x"], ["a", "b"], ["a", "b"]) is None


@examples(30)
@given(st.integers(0, 10**6))
def test_regression_equals_scikit_learn_and_scipy_on_random_numbers(seed):
    draw = np.random.default_rng(seed)
    expected, predicted = draw.normal(50, 10, 30), draw.normal(50, 10, 30)
    found = regression_metrics(predicted.tolist(), expected)
    assert found["mae"] == pytest.approx(sk.mean_absolute_error(expected, predicted))
    assert found["rmse"] == pytest.approx(sk.mean_squared_error(expected, predicted) ** 0.5)
    assert found["r2"] == pytest.approx(sk.r2_score(expected, predicted))
    assert found["pearson_r"] == pytest.approx(pearsonr(expected, predicted).statistic)


def test_an_unparseable_number_has_the_largest_error_in_range():
    assert regression_metrics([20.0, None, 60.0], [20.0, 30.0, 60.0])["mae"] == pytest.approx(10.0)


@pytest.mark.parametrize(
    ("answered", "expected", "reason"),
    [
        ([None, None, None], [20.0, 30.0, 60.0], "no answer could be read as a number"),
        ([50.0, None, 50.0], [20.0, 30.0, 60.0], "all answers that could be read are one and the same number"),
        ([20.0, 31.0, 50.0], [30.0, 30.0, 30.0], "all true numbers are one and the same"),
    ],
)
def test_numbers_that_stand_in_for_unread_answers_alone_have_no_correlation(answered, expected, reason):
    """They are chosen by the truth: with it they would correlate at -0.97."""
    records = [
        {"parsed_number": a, "expected_number": e, "prediction": ""} for a, e in zip(answered, expected, strict=True)
    ]
    found = summarize_regression(records, ["a", "b", "c"], 50, 0)
    assert found["metrics"]["pearson_r"] == {"value": None, "interval": None} and found["metrics"]["mae"]["value"] > 0
    assert found["undefined"]["pearson_r"] == reason and ("r2" in found["undefined"]) == ("true" in reason)
    assert "pearson_r                        not known" in summarize_as_text(found | {"controls": {}, "verdicts": {}})
    one_read = regression_metrics([None, 31.0, 50.0], [20.0, 30.0, 60.0])
    assert one_read["pearson_r"] == pytest.approx(pearsonr([20, 30, 60], [60, 31, 50]).statistic)


def test_free_text_equals_sacrebleu_and_exact_match():
    predictions = ["the cat sat on the mat", "a small dog", "hello there my old friend"]
    references = ["the cat sat on a mat", "a small dog", "hello there old friend"]
    measure = TextMetrics(predictions, references)
    found = measure()
    assert found["bleu"] == pytest.approx(sacrebleu.corpus_bleu(predictions, [references]).score)
    assert found["exact_match"] == pytest.approx(1 / 3)
    assert found["rouge_l"] == pytest.approx((10 / 12 + 1 + 8 / 9) / 3)
    picked = measure(np.array([0, 0, 2]))
    twice = [[texts[i] for i in (0, 0, 2)] for texts in (predictions, references)]
    assert picked["bleu"] == pytest.approx(sacrebleu.corpus_bleu(twice[0], [twice[1]]).score)


@pytest.mark.parametrize(
    ("name", "predictions", "references", "options", "expected"),
    [
        ("classification", ["It is male.", "not male"], ["male", "male"], {"labels": ["male", "female"]}, 0.5),
        ("classification", ["It is male.", "FEMALE"], ["Male", "female"], {}, 1.0),
        ("regression", ["45 years", "50"], ["40", "50"], {"unit": "years"}, 2.5),
        ("regression", ["1.234,5", "2,5"], ["1234,5", "3,5"], {}, 0.5),
        ("text", ["a b c d", "e"], ["a b c d", "f"], {}, 0.5),
    ],
)
def test_the_evaluate_modules_load_offline_from_the_repository(
    name, predictions, references, options, expected, request
):
    module = evaluate.load(str(request.config.rootpath / f"recipes/umbrella/evaluate_modules/umbrella_{name}.py"))
    found = module.compute(predictions=predictions, references=references, **options)
    key = {"classification": "accuracy", "regression": "mae", "text": "exact_match"}[name]
    assert found[key] == pytest.approx(expected)


def test_a_true_number_that_is_none_is_refused(request):
    module = evaluate.load(str(request.config.rootpath / "recipes/umbrella/evaluate_modules/umbrella_regression.py"))
    with pytest.raises(ValueError, match=r"found 'unknown'\. Leave its row out\."):
        module.compute(predictions=["45", "50"], references=["40", "unknown"])
    assert module.compute(predictions=["45"], references=["40"])["mae"] == 5
