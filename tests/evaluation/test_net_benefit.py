"""Net benefit: dcurves' values, intervals that cover by subjects, and no label that is taken for the one to act on."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from umbrella.answers.reading import LabelReading
from umbrella.evaluation.evidence.net_benefit import describe_net_benefit, gather_net_benefit
from umbrella.evaluation.questions import Classification, Regression
from umbrella.evaluation.side_analyses import check_names
from umbrella.evaluation.statistics.net_benefit import THRESHOLDS, make_decision_curve


def draw_rows(draw, n_subjects, rows_each=1, knows=True):
    """(positive or not, probabilities): calibrated but for noise, or drawn without a look at the truth."""
    chance = draw.beta(1.2, 1.8, n_subjects) if knows else np.full(n_subjects, 0.4)
    positive = np.repeat(draw.random(n_subjects) < chance, rows_each)
    said = np.repeat(chance if knows else draw.random(n_subjects), rows_each)
    return positive, np.clip(said + draw.normal(0, 0.05, len(said)), 0, 1)


@pytest.mark.slow
def test_net_benefits_are_those_of_dcurves():
    import pandas as pd
    from dcurves import dca

    positive, said = draw_rows(np.random.default_rng(0), 150)
    said[:10] = np.round(said[:10], 1)  # some lie on a threshold
    table = pd.DataFrame({"truth": positive.astype(int), "model": said})
    expected = dca(data=table, outcome="truth", modelnames=["model"], thresholds=np.array(THRESHOLDS))
    curve = make_decision_curve(positive, said, range(150))
    for name, found in (("model", curve.model), ("all", curve.treat_all), ("none", [0] * len(THRESHOLDS))):
        assert expected[expected["model"] == name]["net_benefit"].tolist() == pytest.approx(found)
    assert curve.prevalence == pytest.approx(positive.mean())


def test_a_false_positive_weighs_the_odds_of_the_threshold():
    """Of 10, at 20 %: 4 true and 4 false positives, each of which weighs a quarter."""
    curve = make_decision_curve([True] * 5 + [False] * 5, [0.9] * 4 + [0.1] + [0.2] * 4 + [0.1], range(10))
    at = curve.thresholds.index(0.2)
    assert curve.model[at] == pytest.approx(0.4 - 0.4 / 4) and curve.treat_all[at] == pytest.approx(0.5 - 0.5 / 4)
    at = curve.thresholds.index(0.25)
    assert curve.model[at] == pytest.approx(0.4) and curve.treat_all[at] == pytest.approx(0.5 - 0.5 / 3)


@pytest.mark.slow
def test_intervals_cover_at_every_threshold_also_where_no_false_positive_was_seen():
    """A bootstrap's percentiles cover 3 % of draws at 90 and 95 %, where it has seen none."""
    draw = np.random.default_rng(0)
    true = make_decision_curve(*draw_rows(draw, 100_000), np.zeros(100_000, int)).model
    subjects = np.repeat(np.arange(40), 4)
    held = []
    for _ in range(50):
        curve = make_decision_curve(*draw_rows(draw, 40, 4), subjects, n_resamples=2)
        held.append([low <= value <= high for value, (low, high) in zip(true, curve.intervals, strict=True)])
    covered = np.mean(held, axis=0)
    assert covered.min() >= 0.84 and covered.mean() > 0.93


@pytest.mark.slow
def test_a_model_that_knows_nothing_is_useful_at_no_threshold_and_one_that_knows_is_at_many():
    draw, n_claims = np.random.default_rng(0), 0
    for seed in range(20):
        curve = make_decision_curve(*draw_rows(draw, 60, knows=False), range(60), 100, seed)
        n_claims += any(curve.is_useful)
    assert n_claims <= 1
    positive = draw.random(100) < 0.4
    knows = make_decision_curve(positive, np.clip(positive * 0.8 + 0.1 + draw.normal(0, 0.05, 100), 0, 1), range(100))
    assert sum(knows.is_useful) >= 8


def make_records(positive, said):
    return [
        {"expected_label": "ad" if is_ad else "cn", "probabilities": {"ad": p, "cn": 1 - p}}
        for is_ad, p in zip(positive, said, strict=True)
    ]


SUBJECTS = [f"s{i}" for i in range(60)]
TWO = Classification(LabelReading(("ad", "cn")), "It is {label}.")
THREE = Classification(LabelReading(("ad", "cn", "mci")), "It is {label}.")


def gather(question, positive_label, records=None):
    records = records or make_records(*draw_rows(np.random.default_rng(1), 60))
    asked = SimpleNamespace(positive_label=positive_label, bootstrap=100, seed=0)
    return gather_net_benefit(question, asked, records, SUBJECTS[: len(records)])


def test_which_of_two_labels_is_acted_on_is_never_guessed():
    both = gather(TWO, None)
    assert [curve["label"] for curve in both["curves"]] == ["ad", "cn"]
    assert both["sentences"][0] == (
        "Net benefit: whether ad or cn is the label to act on is not stated, so both are shown; the "
        "option positive_label of eval.py names one."
    )
    named = gather(TWO, "cn")
    assert [curve["label"] for curve in named["curves"]] == ["cn"] and len(named["sentences"]) == 1
    assert json.dumps([both, named], allow_nan=False)


def test_of_three_labels_one_is_judged_where_it_is_named_and_numbers_have_none():
    records = [
        record | {"probabilities": {**record["probabilities"], "mci": 0.0}} for record in make_records([1, 0], [1, 0])
    ]
    assert gather(THREE, None, records) is None
    assert [curve["label"] for curve in gather(THREE, "ad", records)["curves"]] == ["ad"]
    assert gather(Regression(None), None, records) is None


def test_one_label_alone_and_one_subject_alone_are_said():
    only = gather(TWO, None, make_records([1, 1, 1], [0.9, 0.2, 0.4]))
    assert only["curves"] == [] and "all rows have the label ad" in only["sentences"][0]
    found = describe_net_benefit(make_records([1, 0], [0.9, 0.2]), ["one", "one"], ["ad"], 50, 0)
    assert found["curves"][0]["intervals"] is None and not any(found["curves"][0]["is_useful"])
    assert found["sentences"][0].endswith("of a single subject nothing can be said of others.")


def test_what_looks_useful_and_what_is_shown_to_be_are_told_apart():
    few = describe_net_benefit(make_records([1, 1, 0, 0], [0.9, 0.8, 0.1, 0.2]), list("abcd"), ["ad"], 50, 0)
    assert "looks better than acting on everybody and on nobody at thresholds of 15 to 90 %" in few["sentences"][0]
    assert few["sentences"][0].endswith("but 4 subjects are too few to show it at any.")
    wrong = describe_net_benefit(make_records([1, 1, 0, 0], [0.1, 0.2, 0.9, 0.8]), list("abcd"), ["ad"], 50, 0)
    assert "is at no threshold better than the better of" in wrong["sentences"][0]


@pytest.mark.parametrize(
    ("task", "labels", "found"),
    [("classification", ["ad", "cn"], "the labels ad, cn"), ("regression", [], "regression, which has no labels")],
)
def test_a_positive_label_that_is_none_of_the_labels_is_refused(task, labels, found):
    asked = SimpleNamespace(positive_label="AD", by=None, confounds=None)
    with pytest.raises(ValueError, match=f"--positive_label: expected one of the labels, found 'AD' beside {found}"):
        check_names(asked, None, task, labels)
