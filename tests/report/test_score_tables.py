"""Tables, charts and cards give one number in the same digits, and leave out what an older version judged wrongly."""

import json
from types import SimpleNamespace

import pytest
from datasets import Dataset

from umbrella.evaluation.results import summarize_classification, summarize_regression
from umbrella.evaluation.side_analyses import check_names
from umbrella.evaluation.statistics.intervals import bootstrap
from umbrella.evaluation.statistics.measures import ACCURACY, measure_errors
from umbrella.evaluation.summary import summarize_as_text
from umbrella.hub.cards import build_model_card
from umbrella.report.charts import draw_scores
from umbrella.report.score_tables import list_controls

PAIRED = {"p": 0.0312, "p_holm": 0.0624}
SHUFFLED = {"title": "scans shuffled", "n": 16, "n_subjects": 8, "changed": 0.5, "changed_interval": [0.2, 0.8]}
OLD_SENTENCE = "The model does not use the subject's scan: McNemar p = 0.125."


def test_a_bar_and_its_row_in_the_table_have_the_same_digits():
    years = measure_errors([20.0, 60.0])
    for measure, score, shown in ((ACCURACY, 0.4375, "43.8 %"), (years, 16.8125, "16.8"), (years, 1234.5, "1,234")):
        control = SHUFFLED | {measure.key: score, f"{measure.key}_interval": [score / 2, score], "paired": PAIRED}
        row = list_controls({"controls": {"scans_shuffled": control}}, measure)[0]
        assert (row["score"], row["p"], row["rows"]) == (shown, "0.031", "16 rows of 8 subjects")
        assert row["p_holm"] == "0.062"
        svg = draw_scores(["real run", "scans shuffled"], [score, score], [None, (score / 2, score)], measure)
        assert svg.count(f"<!-- {shown} -->") == 2


def test_signs_that_the_charts_font_lacks_are_left_to_the_browser(recwarn):
    svg = draw_scores(["日本", "Zürich"], [0.5, 1.0], [None, None], ACCURACY)
    assert ">日本</text>" in svg and not recwarn.list
    assert "<text" not in draw_scores(["Zürich", "Genève"], [0.5, 1.0], [None, None], ACCURACY)


@pytest.mark.slow
def test_accuracy_balanced_accuracy_and_the_vote_have_one_kind_of_interval():
    """16 rows of 8 subjects, all right: Wilson's interval for 8 of 8; no resample of macro F1 or AUROC differs."""
    labels = ["a", "b"]
    surely = {label: {other: float(other == label) for other in labels} for label in labels}
    records = [
        {"parsed_label": label, "expected_label": label, "probabilities": surely[label]} for label in labels * 8
    ]
    subjects = [f"s{i % 2}{i // 4}" for i in range(16)]
    found = summarize_classification(records, subjects, labels, 200, 0)
    expected = pytest.approx([0.6756, 1.0], abs=1e-4)
    for name in ("accuracy", "balanced_accuracy", "accuracy_scored"):
        assert list(found["metrics"][name]["interval"]) == expected, name
    assert list(found["majority_vote"]["interval"]) == expected
    assert found["metrics"]["macro_f1"] == found["metrics"]["auroc"] == {"value": 1.0, "interval": None}


@pytest.mark.slow
def test_an_unread_number_is_as_far_off_in_every_resample_as_in_all_rows():
    """One of 30 answers is unread, 29 from the farthest true age; the others are right: the mean error is 29 / 30."""
    records = [{"parsed_number": 40.0 + i if i else None, "expected_number": 40.0 + i} for i in range(30)]
    metrics = summarize_regression(records, list(range(30)), 400, 0)["metrics"]
    by_errors = bootstrap(lambda rows: {"r2": 1 - 29**2 * (rows == 0).mean() / rows.var()}, list(range(30)), 400, 0)
    assert metrics["mae"]["value"] == pytest.approx(29 / 30)
    assert metrics["r2"]["interval"] == pytest.approx(by_errors["r2"])
    assert metrics["rmse"]["interval"] == pytest.approx([0, (29 * metrics["mae"]["interval"][1]) ** 0.5])


