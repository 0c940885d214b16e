"""How the numbers of a data set are written, a number's text read by that: whole, or not at all; and which numbers
are codes of classes."""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

NO_BREAK_SPACES = "\u00a0\u2007\u2009\u202f"
SPELLINGS = {" ": " " + NO_BREAK_SPACES, "'": "'’ʼ"}  # of a thousands sign
# Full-width and Arabic signs, and all that is written for a minus.
SIGNS = str.maketrans("．，－＋٫٬−‒–﹣", ".,-+.,----")
SEPARATORS = ".,'’ʼ " + NO_BREAK_SPACES
EXPONENT = r"(?:[eE][-+]?\d{1,3})?"
LOWEST_CODES = (0, 1, 2)  # grades of tumours begin with 2
MOST_CODES = 10  # neither more different codes than this, nor a larger one


@dataclass(frozen=True)
class NumberFormat:
    """The signs in a data set's numbers: decimal "." or ",", thousands "", ",", ".", " " or "'".

    " " stands for every space that does not break a line too, "'" for curly apostrophes too.
    """

    decimal: str = "."
    thousands: str = ","

    def __post_init__(self) -> None:
        if self.decimal not in (".", ",") or self.thousands not in ("", ",", ".", " ", "'"):
            raise ValueError(
                'expected "." or "," as decimal sign and ",", ".", " ", "\'" or nothing as thousands sign, found '
                f"{self.decimal!r} and {self.thousands!r}"
            )
        if self.decimal == self.thousands:
            raise ValueError(f"expected two signs, found {self.decimal!r} as decimal and as thousands sign")

    def __str__(self) -> str:
        thousands = {"": "none", " ": "a space"}.get(self.thousands, f'"{self.thousands}"')
        return f'decimal sign "{self.decimal}", thousands sign {thousands}'


USUAL = NumberFormat()
OF_DECIMAL = {".": USUAL, ",": NumberFormat(",", ".")}


def read_plain_number(text: str, number_format: NumberFormat = USUAL) -> float | None:
    """The finite number that the whole text is; None for any other text.

    Digits of any script; a sign, `+`, `-` or a typographic minus; an exponent (1.2e6). Thousands stand in groups of
    three (or as in India, 12,34,567), all of them or none.

    >>> read_plain_number("1.234,5", NumberFormat(",", ".")), read_plain_number("−3"), read_plain_number("1e-3")
    (1234.5, -3.0, 0.001)
    >>> [read_plain_number(text) for text in ("1.234,5", "2.5mm", "1,23", "12.10.2020", "nan", "")]
    [None, None, None, None, None, None]
    """
    text = to_ascii_digits(text.strip())
    decimal = re.escape(number_format.decimal)
    groups = ""
    if number_format.thousands:
        sign = f"([{re.escape(SPELLINGS.get(number_format.thousands, number_format.thousands))}])"
        groups = rf"[1-9]\d{{0,2}}{sign}\d{{3}}(?:\2\d{{3}})*|"
        if number_format.thousands == ",":
            groups += r"[1-9]\d?(?:,\d{2})+,\d{3}|"
    match = re.fullmatch(rf"([-+]?)(?:{groups}\d+)?(?:{decimal}\d*)?{EXPONENT}", text)
    if match is None or not re.match(rf"[-+]?(?:{decimal})?\d", text):
        return None
    plain = text
    for sign in SPELLINGS.get(number_format.thousands, number_format.thousands):
        plain = plain.replace(sign, "")
    number = float(plain.replace(number_format.decimal, "."))
    return number if math.isfinite(number) else None


def to_ascii_digits(text: str) -> str:
    """The text with the digits of all scripts as 0 to 9 and with one minus; as long as before."""
    text = text.translate(SIGNS)
    return "".join(str(unicodedata.decimal(sign)) if sign.isdecimal() else sign for sign in text)


def are_codes(values: Sequence[float]) -> bool:
    """Whether numbers look like the codes of classes: all whole, and either two that come again or a few, counted
    from a low one, of which each comes twice or more on average.

    >>> are_codes([2, 3, 4, 2, 4, 3]), are_codes([2, 3, 4]), are_codes([61, 72, 61, 80])
    (True, False, False)
    """
    different = set(values)
    if any(value != int(value) for value in different) or len(different) == len(values):
        return False
    if len(different) == 2:
        return True
    is_counted = min(different) in LOWEST_CODES and max(different) <= MOST_CODES
    return is_counted and len(different) <= MOST_CODES and len(values) >= 2 * len(different)


