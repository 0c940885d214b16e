"""How answers are read is told from the rows, by one rule, and said."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from properties import examples

from umbrella.answers.labelled_answer import AnswerError, LabelledAnswer, split_kinds
from umbrella.answers.numbers import NumberFormat
from umbrella.answers.own_answers import check_labels_apart, compare_own_answers
from umbrella.answers.reading import Asked, LabelReading, NumberReading, find_reading

POINT, COMMA = NumberFormat(), NumberFormat(",", ".")


def make_rows(labels, wording="It is {}.", **stored):
    return [
        LabelledAnswer(f"train/{i}.json", label, wording.format(label), **stored) for i, label in enumerate(labels)
    ]


def find(labels, wording="It is {}.", asked=None, **stored):
    return find_reading(make_rows(labels, wording, **stored), asked or Asked())


@pytest.mark.parametrize(
    ("labels", "stored", "task", "evidence"),
    [
        (["male", "female"], None, "classification", "subject_label: 2 values, not all numbers ('male') → class"),
        (
            ["61.5", "44"],
            None,
            "regression",
            "subject_label: 2 values, all numbers → regression; eval.py --task class",
        ),
        (["45 years", "3 months"], None, "regression", "2 values, all numbers"),
        (["23,5", "1.234,5"], None, "regression", "2 values, all numbers"),
        (
            ["grade 2", "grade 3"],
            None,
            "classification",
            "not all numbers ('grade 2') → classification; eval.py --task regression for",
        ),
        (["2", "3", "4"] * 2, None, "classification", "3 values, whole numbers that come again → codes of classes"),
        (["1", "0", "1"], None, "classification", "codes of classes, classification; eval.py --task regression for"),
        (["40", "44", "40", "61"], None, "regression", "3 values, all numbers → regression"),
        (["1 year", "2 years", "1 year"], None, "regression", "2 values, all numbers → regression"),
        (["1", "0", "1"], "numeric", "regression", "metadata.target_type: numeric in 3 of 3 rows"),
        (["2T", "3T"], None, "classification", "not all numbers ('2T')"),
        (["40-50", "50-60"], None, "classification", "not all numbers ('40-50')"),
        (["61.5", "44"], "numeric", "regression", "metadata.target_type: numeric in 2 of 2 rows → regression"),
        (["0", "1"], "categorical", "classification", "metadata.target_type: categorical in 2 of 2 rows"),
        (["0", "1"], "tumour", "regression", "2 values, all numbers"),
    ],
)
def test_the_kind_of_task_follows_what_is_stored_and_else_the_labels_and_is_said(labels, stored, task, evidence):
    reading, told = find(labels, target_type=stored)
    assert reading.task == task
    assert evidence in told[0]


def test_flags_overrule_what_is_stored_and_what_is_told():
    assert find(["grade 2", "grade 3"], asked=Asked(task="regression"))[0].read_truth("grade 3") == 3.0
    assert find(["0", "1"], target_type="numeric", asked=Asked(task="classification"))[0].labels == ("0", "1")
    assert find(["0", "1"], asked=Asked(labels=("0", "1", "2")))[0].labels == ("0", "1", "2")


def test_two_stored_kinds_are_an_error_that_names_the_rows_and_a_flag_chooses():
    rows = [*make_rows(["1", "2"], target_type="numeric"), LabelledAnswer("train/9.json", "0", "0", "categorical")]
    with pytest.raises(AnswerError, match=r"train/0.json: .* as categorical in train/9.json, found numeric \(2 rows"):
        find_reading(rows)
    assert [[row.label for row in part] for part in split_kinds(rows)] == [["1", "2"], ["0"]]
    assert [len(part) for part in split_kinds([*rows[:2], LabelledAnswer("train/8.json", "3", "3")])] == [3]
    assert find_reading(rows, Asked(task="classification"))[0].labels == ("0", "1", "2")


def test_a_label_that_is_no_number_where_numbers_are_stored_is_an_error_with_its_row():
    with pytest.raises(
        AnswerError, match=r"train/1.json: metadata.subject_label: expected one whole number, found 'x'"
    ):
        find(["1", "x"], target_type="numeric")
    with pytest.raises(AnswerError, match=r"train/1.json: metadata.subject_label: expected a label, found ' '"):
        find(["male", " "])


def test_labels_that_differ_by_case_are_one_and_it_is_said():
    reading, told = find(["Male", "male", "male", "female "])
    assert reading.labels == ("female", "male")
    assert "subject_label: 'Male' (1), 'male' (2) are one label, 'male'" in told
    assert [reading.read_truth(label) for label in ("MALE", "Female", "other")] == ["male", "female", None]
    own = compare_own_answers(reading, make_rows(["Male", "male", "male", "female "]))
    assert own.n_stated == 4


@pytest.mark.parametrize(
    ("labels", "wording", "signs", "evidence"),
    [
        (["45.5", "44"], "{}", (POINT, POINT), 'told from 1 of 2, as "45.5"'),
        (["45,5", "44"], "{} Jahre", (COMMA, COMMA), 'told from 1 of 2, as "45,5"'),
        (["45", "44"], "{}", (POINT, POINT), "taken as in English, since no number shows one"),
        (["1.234", "2.345"], "Es sind {},5 ml", (COMMA, COMMA), "thousands sign"),
        (["1 234,5"], "{} ml", (NumberFormat(",", " "),) * 2, "thousands sign a space"),
    ],
)
def test_the_signs_of_numbers_are_told_from_answers_and_labels(labels, wording, signs, evidence):
    reading, told = find(labels, wording)
    assert (reading.answers, reading.truths) == signs
    assert any(evidence in sentence for sentence in told)


def test_a_table_with_points_may_stand_beside_answers_with_commas():
    """Also where "1,234" alone could be read in two ways: the labels tell."""
    rows = [
        LabelledAnswer(f"{i}", label, f"Es sind {label.replace('.', ',')} ml")
        for i, label in enumerate(["1.234"] * 3 + ["2.5"])
    ]
    for some in (rows, [*rows[:3], LabelledAnswer("4", "2.5", "unbekannt")]):
        reading, _ = find_reading(some)
        assert (reading.answers, reading.truths) == (COMMA, POINT)
    assert compare_own_answers(reading, rows[:3]).n_stated == 3


def test_a_flag_sets_the_decimal_sign():
    reading, told = find(["1.234", "2.345"], asked=Asked(decimal_sign=","))
    assert (reading.answers, reading.read_truth("1.234")) == (COMMA, 1234.0)
    assert any("by --decimal_sign" in sentence for sentence in told)


@pytest.mark.parametrize(
    ("labels", "wording", "stored", "unit", "origin"),
    [
        (["45", "44"], "{} years", None, "years", "by the answers"),
        (["45 years", "3 months"], "{}", None, "years", "by the labels"),
        (["45", "44"], "{}", "months", "months", "by metadata.unit"),
        (["45", "44"], "{}", None, None, None),
        (["45", "44"], "On a 3 mm scan the age is {}", None, None, None),
    ],
)
def test_the_unit_is_what_is_stored_or_written(labels, wording, stored, unit, origin):
    reading, told = find(labels, wording, unit=stored)
    assert reading.unit == unit
    assert any(f"unit: {unit}, {origin}" in sentence for sentence in told) == (origin is not None)
    assert reading.read("36 months") == {"years": 3.0, "months": 36.0, None: 36.0}[unit]


@pytest.mark.parametrize("labels", [["control", "AD 2"], ["grade 2", "grade 3 of 4"], ["2 ml", "3 years", "x"]])
def test_to_read_labels_as_numbers_is_advised_only_where_all_can_be(labels):
    assert "--task" not in find(labels)[1][0]
    with pytest.raises(AnswerError):
        find(labels, asked=Asked(task="regression"))


def test_one_unit_in_several_spellings_is_one_unit():
    rows = [LabelledAnswer(f"{i}", "45.5", "45.5", unit=unit) for i, unit in enumerate(["years", "Years", "year"])]
    assert find_reading(rows)[0].unit == "years"
    rows = [LabelledAnswer(f"{i}", "45.5", "45.5", unit=unit) for i, unit in enumerate(["Steps", "steps"])]
    assert find_reading(rows)[0].unit == "Steps"
    with pytest.raises(
        AnswerError, match=r"1: metadata.unit: expected one unit in all rows, as 'Steps' in 0, found m"
    ):
        find_reading([rows[0], LabelledAnswer("1", "2", "2", unit="months")])


def test_two_units_are_an_error_with_the_rows():
    rows = [*make_rows(["1"], unit="years"), LabelledAnswer("train/9.json", "2", "2", None, "ml")]
    with pytest.raises(AnswerError, match=r"train/9.json: metadata.unit: .* as 'years' in train/0.json, found ml"):
        find_reading(rows)
    assert find_reading(rows, Asked(unit="ml"))[0].unit == "ml"
    with pytest.raises(AnswerError, match=r"train/1.json: metadata.subject_label: expected years, as in 1 rows"):
        find(["45 years", "3 ml"])


def test_own_answers_that_do_not_state_their_label_are_counted_and_shown():
    rows = [*make_rows(["male", "female", "female"]), LabelledAnswer("test/9.json", "male", "It is a man.")]
    reading, _ = find_reading(rows)
    own = compare_own_answers(reading, rows)
    assert (own.n_stated, own.do_most_state) == (3, True)
    assert own.count_and_show() == (
        "3 of 4 answers state their subject_label; test/9.json: nothing can be read in 'It is a man.', whose label is "
        "'male'"
    )
    rows = [
        LabelledAnswer(f"{i}", label, f"It is {'A' if label == 'A' else 'unknown'}") for i, label in enumerate("AAB")
    ]
    assert "no answer states 'B', the label of 1 row;" in compare_own_answers(find_reading(rows)[0], rows).describe()
    rows = [LabelledAnswer("0", "340", "It is 29.1 years")]
    assert "349.2 is read in" in compare_own_answers(NumberReading("months"), rows).count_and_show()
    rows = [LabelledAnswer("0", "M", "male"), LabelledAnswer("1", "F", "female")]
    assert not compare_own_answers(find_reading(rows)[0], rows).do_most_state


def test_a_rounded_number_states_its_label():
    rows = [
        LabelledAnswer(f"{i}", label, answer)
        for i, (label, answer) in enumerate(
            [("45.3", "About 45 years"), ("45.6", "45.6"), ("45.6", "45"), ("0.25", "0.3")]
        )
    ]
    assert [row.source for row, _ in compare_own_answers(find_reading(rows)[0], rows).others] == ["2"]


def test_a_label_that_reads_as_another_in_the_wording_of_the_answers_is_refused_by_name():
    reading = LabelReading(("lesion", "no lesion"))
    rows = make_rows(["lesion", "no lesion"], "There is no {}.")
    with pytest.raises(
        AnswerError, match=r"train/0.json: .*'lesion', which reads as 'no lesion' in 'There is no lesion"
    ):
        check_labels_apart(reading, "There is no {label}.", rows)
    check_labels_apart(reading, "There is {label}.", rows)
    with pytest.raises(AnswerError, match=r"'male', which cannot be read in 'Not male'"):
        check_labels_apart(LabelReading(("male", "other")), "Not {label}", rows, is_asked_for=True)


def test_a_label_that_reads_as_another_in_a_row_s_own_answer_is_refused_by_name():
    rows = [LabelledAnswer("3.json", "‹5", "It is‹5."), LabelledAnswer("4.json", "5", "It is 5.")]
    reading = LabelReading(("5", "‹5"))
    with pytest.raises(AnswerError, match=r"3.json: .*'‹5', which reads as '5' in 'It is‹5.'. Rename the label"):
        check_labels_apart(reading, "{label}", rows)
    check_labels_apart(reading, "{label}", [LabelledAnswer("3.json", "‹5", "It is ‹5."), rows[1]])


@examples(60)
@given(st.lists(st.text(max_size=8), min_size=1, max_size=4))
def test_any_labels_are_refused_or_each_alone_is_read_as_itself(labels):
    rows = make_rows(labels, "{}")
    try:
        reading, _ = find_reading(rows, Asked(task="classification"))
        check_labels_apart(reading, "{label}", rows)
    except AnswerError:
        return
    for label in labels:
        truth = reading.read_truth(label)
        assert truth is not None
        assert reading.read(truth) == truth


def test_settings_hold_what_the_reading_depends_on():
    assert LabelReading(("a", "b"), ("{label}s",)).to_dict() == {
        "task": "classification",
        "labels": ["a", "b"],
        "forms": ["{label}s"],
    }
    assert NumberReading("years", COMMA, POINT).to_dict() == {
        "task": "regression",
        "unit": "years",
        "signs_of_answers": 'decimal sign ",", thousands sign "."',
        "signs_of_labels": 'decimal sign ".", thousands sign ","',
    }
