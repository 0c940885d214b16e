"""Resampling across a volume's axes: point by point, by its affine."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from umbrella.scans.intensity import IntensityMap

POINTS = 1 << 18  # at a time
VOXELS = 1 << 24  # of the volumes that are mapped at a time


@dataclass(frozen=True)
class Points:
    """Evenly spaced points, some for each voxel of a grid, and where among a scan's voxels they lie.

    step    (3, 3), voxels from one point to the next; a column for each of the grid's axes
    middle  (3,), of the grid, in voxels
    n       (3,), of a voxel of the grid along each of its axes
    """

    step: np.ndarray
    middle: np.ndarray
    n: np.ndarray

    def reorder(self, order: list[int]) -> "Points":
        """With the axes of the scan and of the grid in another order."""
        return Points(self.step[np.ix_(order, order)], self.middle[order], self.n[order])


def sample_oblique(volumes: np.ndarray, points: Points, intensity: IntensityMap, out: np.ndarray) -> None:
    """The mean over the points of each voxel of a grid.

    volumes  (T, X, Y, Z), stored numbers
    out      (T, x, y, z), which is filled; the map's least value stands beyond the field of view
    """
    import torch  # here, so that who shows pictures alone (umbrella.client) needs none
    from torch.nn.functional import grid_sample

    out[:] = intensity.low
    # In the order of the memory: what a point lies between is then mostly in the processor's cache.
    order = sorted(range(3), key=lambda axis: -abs(volumes.strides[1 + axis]))
    volumes, out = (array.transpose(0, *(1 + axis for axis in order)) for array in (volumes, out))
    points = points.reorder(order)
    shape, n_all = np.array(volumes.shape[1:]), points.n * out.shape[1:]
    first = points.middle - points.step @ ((n_all - 1) / 2)
    low, high = _find_range(first, points.step, n_all, shape)
    if (low >= high).any():
        return
    corners = first + np.array(list(itertools.product(*zip(low, high - 1, strict=True)))) @ points.step.T
    begin = np.clip(np.floor(corners.min(axis=0)), 0, shape - 1).astype(int)
    end = np.clip(np.ceil(corners.max(axis=0)) + 1, begin + 1, shape).astype(int)
    cropped = volumes[:, *map(slice, begin, end)]
    at_once = max(1, VOXELS // cropped[0].size)
    for start in range(0, len(volumes), at_once):
        mapped = np.ascontiguousarray(intensity.apply(cropped[start : start + at_once]))
        mapped -= np.float32(intensity.low)  # beyond the field of view stands nothing then
        filled = out[start : start + at_once]
        for ranges in _walk(low, high, points.n):
            places, is_inside = _find_places(first - begin, points.step, ranges, end - begin, -begin, shape - begin)
            sampled = grid_sample(
                torch.from_numpy(mapped)[None],
                torch.from_numpy(places)[None],
                mode="bilinear",
                padding_mode="border",
                align_corners=False,
            )[0].numpy()
            if is_inside is not None:
                sampled *= is_inside
            _add_up(sampled, ranges, points.n, filled)


def _find_range(first: np.ndarray, step: np.ndarray, n_all: np.ndarray, shape: np.ndarray) -> tuple:
    """The first point along each axis that can lie in the field of view, and the one behind the last, (3,) each."""
    edges = np.array(list(itertools.product(*((-0.5, n - 0.5) for n in shape))))
    numbers = (edges - first) @ np.linalg.inv(step).T
    low = np.clip(np.ceil(numbers.min(axis=0) - 1e-3), 0, n_all).astype(int)
    high = np.clip(np.floor(numbers.max(axis=0) + 1e-3) + 1, 0, n_all).astype(int)
    return low, high


def _walk(low: np.ndarray, high: np.ndarray, n: np.ndarray) -> Iterator[list[np.ndarray]]:
    """The points' numbers along each axis, a few planes at a time, mostly those of whole voxels of the grid."""
    n_planes = max(1, POINTS // int(np.prod(high[1:] - low[1:])))
    n_planes = max(n_planes // n[0] * n[0], min(n_planes, n[0]))
    for start in range(low[0], high[0], n_planes):
        yield [np.arange(start, min(start + n_planes, high[0])), *map(np.arange, low[1:], high[1:])]


def _find_places(
    first: np.ndarray, step: np.ndarray, ranges: list[np.ndarray], shape: np.ndarray, low: np.ndarray, high: np.ndarray
) -> tuple[np.ndarray, np.ndarray | None]:
    """Where points lie among voxels, (x, y, z, 3), as `grid_sample` counts: the last axis first, from -1 to 1 over
    all voxels; and which of them lie in the voxels from `low` to `high`, None where all of them do."""
    places = np.empty((*map(len, ranges), 3), np.float32)
    is_inside = None
    for axis in range(3):
        along_x, along_y, along_z = (step[axis, k] * numbers for k, numbers in enumerate(ranges))
        plane = first[axis] + along_y[:, None] + along_z
        scale, shift = 2 / shape[axis], 1 / shape[axis] - 1
        np.add((along_x * scale)[:, None, None], plane * scale + shift, out=places[..., 2 - axis], casting="same_kind")
        least, most = plane.min() + along_x.min(), plane.max() + along_x.max()
        if least < low[axis] - 0.5 or most > high[axis] - 0.5:
            place = along_x[:, None, None] + plane
            is_between = (place >= low[axis] - 0.5) & (place <= high[axis] - 0.5)
            is_inside = is_between if is_inside is None else is_inside & is_between
    return places, is_inside


def _add_up(sampled: np.ndarray, ranges: list[np.ndarray], n: np.ndarray, out: np.ndarray) -> None:
    """Add the means of points (T, x, y, z) to the voxels of the grid that they belong to."""
    rows = [numbers // k for numbers, k in zip(ranges, n, strict=True)]
    for axis, (of_axis, k) in enumerate(zip(rows, n, strict=True), start=1):
        starts = np.flatnonzero(np.diff(of_axis, prepend=-1))
        if len(of_axis) == k * len(starts):  # whole voxels: plain sums are quicker
            points = np.moveaxis(sampled, axis, 0)
            sampled = np.moveaxis(np.add.reduce([points[i::k] for i in range(k)]), 0, axis)
        else:
            sampled = np.add.reduceat(sampled, starts, axis=axis)
    sampled /= np.prod(n, dtype=np.float32)
    out[:, *(slice(of_axis[0], of_axis[-1] + 1) for of_axis in rows)] += sampled
