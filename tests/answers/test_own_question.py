"""Which question is asked where a model was trained on some, and when one is called unlike them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from umbrella.answers.own_question import COMPARED, LEAST_LIKENESS, SINGLE, choose_question, measure_likeness
from umbrella.records.trained_questions import TrainedQuestions

QUESTIONS = {"Is this subject male or female?": 6, "Decide from this scan: male or female?": 4}
TRAINED = TrainedQuestions(10, QUESTIONS, {SINGLE: 10})


def test_the_models_own_question_is_its_most_frequent_one_and_another_overrules_it():
    chosen = choose_question(None, TRAINED, False, "m")
    assert chosen.text == "Is this subject male or female?"
    assert chosen.told == (
        "question: 'Is this subject male or female?', the most frequent in training (6 of 10 rows); --question for "
        "another",
    )
    assert (
        choose_question("is this subject MALE, or female", TRAINED, False, "m")
        .told[0]
        .startswith("question: by --question; likeness 1.00 to 'Is this subject male or female?'")
    )


def test_a_question_unlike_those_of_training_is_warned_of_with_the_rule():
    (told,) = choose_question("How old is this person?", TRAINED, False, "m").told
    # "is this" of 5 and 6 words: 2 * 2 / 11.
    assert told.startswith("WARNING: question: below 0.75, likeness 0.36 to 'Is this subject male or female?'")
    assert "words in common and in the same order, of all words of both" in told
    without = choose_question("How old?", None, False, "m")
    assert "has no umbrella_questions.json" in without.told[0]


@given(st.text("ab ?,", max_size=30), st.text("ab ?,", max_size=30))
def test_likeness_is_of_words_alone(one, other):
    likeness = measure_likeness(one, other)
    assert 0 <= likeness <= 1
    assert measure_likeness(f"  {one.upper()}!", other) == likeness
    assert measure_likeness(one, one) == 1
    assert LEAST_LIKENESS < 1


@pytest.mark.parametrize(
    "trained, has_reference, expected",
    [
        (None, False, r'expected --question "TEXT", found none, and no umbrella_questions.json beside m'),
        (
            TrainedQuestions(3, {}, {SINGLE: 3}, left_out={"may name somebody": 3}),
            False,
            r"stores no question \(3 rows may name",
        ),
        (
            TrainedQuestions(3, QUESTIONS, {COMPARED: 3}),
            False,
            r"expected --reference SCAN, .* all rows of known turns \(3 of",
        ),
    ],
)
def test_what_cannot_be_asked_is_refused(trained, has_reference, expected):
    with pytest.raises(ValueError, match=expected):
        choose_question(None, trained, has_reference, "m")


def test_a_question_that_is_given_needs_no_reference_though_all_rows_had_one():
    compared = TrainedQuestions(3, QUESTIONS, {COMPARED: 3})
    chosen = choose_question("Male or female?", compared, False, "m")
    assert chosen.text == "Male or female?"
    assert chosen.told[1].startswith("WARNING: turns: no row of training whose turns are known (")


def test_the_question_of_rows_with_a_reference_is_not_asked_of_a_scan_alone():
    alone, second = "Male or female?", "Has it grown since the first scan?"
    layouts, by_layout = {COMPARED: 6, SINGLE: 4}, {COMPARED: {second: 6}, SINGLE: {alone: 4}}
    trained = TrainedQuestions(10, {second: 6, alone: 4}, layouts, by_layout)
    assert choose_question(None, trained, True, "m").text == second
    chosen = choose_question(None, trained, False, "m")
    assert chosen.text == alone
    assert chosen.told == (
        f"question: {alone!r}, the most frequent in training (4 of 4 rows laid out as this is asked); --question for "
        "another",
    )


def test_turns_that_training_had_not_are_warned_of():
    assert choose_question(None, TRAINED, True, "m").told[1].startswith("WARNING: turns: no row of training whose")
    both = TrainedQuestions(10, QUESTIONS, {COMPARED: 5, SINGLE: 5})
    assert all(len(choose_question(None, both, has_reference, "m").told) == 1 for has_reference in (True, False))
