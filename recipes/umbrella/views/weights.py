"""Resampling along a volume's own axes: how much each of its voxels counts for each voxel of a coarser, finer or
shifted grid."""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

ROUNDING = 1e-3  # voxels: so far a point may lie from where it should over the whole grid
LEAST_PLANE = 1 << 12  # voxels of a plane that are worth a call of their own


@dataclass(frozen=True, eq=False)
class AxisWeights:
    """The voxels that each row of a grid lies on, and their shares of it.

    voxels  (size, k), ascending numbers along the scan's axis
    shares  (size, k), float32; those of a row sum to 1, to less where it lies partly beyond the field of view, and
            to 0 where it lies beyond
    """

    voxels: np.ndarray
    shares: np.ndarray

    @cached_property
    def sums(self) -> np.ndarray:
        """(size,): the part of each row that lies in the field of view."""
        return self.shares.sum(axis=1)

    @cached_property
    def rows(self) -> slice:
        """Those that lie at least partly in the field of view."""
        rows = np.flatnonzero(self.sums)
        return slice(int(rows[0]), int(rows[-1]) + 1) if len(rows) else slice(0, 0)

    def used(self, rows: slice) -> slice:
        """The voxels that some rows, of which each has one, lie on."""
        counted = self.voxels[rows][self.shares[rows] > 0]
        return slice(int(counted.min()), int(counted.max()) + 1)

    @cached_property
    def whole(self) -> slice:
        """The longest run of rows of which each is the plain mean of k voxels, the next k after those of the row
        before; empty where there is none."""
        k = self.shares.shape[1]
        is_mean = (self.shares == self.shares.max()).all(axis=1) & (self.voxels[:, -1] - self.voxels[:, 0] == k - 1)
        rows = np.flatnonzero(is_mean)
        if not len(rows):
            return slice(0, 0)
        breaks = np.flatnonzero((np.diff(rows) != 1) | (np.diff(self.voxels[rows, 0]) != k)) + 1
        run = max(np.split(rows, breaks), key=len)
        return slice(int(run[0]), int(run[-1]) + 1)

    def weigh(
        self, array: np.ndarray, axis: int, rows: slice, first: int, out: np.ndarray | None = None
    ) -> np.ndarray:
        """Some rows of the grid, in `out` where it is given: `array` holds the voxels from number `first` on along
        `axis`."""
        start, stop = np.clip([self.whole.start, self.whole.stop], rows.start, rows.stop).tolist()
        if start >= stop:
            return self._weigh_any(array, axis, rows, first, out)
        out = self._empty(array, axis, rows) if out is None else out
        of_rows = np.moveaxis(out, axis, 0)
        k = self.voxels.shape[1]
        begin = int(self.voxels[start, 0]) - first
        blocks = np.moveaxis(array, axis, 0)[begin : begin + (stop - start) * k]
        means = of_rows[start - rows.start : stop - rows.start]
        np.add(blocks[0::k], blocks[1::k] if k > 1 else 0, out=means)
        for voxel in range(2, k):
            means += blocks[voxel::k]
        means *= self.shares[start, 0]
        for part in (slice(rows.start, start), slice(stop, rows.stop)):  # at the edges of the field of view
            if part.start < part.stop:
                edge = np.moveaxis(of_rows[part.start - rows.start : part.stop - rows.start], 0, axis)
                self._weigh_any(array, axis, part, first, edge)
        return out

    def _empty(self, array: np.ndarray, axis: int, rows: slice) -> np.ndarray:
        return np.empty((*array.shape[:axis], rows.stop - rows.start, *array.shape[axis + 1 :]), np.float32)

    def _weigh_any(self, array: np.ndarray, axis: int, rows: slice, first: int, out: np.ndarray | None) -> np.ndarray:
        out = self._empty(array, axis, rows) if out is None else out
        columns = (self.voxels[rows] - first).clip(0, array.shape[axis] - 1)
        shares = self.shares[rows]
        if array.size < LEAST_PLANE * array.shape[axis] or axis == array.ndim - 1:
            shares = shares.reshape(*shares.shape, *[1] * (array.ndim - 1 - axis))
            np.multiply(np.take(array, columns[:, 0], axis), shares[:, 0], out=out)
            for k in range(1, columns.shape[1]):
                part = np.take(array, columns[:, k], axis)
                part *= shares[:, k]
                out += part
            return out
        planes, sums = np.moveaxis(array, axis, 0), np.moveaxis(out, axis, 0)
        weighed = np.empty_like(planes[0])  # plane by plane: they stay in the processor's cache
        for total, (column, *others), (share, *other_shares) in zip(
            sums, columns.tolist(), shares.tolist(), strict=True
        ):
            np.multiply(planes[column], share, out=total)
            for other, other_share in zip(others, other_shares, strict=True):
                if other_share:
                    np.multiply(planes[other], other_share, out=weighed)
                    total += weighed
        return out


@lru_cache(maxsize=64)  # the scans of a study mostly share their grid
def weigh_points(n: int, size: int, n_points: int, first: float, step: float) -> AxisWeights:
    """Each of `size` rows as the mean over `n_points` points of the linear interpolation of n voxels.

    first, step  where the first point lies, and how far the next one, in voxels; the middle of voxel 0 is at 0

    Between the outer voxels' middles and their outer edges stands their own value, as SimpleITK interpolates; what
    lies beyond counts nothing.
    """
    if abs(step - round(step)) * size * n_points < ROUNDING:
        step = round(step)
    places = np.round(first + step * np.arange(size * n_points), 6)
    is_inside = (places >= -0.5) & (places <= n - 0.5)
    places = places.clip(0, n - 1)
    lower = np.floor(places).astype(int)
    upper_share = (places - lower) * is_inside / n_points
    lower_share = is_inside / n_points - upper_share
    row = np.arange(size).repeat(n_points)
    base = lower.reshape(size, n_points)[:, 0]
    width = int((lower - base[row]).max()) + 2
    shares = np.zeros((size, width))
    np.add.at(shares, (row, lower - base[row]), lower_share)
    np.add.at(shares, (row, lower - base[row] + 1), upper_share)
    k = max(1, int(np.flatnonzero(shares.any(axis=0)).max(initial=0)) + 1)
    return AxisWeights((base[:, None] + np.arange(k)).clip(0, n - 1), shares[:, :k].astype(np.float32))
