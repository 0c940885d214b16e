"""Resampling along a volume's own axes, slab by slab, each while it is in the processor's cache."""

from dataclasses import dataclass

import numpy as np

from umbrella.scans.intensity import IntensityMap
from umbrella.views.weights import AxisWeights

SLAB = 1 << 18  # voxels at a time


@dataclass(frozen=True)
class StoredValues:
    """What is added up: stored numbers that are clipped alone, where the rest of the map can come after the mean;
    else mapped ones.

    bounds  of the clip; None where the numbers are mapped
    """

    intensity: IntensityMap
    bounds: tuple[np.generic, np.generic] | None

    @classmethod
    def of(cls, intensity: IntensityMap, stored: np.dtype) -> "StoredValues":
        """The quickest way for numbers of a type."""
        return cls(intensity, intensity.find_bounds(stored))

    def take(self, stored: np.ndarray) -> np.ndarray:
        """The values of stored numbers."""
        return np.clip(stored, *self.bounds) if self.bounds else self.intensity.apply(stored)

    def choose_sum_type(self, n: int) -> type[np.number]:
        """Of sums of n values: the smallest that holds them."""
        if not (self.bounds and self.bounds[0].dtype.kind in "iu"):
            return np.float32
        largest = n * max(abs(int(bound)) for bound in self.bounds)
        return np.int16 if largest < 1 << 15 else np.int32 if largest < 1 << 31 else np.float32

    def finish(self, sums: np.ndarray, n: int, out: np.ndarray) -> None:
        """The mapped means of sums of n values."""
        gain, shift = self.intensity.gain, -self.intensity.center * self.intensity.gain
        np.multiply(sums, np.float32((gain if self.bounds else 1) / n), out=out)
        if self.bounds:
            out += np.float32(shift)


def sample_aligned(volume: np.ndarray, weights: list[AxisWeights], intensity: IntensityMap, out: np.ndarray) -> None:
    """Weigh a volume along its three axes.

    volume   (X, Y, Z), stored numbers, in any order in memory
    weights  of X, Y and Z
    out      (x, y, z), filled with what stands beyond the field of view, which is replaced where it is within
    """
    if not all(axis.rows.stop for axis in weights):
        return
    order = sorted(range(3), key=lambda axis: -abs(volume.strides[axis]))
    ways = [weights[axis] for axis in order]
    rows, used = [way.rows for way in ways], [way.used(way.rows) for way in ways]
    planes = volume.transpose(order)[:, used[1], used[2]]
    filled = out.transpose(order)[:, rows[1], rows[2]]
    n_planes = (used[0].stop - used[0].start) / (rows[0].stop - rows[0].start)  # for a row, about
    n_rows = max(1, int(SLAB / (n_planes * planes.shape[1] * planes.shape[2])))
    values = StoredValues.of(intensity, volume.dtype)
    are_means = all(way.whole == way.rows for way in ways)
    for start in range(rows[0].start, rows[0].stop, n_rows):
        part = slice(start, min(start + n_rows, rows[0].stop))
        read = ways[0].used(part)
        slab = values.take(planes[read])
        if are_means:
            _sum_up(slab, [way.voxels.shape[1] for way in ways], values, filled[part])
        else:
            slab = _weigh(slab, ways, [part, *rows[1:]], [read.start, used[1].start, used[2].start])
            _lay_over(
                slab, [way.sums[row] for way, row in zip(ways, [part, *rows[1:]], strict=True)], values, filled[part]
            )


def _sum_up(slab: np.ndarray, block: list[int], values: StoredValues, out: np.ndarray) -> None:
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


def _weigh(slab: np.ndarray, ways: list[AxisWeights], rows: list[slice], firsts: list[int]) -> np.ndarray:
    # What shrinks comes first, along the slowest axis, where whole planes are added up; what grows last.
    growth = [(part.stop - part.start) / n for part, n in zip(rows, slab.shape, strict=True)]
    steps = [axis for axis in range(3) if growth[axis] <= 1] + [axis for axis in (2, 1, 0) if growth[axis] > 1]
    slab = slab.astype(np.float32, copy=False)
    for axis in steps:
        slab = ways[axis].weigh(slab, axis, rows[axis], firsts[axis])
    return slab


def _lay_over(sums: np.ndarray, inside: list[np.ndarray], values: StoredValues, out: np.ndarray) -> None:
    """Weighed values over what stands beyond the field of view, whose share is what they lack to one."""
    if min(of_axis.min() for of_axis in inside) == 1:
        values.finish(sums, 1, out)
        return
    share = np.einsum("i,j,k->ijk", *inside)
    mapped = np.empty_like(out)
    with np.errstate(divide="ignore", invalid="ignore"):
        values.finish(sums / share, 1, mapped)
    out += np.where(share > 0, (mapped - out) * share, 0)
