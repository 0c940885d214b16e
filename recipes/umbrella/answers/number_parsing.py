"""From an answer's text to the one number that it states."""

import itertools
import re
from dataclasses import dataclass
from functools import lru_cache

from umbrella.answers.answer_words import (
    BETWEEN,
    BOUND,
    BOUND_AFTER,
    CLAUSE_END,
    EVERY_UNIT,
    MARKS,
    MINUS_BEFORE,
    MULTIPLIED,
    NEGATION,
    NO_LETTER_AFTER,
    NO_LETTER_BEFORE,
    OUT_OF,
    PART_AFTER,
    RANGE_WORDS,
    SPACED_LETTER,
    UNIT_FOLLOWED,
    UNSPACED,
    is_denied,
    units_like,
)
from umbrella.answers.numbers import (
    NO_BREAK_SPACES,
    USUAL,
    NumberFormat,
    find_own_format,
    read_plain_number,
    to_ascii_digits,
)

# All that digits can be joined by. What joins them otherwise than a number's signs do (a date, a time, 28/30, 1.2.3)
# makes no number of them.
JOINED = rf"\d(?:\d|[.,:/'’ʼ{NO_BREAK_SPACES}](?=\d))*"
BY_SPACES = r"\d{1,3}(?:\ \d{3})+(?!\d)(?:,\d+|\.\d+)?"
SIGN = rf"(?:(?<![\d)])(?<!{SPACED_LETTER})[-+](?=[.,]?\d))?"
EXPONENT = r"(?:[eE][-+]?\d{1,3}(?![\d.,]))?"
NUMERAL = rf"{SIGN}(?:(?<!\d)[.,](?=\d))?{JOINED}{EXPONENT}"
SPACED_NUMERAL = rf"(?:{SIGN}{BY_SPACES}{EXPONENT}|{NUMERAL})"
POWER_OF_TEN = re.compile(r"\s*[×x*·]\s*10(?:\^([-+]?\d+)|([⁻⁺]?[⁰¹²³⁴-⁹]+))")
SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+")
# T1, sub-01, COVID-19: no number
NAME_BEFORE = re.compile(rf"(?![\d²³¹¼-¾⁰-₉⅐-↋]){SPACED_LETTER}(?:{SPACED_LETTER}|-)*$")
# How far back is looked, so that long texts take no longer a number.
LONGEST_NAME, LONGEST_BOUND, LONGEST_CLAUSE = 40, 60, 200
UNCERTAINTY_BEFORE = re.compile(r"(?:±|\+/-|\+-)\s*$|\+/?$")
CHANGED = re.compile(rf"{SPACED_LETTER}|[{MARKS}^⁻⁺]|'s{NO_LETTER_AFTER}")
BETWEEN_WORD = re.compile(rf"{NO_LETTER_BEFORE}(?:{'|'.join(BETWEEN)}){NO_LETTER_AFTER}")


@dataclass(frozen=True)
class Numeral:
    """A number in a text, with its unit; `value` is None where it cannot be read whole."""

    start: int
    end: int
    value: float | None
    unit: str | None


def parse_number(text: str, unit: str | None = None, number_format: NumberFormat = USUAL) -> float | None:
    """The one number that a text states; None where it states none, several, a range or a bound, or negates it.

    unit           "years", "ml" (or any other word): numbers with it, or with another unit of its kind, which is
                   converted, are preferred to bare ones; those with a unit of another kind do not count
    number_format  the signs of the data's numbers. A number that they cannot mean, and others can in one way, is read
                   by those ("23,4" where the sign is a point)

    A number is read whole or not at all. Read: signs, typographic ones too, exponents (1.2e6, 1.2 × 10^6), digits of
    all scripts; a unit written to the number (2.5mm, 45yo, 45세입니다); estimates ("about 45", "~45"); 45 of
    "45 ± 3"; one number said twice. Not read, so None: ranges ("40-45", "between 40 and 45"), bounds ("> 45", "over
    45", "45+", "maximum 45", "under the age of 45"), two different numbers ("45 years and 6 months" too), dates,
    times, fractions, ordinals, numbers with unknown letters written to them (3T) or with words that change them (1.2
    million, 45 and a half, minus 5; "- 5" too, where the sign may be a dash), numbers in words ("forty").
    Numbers that are parts of names (T1, sub-01) are passed over.

    >>> parse_number("The subject of scan 2 is 45.5 years old.", "years"), parse_number("between 40 and 45")
    (45.5, None)
    >>> parse_number("The BMI is 23,4 kg/m2."), parse_number("1.234,5 ml", "ml", NumberFormat(",", "."))
    (23.4, 1234.5)
    """
    text = to_ascii_digits(text).casefold().replace("’", "'")
    numerals = find_numerals(text, unit, number_format)
    known = units_like(unit) if unit else {}
    counted = [numeral for numeral in numerals if numeral.unit in known]
    if not counted:
        counted = [numeral for numeral in numerals if numeral.unit is None or not known]
    if not counted or any(numeral.value is None for numeral in counted) or BETWEEN_WORD.search(text):
        return None
    if any(_is_other(text, numeral) for numeral in counted) or _is_range(text, numerals, counted):
        return None
    values = {numeral.value * known.get(numeral.unit, 1.0) for numeral in counted}
    return values.pop() if len(values) == 1 else None


