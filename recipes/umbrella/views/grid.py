"""Volumes on a grid of their own: isotropic, along the world's axes, centred on the head. Knows no file.

    volumes (T, X, Y, Z) and their affine  ──place_grid──▶  Grid  ──sample_grid──▶  (T, x, y, z), RAS+

A value of the grid is the mean over its voxel of the volume's linear interpolation, taken at evenly spaced points:
along each of the grid's axes as few as lie no further apart than the volume's own voxels. So it is antialiased where
the grid is coarser, and plain linear interpolation where it is not. A point in the outer half of an outer voxel has
that voxel's value; beyond the field of view stands the minimum.
"""

from dataclasses import dataclass

import numpy as np

from umbrella.scans.intensity import IntensityMap
from umbrella.views.aligned import sample_aligned
from umbrella.views.head_box import find_box, find_bright, thin_out
from umbrella.views.oblique import Points, sample_oblique
from umbrella.views.weights import ROUNDING, weigh_points


@dataclass(frozen=True)
class Grid:
    """Where the voxels of a view lie.

    size        along X, Y, Z
    spacing_mm  the same along each axis
    centre_mm   (3,), the world's place of its middle
    """

    size: tuple[int, int, int]
    spacing_mm: float
    centre_mm: np.ndarray

    @property
    def affine(self) -> np.ndarray:
        """(4, 4), voxel indices to mm of the world."""
        affine = np.diag([*[self.spacing_mm] * 3, 1.0])
        affine[:3, 3] = self.centre_mm - (np.array(self.size) - 1) / 2 * self.spacing_mm
        return affine

    def find_voxel(self, point_mm: np.ndarray) -> tuple[int, int, int] | None:
        """The voxel in which a point of the world lies, (3,) mm; None beyond the grid."""
        index = np.floor((np.asarray(point_mm) - self.centre_mm) / self.spacing_mm + np.array(self.size) / 2)
        x, y, z = index.astype(int).tolist()
        return (x, y, z) if (index >= 0).all() and (index < self.size).all() else None

    def count_points(self, affine: np.ndarray) -> np.ndarray:
        """How many points a voxel of the grid has along each axis, (3,), for voxels of this affine."""
        steps = np.abs(np.linalg.inv(affine)[:3, :3]).max(axis=0) * self.spacing_mm
        return np.maximum(1, np.ceil(steps - ROUNDING)).astype(int)


@dataclass(frozen=True)
class Head:
    """What of a scan is brighter than air.

    bright  (X, Y, Z) bool
    box     (3, 2), the first and the last plane of the head along each axis
    affine  (4, 4), indices to mm
    """

    bright: np.ndarray
    box: np.ndarray
    affine: np.ndarray


def place_grid(
    volumes: np.ndarray, affine: np.ndarray, size: tuple[int, int, int], spacing_mm: float, intensity: IntensityMap
) -> tuple[Grid, Head]:
    """Centre a grid on the head, which is returned with it.

    volumes     (T, X, Y, Z), RAS+; the head is looked for in their mean
    affine      (4, 4), voxel indices to mm
    size, spacing_mm  of the grid
    intensity   the map of stored numbers; the head is then brighter than air

    The middle is that of the head's box, moved by less than a voxel to where two voxels meet, or onto a voxel's
    middle where the grid has an odd number of points: so the points fall on whole voxels where they can, and on the
    same ones in whichever order the axes are stored.
    """
    thin, steps = thin_out(volumes)
    bright = find_bright(intensity.apply(thin).mean(axis=0))
    zooms = np.linalg.norm(affine[:3, :3], axis=0)
    box = find_box(bright, zooms * steps)
    middle = np.floor(box.sum(axis=1) * steps / 2)
    n_points = Grid(size, spacing_mm, np.zeros(3)).count_points(affine) * size
    middle += np.where(n_points % 2, 0, 0.5)
    head = Head(bright, box, affine @ np.diag([*steps, 1]))
    return Grid(size, spacing_mm, affine[:3, :3] @ middle + affine[:3, 3]), head


@dataclass(frozen=True)
class Cut:
    """What a grid leaves out of a head.

    share    of the head's voxels, 0 to 1, that lies beyond the grid; the neck is not counted as head
    head_mm  (3,), the size of the head's box
    """

    share: float
    head_mm: np.ndarray


def measure_beyond(head: Head, grid: Grid) -> Cut:
    """What of a head lies beyond a grid that is centred on it."""
    places = np.argwhere(head.bright[tuple(slice(first, last + 1) for first, last in head.box)]) + head.box[:, 0]
    from_middle_mm = places @ head.affine[:3, :3].T + (head.affine[:3, 3] - grid.centre_mm)
    is_beyond = (np.abs(from_middle_mm) > np.array(grid.size) * grid.spacing_mm / 2).any(axis=1)
    return Cut(float(is_beyond.mean()), np.abs(head.affine[:3, :3]) @ (np.diff(head.box, axis=1)[:, 0] + 1))


def sample_grid(volumes: np.ndarray, affine: np.ndarray, grid: Grid, intensity: IntensityMap) -> np.ndarray:
    """Resample volumes to a grid.

    volumes    (T, X, Y, Z), RAS+, stored numbers, in any order in memory
    affine     (4, 4), voxel indices to mm
    intensity  the map of stored numbers, which comes before the interpolation; its least value stands beyond the field
               of view

    Returns (T, *size), float32, along the world's X, Y, Z.
    """
    out = np.empty((len(volumes), *grid.size), np.float32)
    inverse = np.linalg.inv(affine)
    n_points = grid.count_points(affine)
    step = inverse[:3, :3] * (grid.spacing_mm / n_points)  # voxels from one point to the next, along each axis
    middle = np.round(inverse[:3, :3] @ grid.centre_mm + inverse[:3, 3], 6)
    for axis in range(3):
        if volumes.strides[1 + axis] < 0:  # as it lies in memory: forwards it is read several times as fast
            volumes = np.flip(volumes, 1 + axis)
            step[axis] *= -1
            middle[axis] = volumes.shape[1 + axis] - 1 - middle[axis]
    beside = np.abs(step * n_points * grid.size)[~np.eye(3, dtype=bool)]
    if (beside >= ROUNDING).any() or (np.diag(step) == 0).any():
        sample_oblique(volumes, Points(step, middle, n_points), intensity, out)
        return out
    steps = np.abs(np.diag(step))
    firsts = middle - steps * (n_points * grid.size - 1) / 2
    numbers = (volumes.shape[1:], grid.size, *(each.tolist() for each in (n_points, firsts, steps)))
    weights = [weigh_points(*of_axis) for of_axis in zip(*numbers, strict=True)]
    filled = out[:, *(slice(None, None, int(np.sign(along))) for along in np.diag(step))]
    for volume, sampled in zip(volumes, filled, strict=True):
        sample_aligned(volume, weights, intensity, sampled)
    return out
