"""The gap between the best and the worst group: fairlearn's values, an interval that knows they were chosen."""

import json

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, recall_score

from umbrella.evaluation.evidence.group_gaps import measure_gaps
from umbrella.evaluation.statistics.differences import difference_interval
from umbrella.evaluation.statistics.group_gaps import find_gap
from umbrella.evaluation.statistics.measures import ACCURACY, measure_errors
from umbrella.evaluation.statistics.paired import compare_paired
from umbrella.report.group_gaps_section import list_gaps


def draw_groups(draw, chances, subjects_each=20, rows_each=1):
    """(scores, groups, subjects): right or not, by the chance of each group; subjects differ where they have rows."""
    spread = np.repeat(chances, subjects_each)
    if rows_each > 1:
        spread = draw.beta(3 * spread, 3 * (1 - spread))
    right = draw.random((len(spread), rows_each)) < spread[:, None]
    groups = np.repeat([f"site {i}" for i in range(len(chances))], subjects_each * rows_each)
    return right.ravel().astype(float), groups.tolist(), np.repeat(np.arange(len(spread)), rows_each).tolist()


@pytest.mark.slow
def test_gaps_and_equalised_odds_are_fairlearns():
    from fairlearn.metrics import MetricFrame, equalized_odds_difference

    draw = np.random.default_rng(0)
    truths = draw.choice(["ad", "cn"], 240)
    named = np.where(draw.random(240) < 0.7, truths, np.where(truths == "ad", "cn", "ad"))
    groups = draw.choice(["Basel", "Bergen", "Kyoto"], 240)
    right = (truths == named).astype(float)
    found = measure_gaps(ACCURACY, right, truths.tolist(), groups.tolist(), [f"s{i}" for i in range(240)])
    frame = MetricFrame(metrics=accuracy_score, y_true=truths, y_pred=named, sensitive_features=groups)
    assert found["gaps"][0]["gap"]["difference"] == pytest.approx(frame.difference())
    by_group = {name: entry["accuracy"] for name, entry in found["gaps"][0]["groups"].items()}
    assert by_group == pytest.approx(frame.by_group.to_dict())
    assert found["gaps"][0]["gap"]["best"] == frame.by_group.idxmax()
    for part, label in zip(found["gaps"][1:], ("ad", "cn"), strict=True):
        recalls = MetricFrame(
            metrics=lambda true, said, label=label: recall_score(true, said, pos_label=label),
            y_true=truths, y_pred=named, sensitive_features=groups,
        )  # fmt: skip
        assert (part["of"], part["gap"]["difference"]) == (label, pytest.approx(recalls.difference()))
    odds = equalized_odds_difference(truths == "ad", named == "ad", sensitive_features=groups)
    assert found["equalised_odds"]["difference"] == pytest.approx(odds)


def test_of_two_groups_the_interval_is_newcombes_cut_at_no_gap():
    """Newcombe 1998, table II, first example: 56 of 70 against 48 of 80, 0.0524 to 0.3339."""
    right = np.repeat([1.0, 0.0, 1.0, 0.0], [56, 14, 48, 32])
    groups = ["a"] * 70 + ["b"] * 80
    gap = find_gap(ACCURACY, right, groups, range(150))
    assert (gap.best, gap.worst, gap.difference) == ("a", "b", pytest.approx(0.2))
    assert gap.interval == pytest.approx((0.0524, 0.3339), abs=1e-4)
    turned = find_gap(ACCURACY, right, ["b"] * 70 + ["a"] * 80, range(150))
    assert (turned.best, turned.interval) == ("b", pytest.approx(gap.interval))
    few = find_gap(ACCURACY, right[::10], groups[::10], range(15))
    assert few.interval[0] == 0


@pytest.mark.slow
def test_of_equal_groups_the_gap_is_0_in_95_percent_of_draws_which_an_interval_of_the_chosen_two_denies():
    """Eight groups: of the best and the worst alone, taken as if they had been named beforehand, a fifth exclude 0."""
    draw, missed, missed_alone, seen, by_chance = np.random.default_rng(0), 0, 0, [], []
    for _ in range(150):
        scores, groups, subjects = draw_groups(draw, [0.75] * 8)
        gap = find_gap(ACCURACY, scores, groups, subjects)
        missed += gap.interval[0] > 0
        seen.append(gap.difference)
        by_chance.append(gap.by_chance)
        two = [i for i, group in enumerate(groups) if group in (gap.best, gap.worst)]
        inside = np.array([groups[i] == gap.best for i in two])
        missed_alone += difference_interval(ACCURACY, scores[two], inside, [subjects[i] for i in two])[0] > 0
    assert missed <= 0.08 * 150 and missed_alone >= 0.2 * 150
    assert np.mean(by_chance) == pytest.approx(np.mean(seen), rel=0.1)  # the bias that the sentence names


@pytest.mark.slow
@pytest.mark.parametrize(("subjects_each", "rows_each"), [(5, 1), (8, 4), (40, 4)])
def test_intervals_cover_a_gap_by_subjects_also_of_few(subjects_each, rows_each):
    draw, held = np.random.default_rng(1), 0
    for _ in range(80):
        low, high = find_gap(ACCURACY, *draw_groups(draw, [0.9, 0.9, 0.6], subjects_each, rows_each)).interval
        held += low <= 0.3 <= high
    assert held >= 0.93 * 80


