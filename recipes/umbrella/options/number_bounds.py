"""Which numbers a flag takes. Zero rows a step, or no number at all (nan), end a command with a sentence."""

import math
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Bounds:
    """From `least` to `most`; `open_below` and `open_above` leave the ends themselves out. `also` is taken too."""

    least: float = 0
    most: float = math.inf
    open_below: bool = False
    open_above: bool = False
    also: tuple[float, ...] = ()

    def __contains__(self, number: float) -> bool:
        above = number > self.least if self.open_below else number >= self.least
        below = number < self.most if self.open_above else number <= self.most
        return number in self.also or (above and below and math.isfinite(number))

    def __str__(self) -> str:
        words = f"{'more than' if self.open_below else 'at least'} {self.least:g}"
        if self.most < math.inf:
            words += f" and {'less than' if self.open_above else 'at most'} {self.most:.10g}"
        return words + "".join(f", or {number:g}" for number in self.also)


NOT_NEGATIVE = Bounds(0)
AT_LEAST_1 = Bounds(1)
POSITIVE = Bounds(0, open_below=True)
SHARE = Bounds(0, 1)
BELOW_1 = Bounds(0, 1, open_above=True)
PROPER_SHARE = Bounds(0, 1, open_below=True, open_above=True)
SEED = Bounds(0, 2**32 - 1)  # numpy's
# Of augmentation. At 2, 16 degrees about each axis: the head is still upright, left is still left.
STRENGTH = Bounds(0, 2, open_below=True)


def check_bounds(arguments: Any, bounds: dict[str, Bounds]) -> None:
    """Raise ValueError for the first of these arguments whose number is out of its bounds. None is no number."""
    for name, allowed in bounds.items():
        number = getattr(arguments, name)
        if number is not None and number not in allowed:
            raise ValueError(f"--{name}: expected {allowed}, found {number:g}")
