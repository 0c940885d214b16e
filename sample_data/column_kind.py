"""Whether a column holds numbers or classes, told from its cells alone, and codes among numbers that mean "missing".

The rule: text is of classes. A column is of numbers where at least 80 % of its cells are, or of its different cells (a
word of its own for "missing" comes again and again). Numbers are codes of classes all the same where all are whole and
come again and again: two different ones (0/1, 1/2, -1/1), or at most 10 different from 0, 1 or 2 up to at most 10,
each twice or more on average (1..4, 2..4).
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import NamedTuple

from umbrella.evaluation.numbers import LOWEST_CODES, NumberFormat, are_codes, read_plain_number

SHARE_OF_NUMBERS = 0.8

# What surveys and questionnaires write for "missing", "refused", "not applicable". A lone 9 counts among codes only.
_NEGATIVE_MISSING = frozenset({-1} | {-int(digit * n) for digit in "789" for n in range(1, 6)})
_POSITIVE_MISSING = frozenset({9, 99} | {int(digit * n) for digit in "789" for n in range(3, 6)})


class Kind(NamedTuple):
    name: str  # "categorical" or "numeric"
    evidence: str
    is_stated: bool = False  # by a flag


def read_numbers(cells: Iterable[str], number_format: NumberFormat) -> dict[str, float]:
    """Cell → its number, of the cells that hold one and nothing else."""
    numbers = {cell: read_plain_number(cell, number_format) for cell in dict.fromkeys(cells)}
    return {cell: number for cell, number in numbers.items() if number is not None}


def format_number(number: float, decimals: int | None = None) -> str:
    """34.0 → "34", 23.50 → "23.5", 1e-7 → "0.0000001"; never in exponents of ten. Without `decimals` to 15 digits,
    which is what a 64-bit number holds: 0.1 + 0.2 → "0.3"."""
    text = f"{Decimal(f'{number:.15g}'):f}" if decimals is None else f"{number:.{decimals}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("", "-0") else text


def are_mostly_numbers(cells: Sequence[str], numbers: dict[str, float]) -> bool:
    different = set(cells)
    n_numbers, n_different = sum(cell in numbers for cell in cells), len(different & numbers.keys())
    return bool(cells) and (
        n_numbers >= SHARE_OF_NUMBERS * len(cells) or n_different >= SHARE_OF_NUMBERS * len(different)
    )


def infer_kind(cells: Sequence[str], numbers: dict[str, float]) -> Kind:
    """The kind of a column by the rule above.

    cells    all that are not missing, as often as they come
    numbers  of `read_numbers`
    """
    values = [numbers[cell] for cell in cells if cell in numbers]
    count = f"{len(cells)} values"
    if not values:
        return Kind("categorical", f"{count}, none a number → classes")
    if not are_mostly_numbers(cells, numbers):
        return Kind("categorical", f"{count}, only {len(values)} numbers → classes")
    n_different = len(set(values))
    told = f"{count}, {'all' if len(values) == len(cells) else len(values)} numbers"
    if are_codes(values):
        return Kind(
            "categorical", f"{told}, whole and only {n_different} different, which come again → codes of classes"
        )
    return Kind("numeric", f"{told}, {n_different} different → regression")


def find_missing_codes(values: Sequence[float]) -> dict[float, int]:
    """Number → how often, of those that may mean "missing": a negative one (-1, -9, -99, ...) where all others are
    none; a high one (99, 999, ...) further above the others than they spread, a lone 9 so among codes of classes."""
    counts = Counter(values)
    candidates = {value for value in counts if value in _NEGATIVE_MISSING or value in _POSITIVE_MISSING}
    others = [value for value in values if value not in candidates]
    if len(set(others)) < 2:
        return {}
    lowest, highest = min(others), max(others)
    found = set()
    for value in candidates:
        if value < 0:
            is_odd = lowest >= 0
        else:
            is_odd = value - highest > max(highest - lowest, 1)
            is_odd &= value != 9 or (are_codes([*others, *others]) and lowest in LOWEST_CODES)
        if is_odd:
            found.add(value)
    return {value: counts[value] for value in sorted(found)}
