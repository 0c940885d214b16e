"""Reading an answer: whole words, one statement, no negation; one number, with its unit."""

import pytest

from umbrella.evaluation.label_parsing import parse_label
from umbrella.evaluation.number_parsing import parse_number

SEXES = ["male", "female"]


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("This subject is female.", "female"),
        ("FEMALE", "female"),
        ("A male, yes: male", "male"),
        ("No, this is a male.", "male"),
        ("I was not sure at first. It is a female head.", "female"),
        ("males", None),
        ("male or female", None),
        ("male, not female", None),
        ("The subject is not male.", None),
        ("It isn’t female", None),
        ("non-male", None),
        ("male is unlikely", None),
        ("There is no answer.", None),
        ("", None),
    ],
)
def test_a_label_is_read_by_whole_words_and_negations_and_double_answers_are_not(text, label):
    assert parse_label(text, SEXES) == label


@pytest.mark.parametrize(
    ("text", "labels", "label"),
    [
        ("The memory is not impaired.", ["impaired", "not impaired"], "not impaired"),
        ("There is no lesion.", ["lesion", "no lesion"], "no lesion"),
        ("No.", ["yes", "no"], "no"),
        ("Grade 2 (of 4)", ["Grade 1", "Grade 2"], "Grade 2"),
        ("C++ (suspected)", ["C", "C++"], "C++"),
    ],
)
def test_the_longer_of_two_nested_labels_counts_and_its_own_words_negate_nothing(text, labels, label):
    assert parse_label(text, labels) == label


@pytest.mark.parametrize(
    ("text", "unit", "number"),
    [
        ("The subject is 45 years old.", "years", 45.0),
        ("On scan 2 a 45-year-old", "years", 45.0),
        ("aged 36 months", "years", 3.0),
        ("45.5", "years", 45.5),
        ("23,4 kg/m2", "kg/m2", 23.4),
        ("a BMI of 23.4 kg/m²", None, 23.4),
        ("1,234 ml", None, 1234.0),
        ("-3.5 points", None, -3.5),
        ("between 40 and 50 years", "years", None),
        ("40-50 years", "years", None),
        ("not 45 years", "years", None),
        ("on 12.10.2020", None, None),
        ("forty-five", "years", None),
    ],
)
def test_one_number_is_read_with_its_unit(text, unit, number):
    assert parse_number(text, unit) == number
