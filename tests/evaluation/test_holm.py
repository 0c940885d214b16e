"""Holm's correction as statsmodels has it; what a verdict says rests on the corrected p."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from umbrella.evaluation.control_scores import compare_labels
from umbrella.evaluation.controls import Control
from umbrella.evaluation.statistics.holm import correct_by_holm, z_of_strictest
from umbrella.evaluation.statistics.measures import ACCURACY
from umbrella.evaluation.statistics.paired import compare_paired, correct_entries


@pytest.mark.slow
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_corrected_p_values_are_those_of_statsmodels(p_values):
    assert correct_by_holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1].tolist())


def test_no_tests_need_no_correction_and_the_strictest_step_is_bonferronis():
    assert correct_by_holm([]) == [] and correct_entries({}) == {}
    assert z_of_strictest(1) == pytest.approx(1.95996, abs=1e-5)
    assert z_of_strictest(5) == pytest.approx(2.57583, abs=1e-5)  # of 0.05 / 5, two-sided


def lose(n_lost, n_tests, n=20):
    scores = ([True] * n, [False] * n_lost + [True] * (n - n_lost))
    return {"paired": compare_paired(ACCURACY, *scores, range(n), n_tests=n_tests).to_dict()}


def test_a_difference_of_its_own_is_none_among_many_until_enough_subjects_show_it():
    """6 of 20 subjects lost: p = 1/64; among four tests of which no other shows anything, 1/16."""
    assert lose(6, 1)["paired"]["outcome"] == "better"
    alone, none, *_ = correct_entries({"a": lose(6, 4), **{name: lose(0, 4) for name in "bcd"}}).values()
    assert (alone["paired"]["p"], alone["paired"]["p_holm"]) == (1 / 64, 1 / 16)
    assert alone["paired"]["outcome"] == "unclear" and none["paired"]["p_holm"] == 1.0
    times = -(-alone["paired"]["needed"] // 20)
    assert times > 1 and compare_paired(ACCURACY, [True] * 20 * times, ([False] * 6 + [True] * 14) * times,
                                        range(20 * times), n_tests=4).outcome == "better"  # fmt: skip


def test_holm_tells_what_bonferronis_bound_would_not():
    """The second largest of two is multiplied by 1: p = 1/64 beside 1/2**12."""
    found = correct_entries({"a": lose(12, 2), "b": lose(6, 2)})
    assert [entry["paired"]["p_holm"] for entry in found.values()] == [2 / 2**12, 1 / 64]
    assert [entry["paired"]["outcome"] for entry in found.values()] == ["better", "better"]


def test_a_family_is_whole():
    with pytest.raises(ValueError, match="b: expected one of 2 tests, found one of 3"):
        correct_entries({"a": lose(12, 2), "b": lose(6, 3)})


def test_verdicts_of_controls_rest_on_p_corrected_over_all_of_them():
    """Six of six answers lost under one control: alone p = 1/64 says that the scan is used; beside five others that
    change nothing, six subjects are too few."""
    labels = ["a", "b"] * 3
    records = [{"parsed_label": label, "expected_label": label} for label in labels]
    other = [{"parsed_label": {"a": "b", "b": "a"}[label]} for label in labels]
    names = ("reference_same_label", "reference_other_label", "scans_blanked", "text_only", "mirror")
    for n_others, verdict in ((0, "uses"), (5, "cannot tell")):
        control = Control("subject_swapped", "swapped", None, list(range(6)))
        exchanged = {"subject_swapped": (control, other)}
        exchanged |= {name: (Control(name, name, None, list(range(6))), records) for name in names[:n_others]}
        found = compare_labels(records, exchanged, list("uvwxyz"))
        paired = found["controls"]["subject_swapped"]["paired"]
        expected = multipletests([control["paired"]["p"] for control in found["controls"].values()], method="holm")[1]
        assert paired["p_holm"] == pytest.approx(expected[0]) and paired["n_tests"] == 1 + n_others
        assert found["verdicts"]["subject"]["verdict"] == verdict
        said = "p = 0.016, corrected over 6 tests p = 0.094, sign flips" in found["verdicts"]["subject"]["sentence"]
        assert said == (n_others == 5)
    assert np.isfinite(paired["needed"])
