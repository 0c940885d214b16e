"""Numbers or classes, by the cells alone; and codes among numbers that may mean "missing"."""

import json
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from test_generate_conversations import TEMPLATE, make_rows, write_table

from umbrella.answers.labelled_answer import LabelledAnswer
from umbrella.answers.numbers import USUAL, are_codes
from umbrella.answers.reading import Asked, find_kind
from umbrella.cohort.generation import generate, parse_options
from umbrella.cohort.shared.visits import CohortError
from umbrella.cohort.tables.column_kind import find_missing_codes, format_number, infer_kind, read_numbers


def kind_of(cells):
    return infer_kind(cells, read_numbers(cells, USUAL)).name


@given(st.lists(st.floats(-1e6, 1e6).filter(lambda x: x != int(x)), min_size=2))
def test_numbers_that_are_not_whole_are_numbers_however_few(values):
    assert kind_of([repr(value) for value in values]) == "numeric" or any("e" in repr(value) for value in values)


@given(st.lists(st.integers(11, 10**6), min_size=3, unique=True))
def test_whole_numbers_that_never_come_again_are_numbers(values):
    assert kind_of([str(value) for value in values]) == "numeric"


@given(st.integers(2, 5), st.integers(0, 2), st.integers(4, 40))
def test_counts_from_0_1_or_2_that_come_again_are_codes(n_codes, first, n):
    assert kind_of([str(first + i % n_codes) for i in range(n_codes * n)]) == "categorical"


@given(st.lists(st.text(st.characters(categories=["L"]), min_size=1), min_size=1))
def test_text_is_of_classes(cells):
    assume(not read_numbers(cells, USUAL))
    assert kind_of(cells) == "categorical"


@pytest.mark.parametrize(
    "values, codes",
    [
        ([23, 31, 45, 52, 999], {999: 1}),
        ([23, 31, 45, 52, -9, -9], {-9: 2}),
        ([23, 31, 45, 52, -1], {-1: 1}),
        ([23.5, 31, 45, 9999, -99], {-99: 1, 9999: 1}),
        ([0, 1, 0, 1, 9], {9: 1}),
        ([0, 1, 1, 0, -9], {-9: 1}),
        ([2, 3, 4, 2, 3, 4, 9], {9: 1}),
        ([61, 72, 85, 99, 90], {}),  # a person of 99 years
        ([20, 22, 25, 24, 99], {99: 1}),
        ([-1, 1, -1, 1], {}),  # effect coding
        ([-1.5, -1, 0.3, 2], {}),  # z-scores
        ([1, 2, 3, 4, 5, 6, 7, 8, 9], {}),  # a scale
        ([120, 998, 1003, 999, 870], {}),  # volumes
        ([23, 31, 45, 52, 9], {}),  # a child
        ([999, 999], {}),
        ([-1, -3, 5, 6, 7, 20, 30], {-3: 1, -1: 1}),  # UK Biobank: do not know, prefer not to answer
        ([-999, -0.5, 0.2, 1.1], {-999: 1}),
        ([-9999, -120.5, 300, 2000], {-9999: 1}),
        ([-999, -0.5, 0.2, 1.1, 999], {-999: 1, 999: 1}),
        ([18, 25, 30, 28, -4], {-4: 1}),
        ([20, 30, 40, 996, 999], {996: 1, 999: 1}),
        ([0, 1, 0, 1, -9, -8, -7], {-9: 1, -8: 1, -7: 1}),
        ([-999, -9, -3, *range(9)], {-999: 1, -9: 1, -3: 1}),
        ([-2, -1, 0, 1, 2, 3, 4], {}),  # changes
        ([], {}),
    ],
)
def test_a_code_for_missing_is_what_lies_apart_from_the_values(values, codes):
    assert find_missing_codes(values) == codes


@given(
    st.lists(st.integers(18, 90), min_size=3).filter(lambda ages: len(set(ages)) > 1),
    st.sampled_from([-1, -9, -99, -999, 999, 9999]),
    st.integers(1, 3),
)
def test_a_code_among_ages_is_found_whatever_they_are(ages, code, times):
    assume(99 not in ages)
    assert find_missing_codes([*ages, *[code] * times]).get(code) == times
    assert code not in find_missing_codes(ages)


@given(
    st.lists(st.integers(5, 90), min_size=8).filter(lambda ages: len(set(ages)) > 7),
    st.sets(st.sampled_from([-1, -2, -3, -4, -7, -8, -9, -10, -99, -818, -999]), min_size=1, max_size=4),
)
def test_codes_below_all_others_are_found_together_none_hides_another(ages, codes):
    assert find_missing_codes([*ages, *codes]) == dict.fromkeys(sorted(codes), 1)


@given(
    st.lists(st.floats(-4, 4).map(lambda z: round(z, 3)), min_size=3).filter(lambda some: len(set(some)) > 1),
    st.sets(st.sampled_from([-99, -999, -9999, 999, 9999]), min_size=1),
)
def test_codes_far_from_numbers_of_both_signs_are_found(numbers, codes):
    assert find_missing_codes([*numbers, *codes]).keys() >= codes