def read_quantity(
    text: str, unit: str | None = None, number_format: NumberFormat = USUAL
) -> tuple[float, str | None] | None:
    """The number that the whole text is, and the unit behind it (None: bare); None for any other text ("grade 2")."""
    plain = to_ascii_digits(text).casefold().strip()
    match = _numeral_pattern(unit, number_format.thousands == " ").fullmatch(plain)
    value = None if match is None else _read(match["number"], number_format)
    return None if value is None else (value, match["unit"])


def find_numerals(text: str, unit: str | None, number_format: NumberFormat) -> list[Numeral]:
    """The numbers in a text with ASCII digits and small letters, but for names and what follows "±"."""
    found, end = [], 0
    for match in _numeral_pattern(unit, number_format.thousands == " ").finditer(text):
        before = text[max(0, match.start() - LONGEST_NAME) : match.start()]
        if match.start() < end or NAME_BEFORE.search(before) or UNCERTAINTY_BEFORE.search(before):
            continue
        value, name, end = _read(match["number"], number_format), match["unit"], match.end()
        power = POWER_OF_TEN.match(text, match.end("number"))
        if power:
            exponent = power[1] or power[2].translate(SUPERSCRIPTS)
            value, name, end = _read(f"{match['number']}e{exponent}", number_format), None, power.end()
        elif before[-1:].isnumeric() or (name is None and _goes_on(text, match.end("number"))):
            value = None
        found.append(Numeral(match.start(), end, value, name))
    return found


@lru_cache(maxsize=32)
def _numeral_pattern(unit: str | None, spaced: bool) -> re.Pattern:
    units = sorted({*EVERY_UNIT, *([unit.casefold()] if unit else [])}, key=len, reverse=True)
    behind = "|".join(map(_unit_pattern, units))
    return re.compile(rf"(?P<number>{SPACED_NUMERAL if spaced else NUMERAL})(?:[\s-]*(?P<unit>{behind}))?")


def _unit_pattern(unit: str) -> str:
    """A unit ends where a word ends, but for scripts without spaces."""
    end = "" if re.match(f"[{UNSPACED}]", unit[-1]) else NO_LETTER_AFTER + r"(?![²³^\d])"
    return re.escape(unit) + end + UNIT_FOLLOWED.get(unit, "")


def _read(numeral: str, number_format: NumberFormat) -> float | None:
    value = read_plain_number(numeral, number_format)
    if value is None:
        other = find_own_format(numeral)
        value = None if other is None else read_plain_number(numeral, other)
    return value


def _goes_on(text: str, end: int) -> bool:
    """Whether what is written to a number changes it: letters (3T, 1st, 40's), powers, further numerals (3½, 10万)."""
    following = text[end : end + 1]
    return following.isnumeric() or bool(CHANGED.match(text, end) or MULTIPLIED.match(text, end))


def _is_other(text: str, numeral: Numeral) -> bool:
    """Whether the words around a number say another one: a bound, a negation, a minus, a part more."""
    before = text[max(0, numeral.start - LONGEST_CLAUSE) : numeral.start]
    close = before[-LONGEST_BOUND:]
    return bool(
        BOUND.search(close)
        or MINUS_BEFORE.search(close)
        or BOUND_AFTER.match(text, numeral.end)
        or PART_AFTER.match(text, numeral.end)
        or NEGATION.search(CLAUSE_END.split(before)[-1])
        or is_denied(text, numeral.end)
    )


def _is_range(text: str, numerals: list[Numeral], counted: list[Numeral]) -> bool:
    """Whether a number that counts is joined to another one: "40 to 50 years" is not 50 years, nor "1 234 ml" 234."""
    counting = set(counted)
    for first, second in itertools.pairwise(numerals):
        gap = text[first.end : second.start].strip()
        if gap == "a" and "-" in text[second.start + 1 : second.end]:
            continue  # "a 45-year-old", where "40 a 50 años" is a range
        in_groups = not gap  # only a space: one number in groups (24 999 999), or two
        joined = in_groups or (gap in RANGE_WORDS + OUT_OF and first.value != second.value)
        if joined and (first in counting or second in counting):
            return True
    return False


def list_numerals(text: str) -> list[str]:
    """The numbers of an answer as they are written, to tell their signs from; grouped by plain spaces where the text
    is a number and nothing else, or where a decimal sign follows the groups."""
    text = to_ascii_digits(text)
    if re.fullmatch(rf"[-+]?{BY_SPACES}", text.strip()):
        return [text.strip()]
    spaced = r"(?<![\d.,])[-+]?\d{1,3}(?:\ \d{3}){1,6}[.,]\d++(?![\d.,]*\d)"
    return re.findall(rf"{spaced}|(?<!{SPACED_LETTER})[-+]?{JOINED}{EXPONENT}", text)
