"""Axes of a volume by the directions they run in: "RAS" is how volumes stand outside a tower, "IPR" how HLIP's do."""

from collections.abc import Sequence
from typing import TypeVar

import torch

PAIRS = ("RL", "AP", "SI")  # of each RAS axis the direction it runs in, and the other one

T = TypeVar("T")


class Axes:
    """The three axes of an encoder's volumes.

    Args:
        orientation: where each axis runs to, slowest first: "SAR" is upwards, forwards, to the right.

    Raises ValueError for letters that are no three axes.
    """

    def __init__(self, orientation: str) -> None:
        found = [[axis for axis, pair in enumerate(PAIRS) if letter in pair] for letter in orientation]
        if sorted(axis for axes in found for axis in axes) != [0, 1, 2] or len(found) != 3:
            raise ValueError(
                f"orientation: expected one letter each of R or L, A or P, S or I, as RAS, found {orientation!r}"
            )
        self.order = [axes[0] for axes in found]  # of each encoder axis the RAS one
        self.flipped = [i for i, letter in enumerate(orientation) if letter in "LPI"]

    def from_ras(self, volumes: torch.Tensor) -> torch.Tensor:
        """(..., X, Y, Z) → the same volumes along the encoder's axes."""
        first = volumes.ndim - 3
        turned = volumes.permute(*range(first), *(first + axis for axis in self.order))
        return turned.flip([first + axis for axis in self.flipped])

    def to_ras(self, volumes: torch.Tensor) -> torch.Tensor:
        """The inverse of `from_ras`."""
        first = volumes.ndim - 3
        straight = volumes.flip([first + axis for axis in self.flipped])
        return straight.permute(*range(first), *(first + self.order.index(axis) for axis in range(3)))

    def sizes_from_ras(self, sizes: Sequence[T]) -> list[T]:
        """Three numbers along X, Y, Z → along the encoder's axes."""
        return [sizes[axis] for axis in self.order]

    def sizes_to_ras(self, sizes: Sequence[T]) -> list[T]:
        """The inverse of `sizes_from_ras`."""
        return [sizes[self.order.index(axis)] for axis in range(3)]