def test_real_numbers_of_both_signs_are_hardly_ever_asked_about():
    draw, asked = np.random.default_rng(0), Counter()
    for _ in range(200):
        n = draw.integers(12, 60)
        asked["z-scores"] += bool(find_missing_codes(draw.normal(size=n).round(2).tolist()))
        asked["changes of volumes"] += bool(find_missing_codes(draw.normal(0, 300, n).round().tolist()))
        asked["changes of points"] += bool(find_missing_codes(draw.normal(0, 3, n).round().tolist()))
    assert asked["z-scores"] == asked["changes of volumes"] == 0 and asked["changes of points"] <= 4


@given(st.floats(-1e12, 1e12, allow_subnormal=False))
def test_a_number_is_written_whole_without_an_exponent(number):
    text = format_number(number)
    assert "e" not in text.lower() and math.isclose(float(text), number, rel_tol=1e-14, abs_tol=0)


def test_a_small_number_does_not_become_zero_and_a_sum_has_no_tail():
    assert [format_number(x) for x in (1e-7, 0.1 + 0.2, 23.5 - 20.1, -0.0, 34.0)] == [
        "0.0000001",
        "0.3",
        "3.4",
        "0",
        "34",
    ]


@pytest.fixture
def table(tmp_path):
    return write_table(tmp_path, make_rows(score=lambda i: "-9" if i % 10 == 0 else str(20 + i % 17)))


def run(table, *flags):
    out = table.parent / "out"
    base = ["--participants", str(table), "--image_template", TEMPLATE, "--output_dir", str(out), "--target", "score"]
    summary = generate(parse_options("", [*base, *flags]))
    labels = [json.loads(path.read_text())["metadata"]["subject_label"] for path in out.glob("t*/*.json")]
    labels += [json.loads(path.read_text())["metadata"]["subject_label"] for path in out.glob("validation/*.json")]
    return labels, summary


def test_a_code_is_asked_about_and_both_commands_that_are_named_settle_it(table):
    with pytest.raises(CohortError, match=r"found -9 \(4 rows\) where the other 36 run from 20 to 36") as error:
        run(table)
    assert "--missing=-9." in str(error.value) and str(error.value).endswith("--missing none")
    labels, summary = run(table, "--missing=-9")
    assert len(labels) == 36 and "score: missing: -9 (4 rows, by --missing)" in summary
    assert run(table, "--missing", "none")[0].count("-9") == 4


@pytest.mark.parametrize(
    "flags",
    [
        ["--missing", "-9,999"],
        ["--missing", "-9", "999"],
        ["--missing=-9 999"],
        ["--missing", "-9,", "999"],
        ["--missing", "n/a", "-9,999"],
        ["--missing", "not known", "-9", "--seed", "1"],
    ],
)
def test_codes_are_a_list_like_any_other_whatever_begins_with_a_minus(table, flags):
    assert len(run(table, *flags)[0]) == 36


def test_a_code_with_a_minus_may_be_labelled(tmp_path):
    table = write_table(tmp_path, make_rows(score=lambda i: ("-1", "1")[i % 2]))
    assert set(run(table, "--labels", "-1=well", "1=ill")[0]) == {"well", "ill"}


def test_words_may_mean_missing_too(tmp_path):
    rows = make_rows(score=lambda i: "refused" if i % 10 == 0 else str(20 + i % 17))
    labels, summary = run(write_table(tmp_path, rows), "--missing", "Refused", "none of these")
    assert len(labels) == 36 and "refused (4 rows, by --missing)" in summary


def test_a_code_decides_not_whether_the_others_are_numbers(tmp_path):
    rows = make_rows(score=lambda i: "999" if i == 3 else str(i % 2))
    with pytest.raises(CohortError, match=r"found 999 \(1 row\)"):
        run(write_table(tmp_path, rows))
    _, summary = run(write_table(tmp_path, rows), "--missing", "999")
    assert "score: 39 values, all numbers, whole and only 2 different, which come again → codes of classes" in summary
    assert np.isin(run(write_table(tmp_path, rows), "--missing", "999")[0], ["0", "1"]).all()


def test_are_codes_wants_repeats():
    assert not are_codes([0, 1]) and are_codes([0, 1, 1])
    assert not are_codes([3, 4, 5, 3, 4, 5]) and are_codes([2, 3, 4, 2, 3, 4])


@given(st.lists(st.integers(-1, 12), min_size=2, max_size=40))
def test_the_evaluation_tells_codes_of_classes_as_the_generator_does(numbers):
    labels = [str(number) for number in numbers]
    task = {"categorical": "classification", "numeric": "regression"}[kind_of(labels)]
    assert find_kind([LabelledAnswer("", label, label) for label in labels], Asked())[0] == task
