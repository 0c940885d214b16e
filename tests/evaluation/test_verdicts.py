"""What a sentence claims, the rows show: yes, no, or too few rows to tell with the number that would."""

import math

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from paired_oracle import mcnemar_mid_p
from properties import examples
from scipy.stats import binomtest, t

from umbrella.evaluation.control_scores import compare_numbers, compare_texts
from umbrella.evaluation.controls import Control
from umbrella.evaluation.statistics.measures import ACCURACY, MARGIN, measure_errors
from umbrella.evaluation.statistics.paired import compare_paired
from umbrella.evaluation.verdicts import compare_with_control, judge, judge_beside, judge_two

TRUTH = ["a", "b"] * 50
REVERSED = ["b", "a"] * 50


def make_control(real, control, expected, subjects=None):
    """A row a subject, unless subjects are named."""
    scores = [[label == truth for label, truth in zip(of_run, expected, strict=True)] for of_run in (real, control)]
    changed = [before != after for before, after in zip(real, control, strict=True)]
    return compare_with_control(ACCURACY, *scores, changed, subjects or [f"s{i}" for i in range(len(real))])


def test_a_model_that_reads_a_scan_is_told_from_one_that_does_not():
    reads = make_control(TRUTH, REVERSED, TRUTH)
    assert (reads["accuracy_real"], reads["accuracy"], reads["changed"]) == (1.0, 0.0, 1.0)
    deaf = make_control(TRUTH, TRUTH, TRUTH)
    assert (deaf["changed"], deaf["paired"]["p"]) == (0.0, 1.0)
    verdicts = judge({"subject_swapped": reads, "reference_reversed": deaf, "text_only": deaf}, ACCURACY)
    assert [verdicts[key]["verdict"] for key in ("subject", "reference", "text")] == [
        "uses",
        "ignores",
        "text suffices",
    ]
    assert verdicts["subject"]["sentence"].startswith(
        "The model uses the subject's scan: exchanging it changes 100.0 %"
    )
    assert verdicts["reference"]["sentence"].startswith("The model does not use the reference scan: ")
    assert "The text alone does as well as the scans, within 10 points" in verdicts["text"]["sentence"]


def test_changed_answers_without_a_loss_are_a_reaction_not_a_use():
    """A fifth of 400 answers change, as often from wrong to right as back."""
    truth, other = TRUTH * 4, REVERSED * 4
    result = make_control(other[:40] + truth[40:], truth[:40] + other[40:80] + truth[80:], truth)
    assert (result["changed"], result["accuracy"] == result["accuracy_real"]) == (0.2, True)
    verdict = judge({"reference_other_label": result}, ACCURACY)["reference"]
    assert verdict["verdict"] == "reacts"
    assert "does not use the reference scan to get its answers right, though it reacts to it" in verdict["sentence"]


def test_eight_rows_do_not_show_that_the_text_does_as_well():
    """With scans all are right, without them half: p = 0.0625."""
    found = make_control(TRUTH[:8], REVERSED[:4] + TRUTH[4:8], TRUTH[:8])
    assert found["paired"]["p"] == 0.0625
    verdict = judge({"text_only": found}, ACCURACY)["text"]
    assert verdict["verdict"] == "cannot tell"
    assert "as well as the scans: without any scan the accuracy is 50.0 %" in verdict["sentence"]
    assert "About 14 subjects instead of 8 would, at the observed spread" in verdict["sentence"]


def test_four_rows_do_not_show_that_a_scan_is_not_used():
    """All right with the subject's scan, none with another's: p = 0.0625."""
    verdict = judge({"subject_swapped": make_control(TRUTH[:4], REVERSED[:4], TRUTH[:4])}, ACCURACY)["subject"]
    assert verdict["verdict"] == "cannot tell"
    assert verdict["sentence"].startswith("Too few rows to tell whether the model uses the subject's scan, though it")
    assert "About 6 subjects instead of 4 would" in verdict["sentence"]


def test_a_single_subject_shows_nothing_however_many_its_rows():
    found = make_control(TRUTH, REVERSED, TRUTH, ["s"] * 100)
    verdicts = judge(dict.fromkeys(("subject_swapped", "reference_reversed", "text_only"), found), ACCURACY)
    assert {verdict["verdict"] for verdict in verdicts.values()} == {"cannot tell"}
    assert all("Too few rows" in verdict["sentence"] for verdict in verdicts.values())