def find_own_format(numeral: str) -> NumberFormat | None:
    """The signs that a number's own text shows; None where it shows none ("12") or could mean two numbers ("1,234").

    >>> find_own_format("23,5"), find_own_format("1,234")
    (NumberFormat(decimal=',', thousands='.'), None)
    """
    text = to_ascii_digits(numeral.strip()).lstrip("+-")
    signs = [sign for sign in text if sign in SEPARATORS]
    kinds = {_canonical(sign) for sign in signs}
    shown = None
    if not kinds or len(kinds) > 2:
        return None
    if len(kinds) == 2:
        first, last = _canonical(signs[0]), _canonical(signs[-1])
        shown = NumberFormat(last, first) if last in ".," and last != first else None
    elif kinds <= {" ", "'"}:
        shown = NumberFormat(".", kinds.pop())
    else:
        sign = kinds.pop()
        other = "," if sign == "." else "."
        if len(signs) > 1:
            shown = OF_DECIMAL[other]
        elif not re.match(rf"[1-9]\d{{0,2}}\{sign}\d{{3}}$", text):
            shown = OF_DECIMAL[sign]
    return shown if shown and read_plain_number(text, shown) is not None else None


def find_number_format(texts: Iterable[str]) -> tuple[NumberFormat, str]:
    """The decimal and thousands signs of a data set's numbers, and a sentence that says what they were told from.

    texts  all its numbers, as written; texts that are no numbers tell nothing

    Where signs contradict one another the more frequent decimal sign counts, and the sentence says so. Where nothing
    tells ("12"; "1,234" alone) they are those of English, and the sentence says that too.

    >>> find_number_format(["23,5", "61", "1.234,5"])
    (NumberFormat(decimal=',', thousands='.'), 'decimal sign ",", thousands sign ".": told from 2 of 3, as "23,5"')
    """
    votes, ambiguous, n = {}, None, 0
    for text in texts:
        n += 1
        shown = find_own_format(text)
        if shown is not None:
            votes.setdefault(shown, []).append(text.strip())
        elif ambiguous is None and any(sign in text.strip() for sign in ",.") and read_plain_number(text) is not None:
            ambiguous = text.strip()
    if not votes:
        unsure = f'"{ambiguous}" could be read in two ways' if ambiguous else "no number shows one"
        return USUAL, f"{USUAL}: taken as in English, since {unsure}"
    # "1 234" shows its thousands sign, but no decimal sign.
    decimals = Counter()
    for shown, written in votes.items():
        decimals[shown.decimal] += sum(_shows_decimal(text, shown) for text in written)
    decimal = max(decimals, key=lambda sign: (decimals[sign], sign == "."))
    thousands = Counter()
    for shown, written in votes.items():
        if shown.decimal == decimal or shown.thousands in " '":
            thousands[shown.thousands] += sum(_shows_thousands(text, shown) for text in written)
    usual = OF_DECIMAL[decimal].thousands
    best = max(thousands, key=lambda sign: (thousands[sign], sign == usual), default=usual)
    found = NumberFormat(decimal, best)
    fitting, others = [], []
    for written in votes.values():
        for text in written:
            (others if read_plain_number(text, found) is None else fitting).append(text)
    sentence = f'{found}: told from {len(fitting)} of {n}, as "{(fitting or others)[0]}"'
    return found, sentence + (f'; {len(others)} are written otherwise, as "{others[0]}"' if others else "")


def _canonical(sign: str) -> str:
    return next((name for name, spellings in SPELLINGS.items() if sign in spellings), sign)


def _shows_decimal(text: str, shown: NumberFormat) -> bool:
    signs = [_canonical(sign) for sign in to_ascii_digits(text) if sign in SEPARATORS]
    return shown.decimal in signs or not {" ", "'"} & set(signs)


def _shows_thousands(text: str, shown: NumberFormat) -> bool:
    return any(_canonical(sign) == shown.thousands for sign in to_ascii_digits(text) if sign in SEPARATORS)
