"""Dates in text: found in the ways people and machines write them, and shifted without a change of their form."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

# Names of the months by language; an abbreviation is the first three letters or more, with or without a dot.
MONTHS = (
    "January February March April May June July August September October November December".split(),
    "Januar Februar März April Mai Juni Juli August September Oktober November Dezember".split(),
    "janvier février mars avril mai juin juillet août septembre octobre novembre décembre".split(),
    "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre".split(),
    "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre".split(),
    "januari februari maart april mei juni juli augustus september oktober november december".split(),
    "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro".split(),
)
_FIRST_YEAR, _LAST_YEAR = 1880, 2060


@dataclass(frozen=True)
class FoundDate:
    """A date in a text: `start` and `end` in characters, and the spans of its parts ("y", "m", "d")."""

    start: int
    end: int
    value: date
    parts: dict[str, tuple[int, int]]


def find_dates(text: str) -> Iterator[FoundDate]:
    """Valid dates of a year, a month and mostly a day; a month without a day counts as its 15th."""
    for pattern in _PATTERNS:
        for found in pattern.finditer(text):
            for m, d in (("m", "d"), ("d", "m")) if found.re in _EITHER_ORDER else (("m", "d"),):  # 17/5 and 5/17
                value = _read(found, m, d)
                if value is not None:
                    spans = {"y": found.span("y"), "m": found.span(m), **_span(found, d)}
                    yield FoundDate(*found.span(), value, spans)
                    break


def shift_date(text: str, found: FoundDate, days: int) -> str:
    """The date's text, `days` later, written as it was."""
    moved = found.value + timedelta(days=days)
    pieces, position = [], found.start
    for name, (start, end) in sorted(found.parts.items(), key=lambda item: item[1]):
        pieces += [text[position:start], _write(name, text[start:end], moved)]
        position = end
    return "".join([*pieces, text[position : found.end]])


def _span(found: re.Match, name: str) -> dict[str, tuple[int, int]]:
    return {"d": found.span(name)} if found.groupdict().get(name) else {}


def _read(found: re.Match, m: str, d: str) -> date | None:
    parts = found.groupdict()
    month = int(parts[m]) if parts[m].isdigit() else _month_number(parts[m])
    year = int(parts["y"])
    if len(parts["y"]) == 2:
        year += 2000 if year < 40 else 1900
    if not _FIRST_YEAR <= year <= _LAST_YEAR:
        return None
    try:
        return date(year, month, int(parts.get(d) or 15))
    except ValueError:
        return None


def _write(name: str, old: str, moved: date) -> str:
    if name == "y":
        return f"{moved.year % 100:02d}" if len(old) == 2 else str(moved.year)
    number = moved.month if name == "m" else moved.day
    if old.isdigit():
        return f"{number:0{len(old) if old.startswith('0') or len(old) == 2 else 1}d}"
    language = next(names for names in MONTHS if any(_is_short_for(old, month) for month in names))
    word = language[moved.month - 1]
    is_short = not any(old.lower() == month.lower() for month in language)
    word = word[:3] if is_short else word
    return word.upper() if old.isupper() else word


def _is_short_for(old: str, month: str) -> bool:
    return month.lower().startswith(old.lower().rstrip("."))


def _month_number(word: str) -> int:
    return next(i + 1 for names in MONTHS for i, month in enumerate(names) if _is_short_for(word, month))


def _month_words() -> str:
    """Longest first, since a short form is the beginning of the long one."""
    words = {month for names in MONTHS for month in names} | {month[:3] for names in MONTHS for month in names}
    words |= {"Sept"}
    return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))


_YEAR, _MONTH, _DAY = r"(?P<y>(?:18|19|20)\d{2})", r"(?P<m>0?[1-9]|1[0-2])", r"(?P<d>0?[1-9]|[12]\d|3[01])"
_WORD = rf"(?P<m>{_month_words()})\.?"
_BEFORE, _AFTER = r"(?<![A-Za-z0-9])(?<!\d[.,/:-])", r"(?![A-Za-z0-9])(?![.,/-]\d)"
_DAY_FIRST = re.compile(rf"{_BEFORE}(?P<d>\d{{1,2}})([./ -])(?P<m>\d{{1,2}})\2(?P<y>(?:18|19|20)\d{{2}}){_AFTER}")
_TWO_DIGITS = re.compile(rf"{_BEFORE}(?P<d>\d{{1,2}})/(?P<m>\d{{1,2}})/(?P<y>\d{{2}}){_AFTER}")
_GERMAN = re.compile(rf"{_BEFORE}{_DAY}\.{_MONTH}\.(?P<y>\d{{2}}){_AFTER}")
_EITHER_ORDER = (_DAY_FIRST, _TWO_DIGITS)
_PATTERNS = (
    # 2019-05-17, also 2019-05-17T12:30 as in time stamps
    re.compile(rf"(?<![A-Za-z0-9])(?<!\d[.,/:-]){_YEAR}([-/._ ]){_MONTH}\2{_DAY}(?![0-9])"),
    _DAY_FIRST,
    _TWO_DIGITS,
    _GERMAN,
    re.compile(
        r"(?<![A-Za-z0-9])(?<!\d[.,:-])(?P<y>(?:19|20)\d{2})(?P<m>0[1-9]|1[0-2])(?P<d>0[1-9]|[12]\d|"
        r"3[01])(?![A-Za-z0-9])"
    ),
    re.compile(  # 20190517123000 or 20190517T123000
        r"(?<![A-Za-z0-9])(?P<y>(?:19|20)\d{2})(?P<m>0[1-9]|1[0-2])(?P<d>0[1-9]|[12]\d|3[01])"
        r"T?(?:[01]\d|2[0-3])[0-5]\d(?:[0-5]\d)?(?![A-Za-z0-9])"
    ),
    re.compile(
        rf"{_BEFORE}(?P<d>\d{{1,2}})(?:st|nd|rd|th)?\.?[ -]?(?:of |de )?{_WORD},?(?: de | del |[ -])?"
        r"(?P<y>(?:18|19|20)?\d{2})"
        rf"(?![A-Za-z0-9]|[.,:]\d)",
        re.IGNORECASE,
    ),
    re.compile(rf"(?<![A-Za-z]){_WORD} {_DAY}(?:st|nd|rd|th)?,? {_YEAR}(?![0-9])", re.IGNORECASE),
    re.compile(rf"(?<![A-Za-z]){_YEAR}[- ]{_WORD}[- ](?P<d>\d{{1,2}})(?![0-9])", re.IGNORECASE),
    re.compile(rf"(?<![A-Za-z]){_WORD},? (?P<y>(?:19|20)\d{{2}})(?![0-9])"),
)