rows_of_two_runs = st.lists(st.sampled_from(["both", "both", "lost", "gained", "neither"]), min_size=1, max_size=70)


def to_scores(outcomes):
    """(real, control): right or not."""
    return [o in ("both", "lost") for o in outcomes], [o in ("both", "gained") for o in outcomes]


def check_claims(sentences, bound, wilson, p, difference):
    """No claim of sameness outside the bound, no claim of an effect without p < 0.05."""
    for sentence in sentences:
        if "does not use" in sentence:
            assert wilson[1] <= MARGIN or ("right, though" in sentence and bound)
        if "as well as" in sentence and "Too few" not in sentence:
            assert bound and p >= 0.05
        if "The model uses" in sentence or "The scans add" in sentence or "does better than the" in sentence:
            assert "Too few" in sentence or (p < 0.05 and difference > 0)
        if "reacts to" in sentence and "Too few" not in sentence:
            assert wilson[0] > 0.05 or p < 0.05


@examples(100)
@given(rows_of_two_runs)
@example(["both"] * 70)
@example(["lost"] * 8)
@example(["both"] * 40 + ["lost"])
def test_every_claim_agrees_with_formulas_of_others(outcomes):
    """One row a subject: scipy's binomial test and Wilson's interval, and Bonett and Price's with Student's t."""
    real, control = to_scores(outcomes)
    n, lost, gained = len(outcomes), outcomes.count("lost"), outcomes.count("gained")
    found = compare_with_control(
        ACCURACY, real, control, [a != b for a, b in zip(real, control, strict=True)], range(n)
    )
    p = mcnemar_mid_p(lost, gained)
    assert found["paired"]["p"] == pytest.approx(p)
    bound = False
    if n > 1:
        more, less = (lost + 1) / (n + 2), (gained + 1) / (n + 2)
        half = t.ppf(0.975, n - 1) * math.sqrt((more + less - (more - less) ** 2) / (n + 1))
        ends = (max(-1, more - less - half), min(1, more - less + half))
        assert found["paired"]["interval"] == pytest.approx(ends)
        bound = max(map(abs, ends)) <= MARGIN
    wilson = binomtest(lost + gained, n).proportion_ci(method="wilson")
    verdicts = judge({"subject_swapped": found, "reference_other_label": found, "text_only": found}, ACCURACY)
    beside = judge_beside(found["paired"], "the confounds alone", ACCURACY)
    sentences = [verdict["sentence"] for verdict in (*verdicts.values(), beside)]
    check_claims(sentences, bound, wilson, p, lost - gained)
    if n == 1:
        assert all("Too few rows" in sentence for sentence in sentences)


