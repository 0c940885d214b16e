"""A scan cut into boxes: the smallest of a size in mm, and larger ones of 2 × 2 × 2, 4 × 4 × 4, … of them."""

import math
from dataclasses import dataclass

import numpy as np
from nibabel.affines import voxel_sizes

from umbrella.views.head_box import find_bright
from umbrella.views.places import NOWHERE, Places

LARGEST_MM = 64.0  # no larger boxes than these are made of smaller ones
LEAST_IN_HEAD = 0.25  # of what the view shows of a box


@dataclass(frozen=True)
class Tiling:
    """Boxes of whole voxels that fill a scan, told by their number in C order of `counts`.

    steps     (3,), voxels of a smallest box along X, Y, Z
    counts    (3,), smallest boxes along X, Y, Z
    n_levels  level 0 are the smallest boxes, level 1 those of twice their size, …
    places    the voxels
    """

    steps: np.ndarray
    counts: tuple[int, int, int]
    n_levels: int
    places: Places

    @classmethod
    def of_places(cls, places: Places, box_mm: float) -> "Tiling":
        """Boxes of about `box_mm` along each axis: of whole voxels, one at least."""
        steps = np.maximum(1, np.rint(box_mm / voxel_sizes(places.affine))).astype(int)
        x, y, z = (-(-np.array(places.shape) // steps)).tolist()
        return cls(steps, (x, y, z), 1 + max(0, math.floor(math.log2(LARGEST_MM / box_mm))), places)

    @property
    def n_boxes(self) -> int:
        return math.prod(self.counts)

    @property
    def size_mm(self) -> np.ndarray:
        """(3,), of a smallest box."""
        return self.steps * voxel_sizes(self.places.affine)

    def find_boxes(self, voxels: np.ndarray) -> np.ndarray:
        """The smallest box of each voxel, in the same shape; NOWHERE for NOWHERE."""
        indices = np.unravel_index(np.maximum(voxels, 0), self.places.shape)
        along = tuple(index // step for index, step in zip(indices, self.steps, strict=True))
        return np.where(voxels == NOWHERE, NOWHERE, np.ravel_multi_index(along, self.counts))

    def find_parents(self, boxes: np.ndarray, level: int) -> np.ndarray:
        """The box of a level that each smallest box lies in: a number that no other box of the level has."""
        indices = np.unravel_index(np.maximum(boxes, 0), self.counts)
        along = tuple(index >> level for index in indices)
        return np.where(boxes == NOWHERE, NOWHERE, np.ravel_multi_index(along, self.counts))

    def centre_mm(self, box: int) -> np.ndarray:
        """The middle of a smallest box, what of it lies in the scan: (3,) mm of the scan's world."""
        first, last = self.edges(box)
        middle = (first + last - 1) / 2
        return self.places.affine[:3, :3] @ middle + self.places.affine[:3, 3]

    def edges(self, box: int) -> tuple[np.ndarray, np.ndarray]:
        """The first voxel of a smallest box along each axis, (3,), and the one behind its last."""
        first = np.array(np.unravel_index(box, self.counts)) * self.steps
        return first, np.minimum(first + self.steps, self.places.shape)


@dataclass(frozen=True)
class BoxedView:
    """A view by boxes.

    tiling   the boxes
    boxes    of each element of the view the smallest box, in the shape of `Places.voxels`
    changed  (n_boxes,), elements that are other than the background: hidden without them, a box changes nothing
    in_head  (n_boxes,) bool: boxes of which a quarter of what is shown, or more, lies in the head
    """

    tiling: Tiling
    boxes: np.ndarray
    changed: np.ndarray
    in_head: np.ndarray

    @classmethod
    def of_view(cls, view: np.ndarray, background: float, places: Places, box_mm: float) -> "BoxedView":
        tiling = Tiling.of_places(places, box_mm)
        boxes = tiling.find_boxes(places.voxels)
        alike = tuple(axis for axis, n in enumerate(boxes.shape) if n == 1)  # channels, frames: one place for all
        is_other = (view != background).any(axis=alike, keepdims=True)
        is_head = find_inside(view.mean(axis=alike, keepdims=True), n_axes=2 if view.shape[1] == 3 else 3)
        is_placed = boxes != NOWHERE

        def count(chosen: np.ndarray) -> np.ndarray:
            return np.bincount(boxes[chosen & is_placed], minlength=tiling.n_boxes)

        n_shown = count(is_placed)
        in_head = count(is_head) >= np.maximum(1, LEAST_IN_HEAD * n_shown)
        return cls(tiling, boxes, count(is_other), in_head)

    @property
    def candidates(self) -> np.ndarray:
        """(n_boxes,) bool: smallest boxes whose hiding changes what is shown."""
        return self.changed > 0

    def add_up(self, numbers: np.ndarray) -> np.ndarray:
        """(n_boxes,): sums of numbers of the elements, in the shape of `boxes`."""
        is_placed = self.boxes != NOWHERE
        return np.bincount(self.boxes[is_placed], numbers[is_placed], self.tiling.n_boxes)


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
