"""plan_test_set.py: how many subjects an interval takes, and the other way round; what that rests on is said."""

import re
from types import SimpleNamespace

import numpy as np
import plan_test_set as recipe
import pytest
from hypothesis import given
from hypothesis import strategies as st
from properties import examples

from umbrella.evaluation.statistics.intervals import share_interval
from umbrella.planning.test_set_plan import plan_test_set


def plan(call, flags):
    return call(recipe, *flags.split())


def test_the_subjects_that_are_named_give_the_interval_that_was_wished(call):
    """Drawn from a beta distribution whose rows correlate by a half."""
    out = plan(call, "--accuracy 0.85 --width 0.08 --rows_per_subject 4")
    n = int(
        re.match(r"(\d+) subjects \((\d+) rows, 4 each\) are needed for a 95 % interval of at most 8.0 points", out)[1]
    )
    draw, subjects = np.random.default_rng(0), np.repeat(np.arange(n), 4)
    widths = []
    for _ in range(40):
        chance = draw.beta(0.85, 0.15, (n, 1))
        widths.append(np.ptp(share_interval((draw.random((n, 4)) < chance).ravel(), subjects)))
    assert np.mean(widths) == pytest.approx(0.08, abs=0.004)
    back = plan(call, f"--accuracy 0.85 --subjects {n} --rows_per_subject 4")
    assert back.startswith(f"{n} subjects ({4 * n} rows, 4 each) give a 95 % interval of 8.0 points from end to end")


def test_what_is_not_known_is_assumed_said_and_overruled(call):
    out = plan(call, "--accuracy 0.85 --width 0.05 --rows_per_subject 4")
    assert "an intra-subject correlation of 0.5 (--icc), the middle between 0" in out and "nothing is known" in out
    ends = re.search(r"another subject: (\d+) subjects\) and 1 .*them: (\d+) subjects\)", out)
    assert [
        int(
            re.match(r"(\d+) subjects", plan(call, f"--accuracy 0.85 --width 0.05 --rows_per_subject 4 --icc {icc}"))[
                1
            ]
        )
        for icc in (0, 1)
    ] == [int(ends[1]), int(ends[2])]
    assert "nothing is known" not in plan(call, "--accuracy 0.85 --width 0.05 --rows_per_subject 4 --icc 0.2")
    alone = plan(call, "--accuracy 0.85 --width 0.05")
    assert alone.startswith("784 subjects (784 rows, one each)") and "Rows are independent" in alone
    ages = plan(call, "--mae 5 --width 1")
    assert "Absolute errors are taken to spread by 3.78 (SD, --error_sd)" in ages
    assert "Absolute errors are taken" not in plan(call, "--mae 5 --width 1 --error_sd 4")


def test_which_differences_so_many_subjects_show_is_said(call):
    out = plan(call, "--accuracy 0.85 --subjects 100 --chance 0.6")
    assert re.search(r"With 80 % power they tell an accuracy of 73.\d % or more from 60.0 %", out)
    assert "Between two models on the same rows they show a difference of " in out
    few = plan(call, "--accuracy 0.85 --subjects 4")
    assert "so few show no difference, however large" in few and "nan" not in few + out


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--width 0.05", "expected exactly one of --accuracy SHARE and --mae ERROR"),
        ("--accuracy 0.85", "expected exactly one of --width WIDTH and --subjects NUMBER"),
        ("--accuracy 85 --width 0.05", "--accuracy: expected more than 0 and less than 1, found 85"),
        ("--accuracy 0.85 --width 5", "--width: expected more than 0 and less than 1, found 5"),
        ("--accuracy 0.85 --subjects 1", "--subjects: expected at least 2, found 1"),
        ("--accuracy 0.85 --width 0.05 --icc 2", "--icc: expected at least 0 and at most 1, found 2"),
        ("--accuracy 0.85 --width 0.05 --error_sd 2", "--error_sd: expected --mae too, found --accuracy"),
        ("--mae 5 --width 100", "expected a narrower one, since already 2 subjects, the fewest that give an interval"),
        ("--accuracy 0.85 --width 0.95", "expected a narrower one, since already 2 subjects"),
        ("--accuracy 1 --width 0.1", "--accuracy: expected more than 0 and less than 1, found 1"),
        ("--accuracy 0 --width 0.1", "--accuracy: expected more than 0 and less than 1, found 0"),
        ("--mae -5 --width 1", "--mae: expected more than 0, found -5"),
        ("--mae nan --width 1", "--mae: expected more than 0, found nan"),
        ("--accuracy 0.85 --width 0.000001", "expected one that 1,000,000 subjects give, found more needed"),
    ],
)
def test_what_cannot_be_planned_is_one_sentence(call, flags, message):
    with pytest.raises(SystemExit) as end:
        plan(call, flags)
    assert message in str(end.value)


SIZES = st.floats(1e-12, 1e12) | st.floats(0.01, 100)
SHARES = st.floats(1e-9, 1 - 1e-9) | st.floats(0.4, 0.99)


@examples(80)
@given(st.one_of(st.tuples(st.just("accuracy"), SHARES), st.tuples(st.just("mae"), SIZES)), SIZES, SHARES, st.data())
def test_whatever_is_wished_for_is_answered_in_numbers_that_agree_or_refused(score, size, share, data):
    name, value = score
    asked = dict.fromkeys(("accuracy", "mae", "error_sd", "width", "subjects", "icc")) | {name: value, "chance": share}
    asked["rows_per_subject"] = data.draw(st.sampled_from([1.0, 1.0, 3.5, 1000.0]))
    asked["icc"] = data.draw(st.sampled_from([None, 0.0, 0.3, 1.0]))
    if name == "mae":
        asked["error_sd"] = data.draw(st.none() | SIZES)
    asked |= data.draw(
        st.sampled_from([{"width": share if name == "accuracy" else size}, {"subjects": 2 + int(size)}])
    )
    try:
        lines = plan_test_set(SimpleNamespace(**asked))
    except ValueError as error:
        assert re.match(
            r"--width \S+: expected (a narrower one, since already 2|one that 1,000,000) subjects", str(error)
        )
        return
    assert not re.search(r"\b(nan|inf|None)\b", "\n".join(lines))
    pattern = r"([\d,]+) subjects? .* interval of (?:at most )?([\d.,e+-]+)( points)? from .*: ([\d.,e+-]+)[ %]* to "
    n, width, _, low, high = re.match(pattern + r"([\d.,e+-]+)", lines[0]).groups()
    width, low, high = (float(text.replace(",", "")) for text in (width, low, high))
    rounding = 0.11 if name == "accuracy" else 0.01 * max(width, high)
    assert high - low <= width + rounding
    if asked["subjects"] is not None:
        assert (int(n.replace(",", "")), high - low) == (asked["subjects"], pytest.approx(width, abs=rounding))
    if name == "mae" and int(n.replace(",", "")) > 100:
        assert "they show a difference of" in lines[-1]  # in whichever unit