@examples(60)
@given(rows_of_two_runs, st.integers(1, 5))
def test_every_claim_over_several_rows_a_subject_agrees_with_its_own_numbers(outcomes, rows_each):
    real, control = to_scores(outcomes)
    subjects = [i // rows_each for i in range(len(outcomes))]
    changed = [a != b for a, b in zip(real, control, strict=True)]
    found = compare_with_control(ACCURACY, real, control, changed, subjects)
    paired = found["paired"]
    bound = paired["interval"] is not None and max(map(abs, paired["interval"])) <= MARGIN
    verdicts = judge({"subject_swapped": found, "text_only": found}, ACCURACY)
    sentences = [verdict["sentence"] for verdict in verdicts.values()]
    check_claims(sentences, bound, found["changed_interval"], paired["p"], paired["difference"])
    if len(set(subjects)) == 1:
        assert all("Too few rows" in sentence for sentence in sentences)


@examples(60)
@given(rows_of_two_runs)
def test_the_number_of_subjects_that_is_named_would_tell(outcomes):
    """As many subjects with answers like these decide it; and a narrower margin never needs fewer."""
    real, control = to_scores(outcomes)
    found = compare_paired(ACCURACY, real, control, range(len(outcomes)))
    assume(found.needed is not None and found.needed < 20_000)
    assert found.needed > len(outcomes)
    times = -(-found.needed // len(outcomes))
    again = compare_paired(ACCURACY, real * times, control * times, range(times * len(outcomes)))
    assert again.outcome != "unclear"


@pytest.mark.parametrize("rows_each", [1, 5])
def test_runs_that_differ_by_more_than_the_margin_are_rarely_called_equal(rows_each):
    """All answers of 16 % of the 40 subjects are lost: 11 points of the 70 that the first run has right."""
    draw, equal = np.random.default_rng(0), 0
    for _ in range(300):
        first = (draw.random((40, rows_each)) < 0.7).ravel()
        second = first & np.repeat(draw.random(40) > 0.16, rows_each)
        equal += compare_paired(ACCURACY, first, second, np.repeat(np.arange(40), rows_each)).outcome == "equal"
    assert equal / 300 <= 0.05


def test_fewer_points_of_margin_and_a_smaller_effect_need_more_subjects():
    def needed(n_lost, n=20):
        return compare_paired(ACCURACY, [True] * n, [False] * n_lost + [True] * (n - n_lost), range(n)).needed

    assert needed(5) < needed(4) < needed(3)
    numbers = np.arange(20.0)
    by_margin = []
    for spread in (40, 20, 10):  # of the true numbers: the margin is a fifth of it
        measure = measure_errors(np.linspace(0, spread, 20))
        errors = np.tile([1.0, 7.0], 10)
        by_margin.append(compare_paired(measure, errors, errors[::-1], numbers).needed)
    assert by_margin == sorted(by_margin)
    assert by_margin[0] < by_margin[-1]


def ask(numbers, under_control, truths, name="scans_shuffled"):
    records = [{"parsed_number": n, "expected_number": truth} for n, truth in zip(numbers, truths, strict=True)]
    got = [{"prediction": "?" if n is None else str(n)} for n in under_control]
    control = Control(name, "a control", None, list(range(len(records))))
    subjects = [f"s{i}" for i in range(len(records))]
    return compare_numbers(records, {name: (control, got)}, subjects, lambda s: None if s == "?" else float(s))


def test_numbers_under_a_control_are_scored_by_their_error():
    """Ages 40 to 79, each answered exactly; under the control always 60, and once not at all."""
    truths = [40.0 + i for i in range(40)]
    found = ask(truths, [60.0] * 39 + [None], truths)
    control = found["controls"]["scans_shuffled"]
    assert (control["mae_real"], control["mae"]) == (
        0,
        pytest.approx((sum(abs(60 - a) for a in truths[:-1]) + 39) / 40),
    )
    assert control["mae_interval"][0] < control["mae"] < control["mae_interval"][1]
    sentence = found["verdicts"]["subject"]["sentence"]
    assert sentence.startswith("The model uses the subject's scan: ")
    assert "takes the mean absolute error from 0 to 10.5" in sentence


def test_four_ages_that_no_control_changes_show_nothing_and_forty_show_that_the_scan_is_not_used():
    truths = [40.0 + i for i in range(40)]
    for n, verdict, start in ((4, "cannot tell", "Too few rows"), (40, "ignores", "The model does not use")):
        found = ask([60.0] * n, [60.0] * n, truths[:n])
        assert found["verdicts"]["subject"]["verdict"] == verdict
        assert found["verdicts"]["subject"]["sentence"].startswith(start)
    text = ask([60.0] * 40, [60.0] * 40, truths, "text_only")["verdicts"]["text"]
    assert text["verdict"] == "text suffices"
    assert "does as well as the scans, within 2: without any scan the mean absolute error is 10" in text["sentence"]


def test_free_text_is_judged_by_changes_alone():
    for n, changed, verdict in ((40, 0, "ignores"), (4, 0, "cannot tell"), (8, 8, "reacts"), (4, 1, "cannot tell")):
        records = [{"prediction": "x"}] * n
        got = [{"prediction": "y"}] * changed + [{"prediction": "x"}] * (n - changed)
        control = Control("reference_same_label", "a control", None, list(range(n)))
        found = compare_texts(records, {control.name: (control, got)}, [f"s{i}" for i in range(n)])
        assert found["verdicts"]["reference"]["verdict"] == verdict


@pytest.mark.parametrize("off", [0.0, 1.0])
def test_numbers_that_are_all_alike_give_no_certainty(off):
    """Six subjects of one age, each nearer by the same: nothing varies, from which an interval could follow."""
    measure = measure_errors([40.0] * 6)
    found = compare_paired(measure, [1.0] * 6, [1.0 + off] * 6, range(6))
    assert (found.interval, found.outcome, found.needed) == (None, "unclear", None)
    assert "no interval" in judge_two(found.to_dict(), measure, "rows")["sentence"]