def test_subjects_that_are_in_both_groups_make_the_interval_narrower():
    """40 subjects, each right or wrong in both groups: what they have in common is no difference."""
    right = np.tile(np.random.default_rng(0).random(40) < 0.7, 2).astype(float)
    groups = ["same"] * 40 + ["different"] * 40
    apart = find_gap(ACCURACY, right, groups, range(80))
    together = find_gap(ACCURACY, right, groups, [*range(40)] * 2)
    assert together.interval[1] < 0.4 * apart.interval[1] and together.by_chance < 0.2 * apart.by_chance
    # Not a single subject differs, from which no more is known than by the test of paired rows.
    paired = compare_paired(ACCURACY, right[:40], right[40:], range(40)).interval
    assert together.interval == pytest.approx((0, paired[1]), abs=0.02)
    few = measure_gaps(ACCURACY, np.tile(right[:20], 2), [None] * 40, groups[20:60], [*range(20)] * 2)["sentences"][0]
    assert "No two groups differ" not in few


def test_of_errors_the_worst_group_has_the_largest():
    truths = np.linspace(20, 80, 60)
    errors = np.abs(np.random.default_rng(0).normal(0, 1, 60)) + np.repeat([0, 5, 1], 20)
    gap = find_gap(measure_errors(truths), errors, np.repeat(["a", "b", "c"], 20).tolist(), range(60))
    assert (gap.best, gap.worst) == ("a", "b") and gap.interval[0] > 3


def gaps_of(scores, groups, truths=None, subjects=None):
    truths = truths or ["ad", "cn"] * (len(scores) // 2)
    subjects = subjects or [f"s{i}" for i in range(len(scores))]
    found = measure_gaps(ACCURACY, np.array(scores, float), truths, groups, subjects)
    json.dumps(found, allow_nan=False)
    return found


def test_a_group_of_three_subjects_and_rows_without_a_group_are_named_and_not_ranked():
    groups = ["Basel"] * 20 + ["Bergen"] * 20 + ["Kyoto"] * 6 + ["not stated"] * 10
    subjects = [f"s{i}" for i in range(40)] + [f"k{i // 2}" for i in range(6)] + [f"n{i}" for i in range(10)]
    found = gaps_of([1] * 15 + [0] * 5 + [1] * 20 + [0] * 16, groups, subjects=subjects)
    gap = found["gaps"][0]
    assert (gap["gap"]["worst"], list(gap["left_out"])) == ("Basel", ["Kyoto", "not stated"])
    sentence = found["sentences"][0]
    assert sentence.startswith(
        "the accuracy is best of Bergen (100.0 %, 20 rows of 20 subjects) and worst of Basel (75.0 %, 20 rows of 20 "
        "subjects): a gap of 25.0 points, 95 % interval"
    )
    assert "Kyoto (6 rows of 3 subjects), not stated (10 rows of 10 subjects)" in found["sentences"][1]


def test_one_group_and_equal_groups_are_said():
    one = gaps_of([1, 0] * 10, ["Basel"] * 20)
    assert one["sentences"] == ["there is no gap to measure, which takes two groups; ranked: Basel."]
    assert one["equalised_odds"] is None
    equal = gaps_of([1] * 40, ["Basel"] * 20 + ["Bergen"] * 20)
    assert "all 2 groups have the accuracy 100.0 %: a gap of 0.0 points, 95 % interval 0.0 to" in equal["sentences"][0]
    assert "Too few rows to tell whether any two groups differ" in equal["sentences"][0]
    # Of rows that all agree nothing is known of what chance would show, a gap of 0 least of all.
    assert equal["gaps"][0]["gap"]["by_chance"] is None and "by chance" not in equal["sentences"][0]
    assert (
        "All rows have the same score, which tells nothing of the gap that chance would make" in equal["sentences"][0]
    )
    assert {row["chance"] for row in list_gaps({"by": {"site": equal}}, ACCURACY) if row["of"] == "accuracy"} == {
        "not known"
    }
    assert equal["gaps"][0]["gap"]["interval"][1] > 0.1  # all right is not certainty
    of_one_label = gaps_of([1, 0] * 20, ["Basel"] * 20 + ["Bergen"] * 20, truths=["ad"] * 20 + ["cn"] * 20)
    assert of_one_label["equalised_odds"] is None
    assert (
        "no equalised odds difference: fewer than two groups have 5 subjects of ad or cn"
        in of_one_label["sentences"][1]
    )


def test_groups_whose_errors_are_all_the_same_have_no_interval_and_no_nan():
    measure = measure_errors([20.0, 80.0])
    groups = ["a"] * 10 + ["b"] * 10
    found = measure_gaps(measure, np.array([2.0] * 10 + [*range(10)]), [None] * 20, groups, list(map(str, range(20))))
    assert json.dumps(found, allow_nan=False) and found["gaps"][0]["gap"]["interval"] is None
    assert "no interval: in a group all subjects have the same error. " in found["sentences"][0]
    assert "Whether they differ cannot be told." in found["sentences"][0]
