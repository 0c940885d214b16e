"""Resampling along a volume's own axes, slab by slab, each while it is in the processor's cache."""

from dataclasses import dataclass

import numpy as np

from umbrella.scans.intensity import IntensityMap
from umbrella.views.weights import AxisWeights

SLAB = 1 << 18  # voxels at a time


@dataclass(frozen=True)
class Values:
    """What is added up: stored numbers that are clipped alone, where the rest of the map can come after the mean, or
    numbers that are mapped, or are to be mapped.

    intensity  the map; None where the numbers are mapped
    bounds     of the clip of stored numbers; None for mapped ones
    """

    intensity: IntensityMap | None
    bounds: tuple[np.generic, np.generic] | None

    def take(self, numbers: np.ndarray) -> np.ndarray:
        """What is added up of them."""
        if self.intensity is None:
            return numbers
        return np.clip(numbers, *self.bounds) if self.bounds else self.intensity.apply(numbers)

    def choose_sum_type(self, n: int) -> type[np.number]:
        """Of sums of n values: the smallest that holds them."""
        if not (self.bounds and self.bounds[0].dtype.kind in "iu"):
            return np.float32
        largest = n * max(abs(int(bound)) for bound in self.bounds)
        return np.int16 if largest < 1 << 15 else np.int32 if largest < 1 << 31 else np.float32

    def finish(self, sums: np.ndarray, n: int, out: np.ndarray) -> None:
        """The mapped means of sums of n values."""
        if self.intensity and self.bounds:
            np.multiply(sums, np.float32(self.intensity.gain / n), out=out)
            out += np.float32(-self.intensity.center * self.intensity.gain)
        else:
            np.multiply(sums, np.float32(1 / n), out=out)


def sample_aligned(volume: np.ndarray, weights: list[AxisWeights], intensity: IntensityMap, out: np.ndarray) -> None:
    """Weigh a volume along its three axes.

    volume   (X, Y, Z), stored numbers, in any order in memory
    weights  of X, Y and Z
    out      (x, y, z), which is filled; the map's least value stands beyond the field of view
    """
    is_within = all(axis.sums.min() == 1 for axis in weights)
    if not is_within:
        out[:] = intensity.low
    if not all(axis.rows.stop for axis in weights):
        return
    used = [axis.used(axis.rows) for axis in weights]
    volume, out = volume[tuple(used)], out[tuple(axis.rows for axis in weights)]
    values = Values(intensity, intensity.find_bounds(volume.dtype))
    if volume.size < out.size:  # what grows is mapped, and brought into the grid's order, while it is small
        volume, values = np.ascontiguousarray(intensity.apply(volume)), Values(None, None)
    order = sorted(range(3), key=lambda axis: -abs(volume.strides[axis]))
    planes, filled = volume.transpose(order), out.transpose(order)
    ways, firsts = [weights[axis] for axis in order], [used[axis].start for axis in order]
    are_means = all(way.whole == way.rows for way in ways)
    n_rows = max(1, SLAB * len(filled) // volume.size)
    for start in range(0, len(filled), n_rows):
        rows = [slice(way.rows.start, way.rows.stop) for way in ways]
        rows[0] = slice(rows[0].start + start, min(rows[0].start + start + n_rows, rows[0].stop))
        read = ways[0].used(rows[0])
        slab = values.take(planes[read.start - firsts[0] : read.stop - firsts[0]])
        part = filled[start : start + n_rows]
        if are_means:
            _sum_up(slab, [way.voxels.shape[1] for way in ways], values, part)
        elif is_within and values.intensity is None:
            _weigh(slab, ways, rows, [read.start, *firsts[1:]], part)
        else:
            sums = _weigh(slab, ways, rows, [read.start, *firsts[1:]], None)
            _lay_over(sums, [way.sums[row] for way, row in zip(ways, rows, strict=True)], values, part)


def _sum_up(slab: np.ndarray, block: list[int], values: Values, out: np.ndarray) -> None:
    """Where each voxel of the grid is the plain mean of a block of the scan's: sums, of integers where it has them."""
    n = int(np.prod(block))
    kind = values.choose_sum_type(n)
    for axis, k in enumerate(block):
        before = (slice(None),) * axis
        total = np.add(slab[*before, 0::k], slab[*before, 1::k] if k > 1 else 0, dtype=kind)
        for voxel in range(2, k):
            total += slab[*before, voxel::k]
        slab = total
    values.finish(slab, n, out)


def _weigh(
    slab: np.ndarray, ways: list[AxisWeights], rows: list[slice], firsts: list[int], out: np.ndarray | None
) -> np.ndarray:
    # What shrinks comes first, along the slowest axis, where whole planes are added up; what grows last.
    growth = [(part.stop - part.start) / n for part, n in zip(rows, slab.shape, strict=True)]
    steps = [axis for axis in range(3) if growth[axis] <= 1] + [axis for axis in (2, 1, 0) if growth[axis] > 1]
    slab = slab.astype(np.float32, copy=False)
    for axis in steps:
        slab = ways[axis].weigh(slab, axis, rows[axis], firsts[axis], out if axis == steps[-1] else None)
    return slab


def _lay_over(sums: np.ndarray, inside: list[np.ndarray], values: Values, out: np.ndarray) -> None:
    """Weighed values over what stands beyond the field of view, whose share is what they lack to one."""
    if min(of_axis.min() for of_axis in inside) == 1:
        values.finish(sums, 1, out)
        return
    share = np.einsum("i,j,k->ijk", *inside)
    mapped = np.empty_like(out)
    with np.errstate(divide="ignore", invalid="ignore"):
        values.finish(sums / share, 1, mapped)
    out += np.where(share > 0, (mapped - out) * share, 0)