def test_the_terminal_shows_each_headline_with_its_interval():
    metrics = {
        "n": 8, "n_subjects": 4, "unparseable": 1,
        "metrics": {"mae": {"value": 2.625, "interval": [1.5, 4.0]}, "r2": {"value": 0.5, "interval": None}},
        "controls": {"text_only": {"mae": 9.0, "mae_interval": [5.0, 12.0]}},
        "verdicts": {"text": {"sentence": "The scans add."}},
        "baselines": {"models": {"mean": {"sentence": "Too few rows to tell."}}},
    }  # fmt: skip
    assert summarize_as_text(metrics).splitlines() == [
        "n                                8",
        "n_subjects                       4",
        "unparseable                      1",
        "mae                              2.625  (95 % interval 1.500 to 4.000)",
        "r2                               0.500  (no interval)",
        "mae_text_only                    9.000  (95 % interval 5.000 to 12.000)",
        "Too few rows to tell.",
        "The scans add.",
    ]


def write_card(folder, control):
    metrics = {
        "split": "test",
        "n": 16,
        "n_subjects": 8,
        "metrics": {"mae": {"value": 2.625, "interval": [1.5, 4.0]}},
        "controls": {"scans_shuffled": SHUFFLED | control},
        "verdicts": {"subject": {"verdict": "ignores", "sentence": OLD_SENTENCE}},
    }
    (folder / "eval").mkdir(exist_ok=True)
    (folder / "eval/metrics.json").write_text(json.dumps(metrics))
    options = SimpleNamespace(license="mit", languages=["en"], base_model=None, with_code=False)
    return str(build_model_card(folder, "tester/model", options, {}))


def test_a_card_shows_errors_under_controls_and_repeats_no_verdict_of_rows_taken_as_independent(tmp_path):
    card = write_card(tmp_path, {"mae": 9.0, "mae_interval": [5.0, 12.0], "paired": PAIRED})
    assert "| mean absolute error, scans shuffled | 9.000 | 5.000 to 12.000 |" in card and OLD_SENTENCE in card
    card = write_card(tmp_path, {"accuracy": 0.5, "accuracy_interval": [0.4, 0.6], "mcnemar_p": 0.125})
    assert "| accuracy, scans shuffled | 0.500 | 0.400 to 0.600 |" in card
    assert OLD_SENTENCE not in card and "Run eval.py again, which judges by subject" in card


def test_groups_and_confounds_are_refused_where_the_task_has_no_use_for_them():
    for by, confounds, task in ((None, ["age"], "regression"), (None, ["age"], "text"), (["sex"], None, "text")):
        with pytest.raises(ValueError, match=r"^(--confounds: expected labels|--by: expected answers)"):
            check_names(SimpleNamespace(by=by, confounds=confounds, positive_label=None, site_tell=None), None, task)
    check_names(
        SimpleNamespace(by=None, confounds=["head_volume"], positive_label=None, site_tell=None),
        None,
        "classification",
    )


def test_ages_as_they_are_are_no_groups_and_numbers_that_name_sites_are():
    """30 ages of a subject each give sentences and tables of 30 lines; 30 sites of 5 subjects are asked for."""
    rows = [
        {"task_id": str(i), "metadata": {"subject_id": f"s{i}", "extra": json.dumps({"age": i // 5, "site": i % 30})}}
        for i in range(150)
    ]
    asked = SimpleNamespace(by=["site"], confounds=None, positive_label=None, site_tell=None)
    check_names(asked, Dataset.from_list(rows), "classification")
    few = Dataset.from_list(rows[::4])
    for flag, more in (("by", {"by": ["age"]}), ("site_tell", {"by": None, "site_tell": "age"})):
        with pytest.raises(ValueError, match=f"--{flag} age: expected groups, found 30 .* --{flag} age_bin"):
            check_names(SimpleNamespace(**vars(asked) | more), few, "classification")
    check_names(SimpleNamespace(**vars(asked) | {"by": ["age_bin"]}), few, "classification")
