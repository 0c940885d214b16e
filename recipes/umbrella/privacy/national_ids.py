"""National identity, social security and account numbers, told from other numbers by their check digits.

Each rule is a pattern and a check. Sources are the issuing bodies' public definitions, named beside each rule.
"""

import re
from collections.abc import Callable, Iterator

_LETTERS_DNI = "TRWAGMYFPDXBNJZSQVHLCKE"  # Spain: number modulo 23
_HETU = "0123456789ABCDEFHJKLMNPRSTUVWXY"  # Finland: number modulo 31


def find_national_ids(text: str) -> Iterator[tuple[int, int]]:
    """(start, end) of each number whose form and check digits are those of an identity or account number."""
    for pattern, check in _RULES:
        for found in pattern.finditer(text):
            if check(found[0]):
                yield found.span()


def _digits(text: str) -> list[int]:
    return [int(character) for character in text if character.isdigit()]


def _weighted(digits: list[int], weights: list[int]) -> int:
    return sum(digit * weight for digit, weight in zip(digits, weights, strict=False))


def _luhn(text: str) -> bool:
    """ISO/IEC 7812: every second digit from the right doubled, cross sums added, a multiple of 10."""
    digits = _digits(text)
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def _is_ssn(text: str) -> bool:
    """United States: area not 000, 666 or from 900 on (those from 900 on are taxpayer numbers), no group of zeros."""
    area, group, serial = re.split(r"\D", text)
    return area not in ("000", "666") and group != "00" and serial != "0000"


def _is_nhs(text: str) -> bool:
    """England: weights 10 to 2, modulo 11."""
    digits = _digits(text)
    return (11 - _weighted(digits, list(range(10, 1, -1))) % 11) % 11 == digits[9]


def _is_nir(text: str) -> bool:
    """France: key = 97 - number modulo 97; the departments 2A and 2B of Corsica count as 19 and 18."""
    plain = re.sub(r"[ .-]", "", text).replace("2A", "19").replace("2B", "18")
    return 97 - int(plain[:13]) % 97 == int(plain[13:])


def _is_swedish(text: str) -> bool:
    return _luhn("".join(map(str, _digits(text)[-10:])))


def _is_hetu(text: str) -> bool:
    return _HETU[int(text[:6] + text[7:10]) % 31] == text[10].upper()


def _is_norwegian(text: str) -> bool:
    digits = _digits(text)
    return not (
        _weighted(digits, [3, 7, 6, 1, 8, 9, 4, 5, 2, 1]) % 11
        or _weighted(digits, [5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1]) % 11
    )


def _is_pesel(text: str) -> bool:
    digits = _digits(text)
    is_date = int(text[2:4]) % 20 in range(1, 13) and int(text[4:6]) in range(1, 32)
    return is_date and (10 - _weighted(digits, [1, 3, 7, 9, 1, 3, 7, 9, 1, 3]) % 10) % 10 == digits[10]


def _is_dni(text: str) -> bool:
    plain = text.upper().replace("-", "").replace(" ", "")
    number = plain[:-1].translate(str.maketrans("XYZ", "012"))
    return _LETTERS_DNI[int(number) % 23] == plain[-1]


def _is_cpf(text: str) -> bool:
    """Brazil: two check digits, modulo 11."""
    digits = _digits(text)
    for n in (9, 10):
        rest = _weighted(digits[:n], list(range(n + 1, 1, -1))) % 11
        if digits[n] != (0 if rest < 2 else 11 - rest):
            return False
    return True


def _is_rrn(text: str) -> bool:
    """Korea: the birth date and the century's digit (numbers since 2020 have no check digit)."""
    return int(text[2:4]) in range(1, 13) and int(text[4:6]) in range(1, 32) and text[7] in "12345678"


def _is_chinese(text: str) -> bool:
    """GB 11643-1999: weights 2^(17 - i) modulo 11."""
    total = sum(int(digit) * (1 << (17 - i)) for i, digit in enumerate(text[:17]))
    return "10X98765432"[total % 11] == text[17].upper()


