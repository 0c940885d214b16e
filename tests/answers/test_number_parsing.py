"""Reading the one number of an answer: whole or not at all, in the data's signs, with its unit."""

import itertools
import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from properties import examples
from test_linear_time import find_slow

from umbrella.answers.number_parsing import list_numerals, parse_number, read_quantity
from umbrella.answers.numbers import NumberFormat, find_number_format

COMMA, SPACE = NumberFormat(",", "."), NumberFormat(",", " ")


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
        ("2.5 cm", "mm", 25.0),
        ("36 Monate", "years", 3.0),
        ("à 45 l'examen", "years", 45.0),
        ("500 \u00b5m", "mm", 0.5),
        ("1 ml", "\u00b5l", 1000.0),
        ("24个月", "years", 2.0),
        ("45岁6个月", "years", None),
        ("45년 6개월", "years", None),
        ("1 l 500 ml", "ml", None),
        ("1975年生まれ、45歳", "years", 45.0),
        ("45 kg", "years", None),
        ("a 3 mm scan: 45", "years", 45.0),
    ],
)
def test_one_number_is_read_with_its_unit(text, unit, number):
    assert parse_number(text, unit) == number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("2.5mm", 2.5),
        ("45.5yo", 45.5),
        ("45%", 45.0),
        ("患者45岁。", 45.0),
        ("45세입니다", 45.0),
        ("45歳です", 45.0),
        ("อายุ45ปี", 45.0),
        ("1.2e6", 1.2e6),
        ("1e-3", 1e-3),
        ("1.2 × 10^6", 1.2e6),
        ("1.2×10⁻³", 1.2e-3),
        ("1.234,5", 1234.5),
        ("−3", -3.0),
        ("(–3)", -3.0),
        ("٤٥", 45.0),
        ("T1 scan of sub-01: 45", 45.0),
        ("3T scan: 45", None),
        ("the 1st", None),
        ("45.5q", None),
        ("10万", None),
        ("10만", None),
        ("1.2 million", None),
        ("3½", None),
        ("10²", None),
        ("28/30", None),
        ("10:30", None),
        ("1.2.3", None),
        ("5e3.2", None),
        ("10⁻³", None),
        ("1.2 e6", None),
        ("minus 5 ml", None),
        ("change: - 5 ml", None),
        ("- 5", None),
        ("the change is – 5 ml", None),
        ("negative 5", None),
        ("负5", None),
        ("45岁半", None),
        ("45세 반", None),
        ("45 and a half years", None),
        ("45 years and a half", None),
        ("45 ans et demi", None),
        ("in his 40's", None),
        ("in his 40’s.", None),
        ("40-something", None),
        ("Age — 45 years", 45.0),
        ("Bu kişi 45'tir", 45.0),
        ("1 234,5", None),  # two numbers, as long as no space is known to stand between thousands
    ],
)
def test_a_number_is_read_whole_or_not_at_all(text, number):
    assert parse_number(text) == number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("about 45", 45.0),
        ("≈45", 45.0),
        ("~ 45 years", 45.0),
        ("45 ± 3 years", 45.0),
        ("45 +/- 3", 45.0),
        ("45 +/-3", 45.0),
        ("45, yes, 45", 45.0),
        ("40 to 45", None),
        ("40 bis 45 years", None),
        ("40–45", None),
        ("40 a 45 years", None),
        ("40到45 years", None),
        ("40 years to 45", None),
        ("1 234 years", None),
        ("24 999 999 years", None),
        ("3 x 4 years", None),
        ("28 of 30 years", None),
        ("> 45", None),
        ("over 45 years", None),
        ("at least 45", None),
        ("45+", None),
        ("45 or older", None),
        ("mehr als 45", None),
        ("plus de 45 ans", None),
        ("45歳以上", None),
        ("45세 이상", None),
        ("45 years and 6 months", None),
        ("45 or 46", None),
        ("Is the subject 45 years old? No.", None),
        ("45: no", None),
        ("45 years: yes", 45.0),
        ("45 (46)", None),
    ],
)
def test_estimates_are_numbers_and_ranges_bounds_and_two_numbers_are_none(text, number):
    assert parse_number(text, "years") == number


@pytest.mark.parametrize(
    ("text", "quantity"),
    [
        ("45", (45.0, None)),
        ("45 years", (45.0, "years")),
        ("2.5mm", (2.5, "mm")),
        ("grade 2", None),
        ("45 46", None),
        ("about 45", None),
        ("2T", None),
        ("", None),
    ],
)
def test_a_quantity_is_a_number_and_a_unit_and_nothing_else(text, quantity):
    assert read_quantity(text) == quantity


BOUNDS = """
maximum {}|min. {}|maximum of {}|max: {}|{} at most|{}, at least|{} (or more)|{} or higher|{} and up|{} plus|{}-plus
up to about {}|over about {}|over ~{}|older than approximately {}|under the age of {}|over the age of {}|above age {}
exceeds {}|in excess of {}|less than or equal to {}|greater than {}|> about {}|>= {}|{} odd|taller than {}
bis zu {}|etwa mehr als {}|mehr als etwa {}|jusqu'à {}|hasta {}|свыше {}|超过{}|至少{}岁|{}多岁|{}岁以上|최대 {}세
""".strip()


@examples(200)
@given(
    st.sampled_from(BOUNDS.replace("\n", "|").split("|")),
    st.sampled_from(["{}", "The subject is {}.", "I think: {}, surely"]),
    st.integers(-(10**6), 10**6),
    st.sampled_from(["years", None]),
)
def test_a_bound_is_no_number(bound, wording, number, unit):
    assert parse_number(wording.format(bound.format(number)), unit) is None


