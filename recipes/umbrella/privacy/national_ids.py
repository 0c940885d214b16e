"""National identity, social security and account numbers, told from other numbers by their check digits.

Each rule is a pattern of ours and a check, of python-stdnum where it has one: the whole of its check where that knows
all numbers that are issued, else the check digits alone, with a line that says which numbers it would leave out.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator

from stdnum import luhn, verhoeff
from stdnum.be import ssn as rijksregister
from stdnum.br import cpf
from stdnum.ch import ssn as ahv
from stdnum.cn import ric
from stdnum.es import dni, nie
from stdnum.fi import hetu
from stdnum.fr import nir
from stdnum.gb import nhs
from stdnum.iso7064 import mod_97_10
from stdnum.no import fodselsnummer
from stdnum.pl import pesel


def find_national_ids(text: str) -> Iterator[tuple[int, int]]:
    """(start, end) of each number whose form and check digits are those of an identity or account number."""
    for pattern, check in _RULES:
        for found in pattern.finditer(text):
            if check(_to_ascii_digits(found[0])):
                yield found.span()


def _to_ascii_digits(text: str) -> str:
    """The digits of any script as 0 to 9: the patterns find them all."""
    return "".join(str(unicodedata.decimal(character, character)) for character in text)


def _digits(text: str) -> str:
    return "".join(filter(str.isdecimal, text))


def _luhn(text: str) -> bool:
    return luhn.is_valid(_digits(text))


def _is_ssn(text: str) -> bool:
    """United States, which has no check digits. stdnum's `ssn` leaves out taxpayer numbers (areas from 900 on), its
    `itin` the groups that were added later."""
    area, group, serial = text.split("-")
    return area not in ("000", "666") and group != "00" and serial != "0000"


def _is_swedish(text: str) -> bool:
    """stdnum's `personnummer` leaves out coordination numbers, whose day is 60 more."""
    return luhn.is_valid(_digits(text)[-10:])


def _is_hetu(text: str) -> bool:
    return hetu.is_valid(text, allow_temporary=True)  # hospitals give temporary ones


def _is_norwegian(text: str) -> bool:
    """The whole check leaves out numbers that tell no date: those that hospitals give (FH), and synthetic ones."""
    digits = _digits(text)
    first, second = fodselsnummer.calc_check_digit1(digits), fodselsnummer.calc_check_digit2(digits)
    return digits[9:] == first + second


def _is_dni(text: str) -> bool:
    return dni.is_valid(text) or nie.is_valid(text)


def _is_rrn(text: str) -> bool:
    """Korea: numbers since October 2020 have no check digit, which stdnum asks for."""
    return int(text[2:4]) in range(1, 13) and int(text[4:6]) in range(1, 32) and text[7] in "12345678"


def _is_chinese(text: str) -> bool:
    """The whole check leaves out places that its list does not have."""
    return ric.calc_check_digit(text) == text[17].upper()


def _is_danish(text: str) -> bool:
    """Numbers since 2007 may have any last digit, so that a date is all that there is to check."""
    return int(text[:2]) in range(1, 32) and int(text[2:4]) in range(1, 13)


def _is_aadhaar(text: str) -> bool:
    """stdnum's `aadhaar` leaves out those that begin with 0 or 1, which are kept for later."""
    return verhoeff.is_valid(_digits(text))


def _is_iban(text: str) -> bool:
    """ISO 13616. stdnum's `iban` leaves out countries and banks that its lists do not have."""
    plain = text.replace(" ", "")
    return 15 <= len(plain) <= 34 and mod_97_10.is_valid(plain[4:] + plain[:4])


def _always(_: str) -> bool:
    return True


def _rule(pattern: str, check: Callable[[str], bool]) -> tuple[re.Pattern, Callable[[str], bool]]:
    return re.compile(rf"(?<![A-Za-z0-9.]){pattern}(?![A-Za-z0-9]|[.-]\d)"), check


_RULES = (
    _rule(r"\d{3}-\d{2}-\d{4}", _is_ssn),
    _rule(r"\d{3}[ -]\d{3}[ -]\d{4}", nhs.is_valid),
    _rule(r"[A-Z]{2} ?\d{2} ?\d{2} ?\d{2} ?[A-Z]", _always),  # United Kingdom, which has no check digits
    _rule(r"[1-4] ?\d{2} ?(?:0[1-9]|1[0-2]|[2-9]\d) ?(?:\d{2}|2[AB]) ?\d{3} ?\d{3} ?\d{2}", nir.is_valid),
    _rule(r"(?:19|20)?\d{2}(?:0[1-9]|1[0-2])(?:[0-2]\d|3[01]|[67]\d|8\d|9[01])[-+]\d{4}", _is_swedish),
    _rule(r"\d{6}[-+A-FYXWVU]\d{3}[0-9A-FHJ-NPR-Ya-y]", _is_hetu),
    _rule(r"\d{6} ?\d{5}", _is_norwegian),
    _rule(r"\d{11}", pesel.is_valid),
    _rule(r"(?:\d{8}|[XYZ]\d{7})[- ]?[A-Z]", _is_dni),
    _rule(r"[A-Z]{6}\d{2}[A-EHLMPRST]\d{2}[A-Z]\d{3}[A-Z]", _always),  # Italy: the form says enough, typed wrong too
    _rule(r"\d{3}\.\d{3}\.\d{3}-\d{2}", cpf.is_valid),
    _rule(r"\d{6}-[1-8]\d{6}", _is_rrn),
    _rule(r"[1-9]\d{16}[\dXx]", _is_chinese),
    _rule(r"\d{2}\.\d{2}\.\d{2}-\d{3}[.-]\d{2}", rijksregister.is_valid),
    _rule(r"756\.\d{4}\.\d{4}\.\d{2}", ahv.is_valid),
    _rule(r"\d{6}-\d{4}", _is_danish),
    _rule(r"\d{2} ?\d{6} ?[A-Z] ?\d{3}", _always),  # Germany, pension insurance: stdnum has no check
    _rule(r"\d{3} \d{3} \d{3}", _luhn),  # Canada: stdnum's `sin` leaves out those that begin with 0, of taxpayers
    _rule(r"\d{4} \d{4} \d{4}", _is_aadhaar),
    _rule(r"(?:\d{4}[ -]?){3}\d{4}", _luhn),  # payment cards
    _rule(r"[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?", _is_iban),
)
