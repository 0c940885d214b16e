"""The signs of a data set's numbers are found once; a number is read whole or not at all."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from properties import examples

from umbrella.answers.numbers import NumberFormat, find_number_format, read_plain_number

SIGNS = [(".", ","), (",", "."), (",", " "), (".", "'"), (".", " "), (".", ""), (",", ""), (",", "'")]
NO_BREAK, THIN, ARABIC_INDIC = "\u00a0", "\u202f", str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")


def write(number: float, decimals: int, decimal: str, thousands: str) -> str:
    """Python's own formatting, in English, its signs exchanged."""
    english = f"{number:,.{decimals}f}" if thousands else f"{number:.{decimals}f}"
    return "".join({".": decimal, ",": thousands}.get(sign, sign) for sign in english)


NUMBERS = st.tuples(st.integers(-(10**9), 10**9), st.integers(0, 4)).map(
    lambda pair: (pair[0] / 10 ** pair[1], pair[1])
)


@examples(300)
@given(NUMBERS, st.sampled_from(SIGNS), st.sampled_from(["-", "−", "－"]))
def test_a_number_is_read_back_in_the_signs_it_was_written_in(number, signs, minus):
    value, decimals = number
    text = write(value, decimals, *signs).replace("-", minus)
    assert read_plain_number(text, NumberFormat(*signs)) == round(value, decimals)
    assert read_plain_number(text.translate(ARABIC_INDIC), NumberFormat(*signs)) == round(value, decimals)
    for space in (NO_BREAK, THIN) if " " in text else ():
        assert read_plain_number(text.replace(" ", space), NumberFormat(*signs)) == round(value, decimals)


@examples(200)
@given(st.lists(NUMBERS, min_size=1, max_size=20), st.sampled_from(SIGNS))
def test_the_signs_of_a_data_set_are_found_where_one_of_its_numbers_shows_them(numbers, signs):
    """1.234.567,8 shows both; all other numbers then are read as they were written."""
    telling = write(1234567.8, 1, *signs)
    texts = [*(write(value, decimals, *signs) for value, decimals in numbers), telling]
    found, sentence = find_number_format(texts)
    assert found.decimal == signs[0]
    assert str(found) in sentence
    read = [read_plain_number(text, found) for text in texts]
    assert read == [*(round(value, decimals) for value, decimals in numbers), 1234567.8]


@examples(500)
@given(st.text("0123456789.,' -+e", max_size=12), st.sampled_from(SIGNS))
def test_what_is_read_has_all_the_digits_of_the_text(text, signs):
    value = read_plain_number(text, NumberFormat(*signs))
    if value is not None and "e" not in text:
        digits = "".join(itertools.filterfalse(lambda sign: sign in signs[1] + "+ ", text)).replace(signs[0], ".")
        assert value == float(digits)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1,234", 1234.0),
        ("12,34,567.5", 1234567.5),
        ("1.2e6", 1.2e6),
        ("1E-3", 1e-3),
        (".5", 0.5),
        ("４５．５", 45.5),
        ("٤٥٫٥", 45.5),
        ("1,2345", None),
        ("1.234,5", None),
        ("2.5mm", None),
        ("45.5yo", None),
        ("12.10.2020", None),
        ("10²", None),
        ("1_000", None),
        ("1e999", None),
        ("nan", None),
        ("", None),
    ],
)
def test_a_number_is_read_whole_or_not_at_all(text, number):
    assert read_plain_number(text) == number


@pytest.mark.parametrize(
    ("texts", "signs", "evidence"),
    [
        (["23,5", "1.234,5"], (",", "."), 'told from 2 of 2, as "23,5"'),
        (["1,234"], (".", ","), 'taken as in English, since "1,234" could be read in two ways'),
        (["45", "12.10.2020"], (".", ","), "taken as in English, since no number shows one"),
        (["0,125"], (",", "."), "told from 1 of 1"),
        (["1 234"], (".", " "), "told from 1 of 1"),
        (["1 234", "2,5"], (",", " "), "told from 2 of 2"),
        (["2,5", "3,5", "4.5"], (",", "."), '; 1 are written otherwise, as "4.5"'),
    ],
)
def test_what_the_signs_were_told_from_is_said(texts, signs, evidence):
    found, sentence = find_number_format(texts)
    assert (found.decimal, found.thousands) == signs
    assert evidence in sentence


def test_signs_that_would_mean_two_things_are_refused():
    with pytest.raises(ValueError, match="expected two signs"):
        NumberFormat(",", ",")
    with pytest.raises(ValueError, match="found ';'"):
        NumberFormat(";", "")