@pytest.mark.parametrize(
    "text",
    [
        "The scan is over. 45 years.",
        "the maximum diameter is 45",
        "an underweight 45-year-old",
        "about the age of 45",
        "45 or so",
        "45, plausibly",
        "It took 45 min",
    ],
)
def test_words_that_only_look_like_bounds_bound_nothing(text):
    assert parse_number(text) == 45.0


SIGNS = [(".", ","), (",", "."), (",", " "), (".", " "), (".", "'"), (".", ""), (",", "")]
WORDINGS = [
    "{}",
    "It is {}.",
    "It is {} mm, I think.",
    "{}mm",
    "({})",
    "= {}",
    "The T1 scan of sub-01 gives {}",
    "大约{}毫米。",
    "부피는 {}입니다.",
    "ปริมาตร{}",
    "Es sind {} Einheiten.",
    "القيمة {}.",
    "यह {} है।",
    "Fi\u0302n: {}",
]


def write(number: float, decimals: int, decimal: str, thousands: str) -> str:
    english = f"{number:,.{decimals}f}" if thousands else f"{number:.{decimals}f}"
    return "".join({".": decimal, ",": thousands}.get(sign, sign) for sign in english)


@pytest.mark.slow
@examples(400)
@given(
    st.integers(-(10**8), 10**8),
    st.integers(0, 4),
    st.sampled_from(SIGNS),
    st.sampled_from(WORDINGS),
    st.sampled_from(["-", "−"]),
)
def test_an_answer_made_of_a_number_is_read_as_that_number(digits, decimals, signs, wording, minus):
    """Python's own formatting in seven conventions, in wordings of several languages."""
    number = digits / 10**decimals
    text = wording.format(write(number, decimals, *signs).replace("-", minus))
    assert parse_number(text, None, NumberFormat(*signs)) == round(number, decimals)


@examples(200)
@given(st.floats(1e-6, 1e12), st.sampled_from(["e", "E"]), st.integers(0, 6))
def test_exponents_are_read_as_python_writes_them(number, letter, digits):
    text = f"{number:.{digits}e}".replace("e", letter)
    assert parse_number(f"It is {text} units.") == float(text)


@examples(500)
@given(st.text("0123456789.,'/:²½", max_size=10), st.sampled_from(SIGNS))
def test_no_digit_of_what_is_read_is_left_out(text, signs):
    """Digits alone tell: the number's are those of the text, up to the place of the decimal sign. Two signs in a row
    part two numbers, which may be one said twice."""
    assume(not re.search(r"\D\D", text))
    read = parse_number(text, None, NumberFormat(*signs))
    if read is not None:
        all_digits = int(re.sub(r"\D", "", text))
        assert any(read == all_digits / 10**places for places in range(len(text)))


@examples(300)
@given(
    st.integers(1, 10**8),
    st.integers(0, 4),
    st.sampled_from(SIGNS),
    st.sampled_from(SIGNS),
    st.sampled_from(["{} ml", "It is {}ml.", "{}", "I am sure: {} ml"]),
)
def test_in_signs_of_another_convention_a_number_is_itself_or_none_or_off_by_what_the_signs_mean(
    digits, decimals, signs, others, wording
):
    """1.234 may be 1234 there, but no part of a number is ever taken for the whole."""
    number = digits / 10**decimals
    read = parse_number(wording.format(write(number, decimals, *signs)), "ml", NumberFormat(*others))
    assert read is None or any(read == pytest.approx(number * factor) for factor in (1, 1e3, 1e-3))


@examples(100)
@given(
    st.lists(st.integers(0, 10**6), min_size=2, max_size=3, unique=True), st.sampled_from([" ", ", ", " and ", "–"])
)
def test_two_different_numbers_are_none(numbers, joined):
    assert parse_number(joined.join(map(str, numbers))) is None


@examples(200)
@given(
    st.integers(1, 99),
    st.integers(1, 11),
    st.sampled_from("岁 个月,歳 ヶ月,歲 個月,세 개월,年 个月,년 개월,ปี เดือน,years months,kg g,l ml".split(",")),
    st.sampled_from(["", " "]),
    st.sampled_from(["years", "months", "kg", "ml", None]),
)
def test_a_number_of_two_units_is_none(whole, part, units, space, unit):
    """A larger unit is not passed over for a smaller one, written to it or not."""
    assume(whole != part and (space or not units.isascii()))
    one, other = units.split()
    assert parse_number(f"{whole}{one}{space}{part}{other}", unit) is None


def test_the_signs_of_numbers_in_sentences_are_found():
    texts = ["Das Volumen ist 1.234,5 ml.", "Scan 2: 23,5 ml."]
    assert list(itertools.chain(*map(list_numerals, texts))) == ["1.234,5", "2", "23,5"]
    assert find_number_format(itertools.chain(*map(list_numerals, texts)))[0] == COMMA
    assert list_numerals("le volume est 1 234,5 ml, scan 2") == ["1 234,5", "2"]
    assert list_numerals("1 234") == ["1 234"]
    assert parse_number("le volume est 1 234,5 ml", "ml", SPACE) == 1234.5
    assert parse_number("das Volumen ist 1.234 ml", "ml", COMMA) == 1234.0


@pytest.mark.slow
def test_long_texts_take_no_longer_a_character():
    def read(text):
        for signs in (COMMA, SPACE):
            parse_number(text, "years", signs)
        list_numerals(text)

    for start, pieces, end in (
        ("", ["over about 1 ", "1,", "1 ", "1-", "123 ", "-", " "], ""),
        ("than", [" about"], " 1" * 500),
        ("than", [" "], "1"),
        ("1", [" "], ""),
        ("", ["a"], "1"),
    ):
        assert find_slow(lambda text, s=start, e=end: read(f"{s}{text}{e}"), pieces, 2000, limit_s=10) is None