def _is_belgian(text: str) -> bool:
    digits = "".join(map(str, _digits(text)))
    number, key = int(digits[:9]), int(digits[9:])
    return key in (97 - number % 97, 97 - int(f"2{digits[:9]}") % 97)


def _is_ahv(text: str) -> bool:
    """Switzerland: an EAN-13 with the prefix 756."""
    digits = _digits(text)
    return (10 - _weighted(digits, [1, 3] * 6) % 10) % 10 == digits[12]


def _is_danish(text: str) -> bool:
    return int(text[:2]) in range(1, 32) and int(text[2:4]) in range(1, 13)


def _is_iban(text: str) -> bool:
    """ISO 13616: modulo 97 is 1."""
    plain = re.sub(r"\s", "", text).upper()
    turned = plain[4:] + plain[:4]
    return 15 <= len(plain) <= 34 and int("".join(str(int(character, 36)) for character in turned)) % 97 == 1


def _is_verhoeff(text: str) -> bool:
    """India's Aadhaar: Verhoeff's scheme over the dihedral group of order 10."""
    inner = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4]
    power, check = list(range(10)), 0
    for digit in reversed(_digits(text)):
        check = _dihedral(check, power[digit])
        power = [inner[value] for value in power]
    return check == 0


def _dihedral(a: int, b: int) -> int:
    if a < 5:
        return (a + b) % 5 if b < 5 else 5 + (a + b) % 5
    return 5 + (a - b) % 5 if b < 5 else (a - b) % 5


def _always(_: str) -> bool:
    return True


def _rule(pattern: str, check: Callable[[str], bool]) -> tuple[re.Pattern, Callable[[str], bool]]:
    return re.compile(rf"(?<![A-Za-z0-9.]){pattern}(?![A-Za-z0-9]|[.-]\d)"), check


_RULES = (
    _rule(r"\d{3}-\d{2}-\d{4}", _is_ssn),
    _rule(r"\d{3}[ -]\d{3}[ -]\d{4}", _is_nhs),
    _rule(r"[A-Z]{2} ?\d{2} ?\d{2} ?\d{2} ?[A-Z]", _always),  # United Kingdom
    _rule(r"[1-4] ?\d{2} ?(?:0[1-9]|1[0-2]|[2-9]\d) ?(?:\d{2}|2[AB]) ?\d{3} ?\d{3} ?\d{2}", _is_nir),
    _rule(r"(?:19|20)?\d{2}(?:0[1-9]|1[0-2])(?:[0-2]\d|3[01]|[67]\d|8\d|9[01])[-+]\d{4}", _is_swedish),
    _rule(r"\d{6}[-+A-FYXWVU]\d{3}[0-9A-FHJ-NPR-Ya-y]", _is_hetu),
    _rule(r"\d{6} ?\d{5}", _is_norwegian),
    _rule(r"\d{11}", _is_pesel),
    _rule(r"(?:\d{8}|[XYZ]\d{7})[- ]?[A-Z]", _is_dni),
    _rule(r"[A-Z]{6}\d{2}[A-EHLMPRST]\d{2}[A-Z]\d{3}[A-Z]", _always),  # Italy, codice fiscale
    _rule(r"\d{3}\.\d{3}\.\d{3}-\d{2}", _is_cpf),
    _rule(r"\d{6}-[1-8]\d{6}", _is_rrn),
    _rule(r"[1-9]\d{16}[\dXx]", _is_chinese),
    _rule(r"\d{2}\.\d{2}\.\d{2}-\d{3}[.-]\d{2}", _is_belgian),
    _rule(r"756\.\d{4}\.\d{4}\.\d{2}", _is_ahv),
    _rule(r"\d{6}-\d{4}", _is_danish),
    _rule(r"\d{2} ?\d{6} ?[A-Z] ?\d{3}", _always),  # Germany, pension insurance
    _rule(r"\d{3} \d{3} \d{3}", _luhn),  # Canada
    _rule(r"\d{4} \d{4} \d{4}", _is_verhoeff),
    _rule(r"(?:\d{4}[ -]?){3}\d{4}", _luhn),  # payment cards
    _rule(r"[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?", _is_iban),
)
