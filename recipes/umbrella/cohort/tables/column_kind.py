"""Whether a column holds numbers or classes, told from its cells alone, and codes among numbers that mean "missing".

The rule: text is of classes. A column is of numbers where at least 80 % of its cells are, or of its different cells (a
word of its own for "missing" comes again and again). Numbers are codes of classes all the same where all are whole and
come again and again: two different ones (0/1, 1/2, -1/1), or at most 10 different from 0, 1 or 2 up to at most 10,
each twice or more on average (1..4, 2..4).
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from decimal import Decimal
from itertools import product, takewhile
from typing import NamedTuple

from umbrella.answers.numbers import LOWEST_CODES, NumberFormat, are_codes, read_plain_number

SHARE_OF_NUMBERS = 0.8

# What surveys and registries write for "missing", "refused", "not applicable"; -10 to -818 are UK Biobank's. A lone 9
# counts among codes only.
_LAST_BEFORE_A_POWER = frozenset(10**n - i for n in (3, 4, 5) for i in range(1, 7))  # 994 to 999, 9994 to 9999, ...
_NEGATIVE_MISSING = frozenset(
    {-1, -10, -121, -313, -818}
    | {-int(digit * n) for digit in "789" for n in range(1, 6)}
    | {-n for n in _LAST_BEFORE_A_POWER}
)
_POSITIVE_MISSING = {9, 99} | {int(digit * n) for digit in "789" for n in range(3, 6)} | _LAST_BEFORE_A_POWER


class Kind(NamedTuple):
    """Numbers or classes, and what it was told from; `is_stated` where a flag says it."""

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
    """Whether most cells, or most different cells, are keys of `numbers`."""
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
    """Number → how often, of those at either end of the values that may mean "missing".

    The codes of an end are judged together, so that none hides another; see `_are_low_codes`, `_are_high_codes`.
    """
    counts = Counter(values)
    ordered = sorted(counts)
    n_listed = sum(1 for _ in takewhile(_NEGATIVE_MISSING.__contains__, ordered))
    n_negative = sum(value < 0 for value in ordered)
    n_high = sum(1 for _ in takewhile(_POSITIVE_MISSING.__contains__, reversed(ordered)))
    found: list[float] = []
    for low, high in product(sorted({*range(n_listed + 1), n_negative}), range(n_high + 1)):
        cut = len(ordered) - high
        if low + high <= len(found) or cut - low < 2:
            continue
        others = [value for value in values if ordered[low] <= value <= ordered[cut - 1]]
        if _are_low_codes(ordered[:low], counts, others) and _are_high_codes(ordered[cut:], others):
            found = ordered[:low] + ordered[cut:]
    if not found:
        return {}
    # What is left may show codes that the far ones hid.
    more = find_missing_codes([value for value in values if value not in found])
    return {value: counts[value] for value in sorted([*found, *more])}


def _are_low_codes(codes: Sequence[float], counts: dict[float, int], others: Sequence[float]) -> bool:
    """Whether negative numbers may mean "missing" beside the others, which lie above all of them.

    They are whole. Beside negative numbers: those of the list, further below the others than they spread. Beside none:
    those of the list; a single one, unless the scale ends as far above 0; and a few in few rows that lie as far off or
    have one digit, beside a 0 two at most that do not go on from it, as changes do (-2, -1, 0, 1, ...).
    """
    if not codes:
        return True
    if any(code != int(code) for code in codes):
        return False
    lowest, highest, n_others = min(others), max(others), len(set(others))
    is_far = lowest - codes[-1] > max(highest - lowest, 1)
    is_listed = _NEGATIVE_MISSING.issuperset(codes)
    if lowest < 0:
        return is_far and is_listed
    if len(codes) == 1 or is_listed:
        return is_listed or codes[0] != -highest
    if 2 * sum(counts[code] for code in codes) > len(others):
        return False
    are_few = 2 * len(codes) <= n_others or (lowest == 1 and are_codes(others))
    are_small = all(code >= -9 or code in _NEGATIVE_MISSING for code in codes)
    are_apart = lowest > 0 or (len(codes) == 2 and codes != [-2, -1])
    return are_few and (is_far or (are_small and are_apart))


def _are_high_codes(codes: Sequence[float], others: Sequence[float]) -> bool:
    """Whether numbers of the list may mean "missing": further above the others than they spread, a lone 9 so among
    codes from 0 or 1."""
    if not codes:
        return True
    lowest, highest = min(others), max(others)
    is_far = codes[0] - highest > max(highest - lowest, 1)
    return is_far and (codes[0] != 9 or (are_codes([*others, *others]) and lowest in LOWEST_CODES))
