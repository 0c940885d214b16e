"""A scan's boxes: side by side and half over one another, so that one of them holds what lies on another's border.

    cells   of half a smallest box, side by side: the scan is cut into them
    boxes   2 × 2 × 2 cells, a cell from one to the next; larger ones have 4 × 4 × 4 cells, two from one to the next, …

Only what a view shows counts: two boxes that hide the same of it are one.
"""

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from nibabel.affines import apply_affine, voxel_sizes

from umbrella.views.head_box import find_bright
from umbrella.views.places import NOWHERE, Places

LARGEST_MM = 64.0  # no larger boxes than these are made of smaller ones
LEAST_IN_HEAD = 0.5  # of what the view shows of a box


@dataclass(frozen=True)
class Box:
    """level  0: a smallest one. first: its first cell along X, Y, Z. cells: (k,) the numbers of those that the view
    shows"""

    level: int
    first: tuple[int, int, int]
    cells: tuple[int, ...]


@dataclass(frozen=True)
class BoxedView:
    """A view by cells, which are told by their number in C order of `counts`.

    places   the voxels
    steps    (3,), voxels of a cell along X, Y, Z
    counts   cells along X, Y, Z
    cells    of each element of the view its cell, in the shape of `Places.voxels`; NOWHERE for padding
    shown    (n_cells,), elements of each
    changed  (n_cells,), those that are other than the background: a cell without them is hidden already
    in_head  (n_cells,), those in the head
    """

    places: Places
    steps: np.ndarray
    counts: tuple[int, int, int]
    cells: np.ndarray
    shown: np.ndarray
    changed: np.ndarray
    in_head: np.ndarray

    @classmethod
    def of_view(cls, view: np.ndarray, background: float, places: Places, box_mm: float) -> "BoxedView":
        """Boxes of about `box_mm` along each axis: cells are of whole voxels, one at least."""
        steps = np.maximum(1, np.rint(box_mm / 2 / voxel_sizes(places.affine))).astype(int)
        x, y, z = (-(-np.array(places.shape) // steps)).tolist()
        cells = _find_cells(places.voxels, places.shape, steps, (x, y, z))
        alike = tuple(axis for axis, n in enumerate(cells.shape) if n == 1)  # channels, frames: one place for all
        is_other = (view != background).any(axis=alike, keepdims=True)
        is_head = find_inside(view.mean(axis=alike, keepdims=True), n_axes=2 if view.shape[1] == 3 else 3)
        is_placed = cells != NOWHERE
        shown, changed, in_head = (
            np.bincount(cells[is_placed & chosen], minlength=x * y * z) for chosen in (is_placed, is_other, is_head)
        )
        return cls(places, steps, (x, y, z), cells, shown, changed, in_head)

    @property
    def box_mm(self) -> np.ndarray:
        """(3,), the sides of a smallest box."""
        return 2 * self.steps * voxel_sizes(self.places.affine)

    def find_cells(self, voxels: np.ndarray) -> np.ndarray:
        """The cell of each voxel, in the same shape; NOWHERE for NOWHERE."""
        return _find_cells(voxels, self.places.shape, self.steps, self.counts)

    def add_up(self, numbers: np.ndarray) -> np.ndarray:
        """(n_cells,): sums of numbers of the elements, in the shape of `cells`."""
        is_placed = self.cells != NOWHERE
        return np.bincount(self.cells[is_placed], numbers[is_placed], len(self.shown))

    def list_boxes(self, level: int, within: Iterable[Box] | None = None) -> list[Box]:
        """The boxes of a level that hide anything; `within`: those that lie in one of these boxes of the level
        above."""
        step, side = 1 << level, 2 << level
        ends = [max(0, math.ceil((n - side) / step)) * step for n in self.counts]
        if within is None:
            firsts: Iterable = itertools.product(*(range(0, end + 1, step) for end in ends))
        else:
            moves = list(itertools.product((0, step, 2 * step), repeat=3))
            places = {tuple(np.minimum(np.add(box.first, move), ends).tolist()) for box in within for move in moves}
            firsts = sorted(places)
        shown = self.shown.reshape(self.counts)
        numbers = np.arange(shown.size).reshape(self.counts)
        found: dict[tuple[int, ...], Box] = {}
        for first in firsts:
            place = tuple(slice(start, start + side) for start in first)
            cells = numbers[place][shown[place] > 0]
            if self.changed[cells].sum() > 0:
                box = Box(level, first, tuple(cells.tolist()))
                found.setdefault(box.cells, box)
        return list(found.values())

    def is_in_head(self, box: Box) -> bool:
        """Whether half of what the view shows of a box, or more, lies in the head."""
        cells = list(box.cells)
        return bool(self.in_head[cells].sum() >= LEAST_IN_HEAD * self.shown[cells].sum())

    def hide(self, view: np.ndarray, background: float, box: Box) -> np.ndarray:
        """The view with the background's value in a box."""
        is_hidden = np.zeros(len(self.shown) + 1, bool)  # the last stands for NOWHERE
        is_hidden[list(box.cells)] = True
        return np.where(is_hidden[self.cells], view.dtype.type(background), view)

    def centre_mm(self, box: Box) -> np.ndarray:
        """The middle of what the view shows of a box: (3,) mm of the scan's world."""
        voxels = self._list_voxels(box)
        return apply_affine(self.places.affine, (voxels.min(axis=0) + voxels.max(axis=0)) / 2)

    def shown_mm(self, box: Box) -> np.ndarray:
        """The voxel nearest to that middle of those that the view shows: (3,) mm."""
        voxels = apply_affine(self.places.affine, self._list_voxels(box))
        return voxels[np.argmin(np.linalg.norm(voxels - self.centre_mm(box), axis=1))]

    def _list_voxels(self, box: Box) -> np.ndarray:
        """(n, 3), the indices of the voxels of a box that the view shows."""
        shown = self.places.shown
        inside = shown[np.isin(self.find_cells(shown), box.cells)]
        return np.stack(np.unravel_index(inside, self.places.shape), axis=1)


def _find_cells(
    voxels: np.ndarray, shape: tuple[int, int, int], steps: np.ndarray, counts: tuple[int, int, int]
) -> np.ndarray:
    indices = np.unravel_index(np.maximum(voxels, 0), shape)
    along = tuple(index // step for index, step in zip(indices, steps, strict=True))
    return np.where(voxels == NOWHERE, NOWHERE, np.ravel_multi_index(along, counts))


def count_levels(box_mm: float) -> int:
    """How many sizes of boxes there are, the smallest of `box_mm`, each twice the one before."""
    return 1 + max(0, math.floor(math.log2(LARGEST_MM / box_mm)))


def find_inside(values: np.ndarray, n_axes: int) -> np.ndarray:
    """What is brighter than air by Otsu's threshold, and what lies between such along each of the last `n_axes` axes:
    bool, of the same shape. A head with what its scalp encloses, as dark as it may be."""
    bright = find_bright(values)
    inside = np.ones_like(bright)
    for axis in range(-n_axes, 0):
        before = np.maximum.accumulate(bright, axis)
        behind = np.flip(np.maximum.accumulate(np.flip(bright, axis), axis), axis)
        inside &= before & behind
    return inside
