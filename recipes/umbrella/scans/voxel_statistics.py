"""Exact percentiles and moments of a volume's stored numbers, in few passes and without a float64 copy.

A volume is taken in piece by piece as it is read, each while it is in the processor's cache. Most scans have a
background of one number, that of their first voxel: where it fills whole blocks it is counted only. 8- and 16-bit
integers are counted: their histogram holds all there is to know. Others are selected: a sample tells between which two
numbers a percentile lies, one pass collects the few voxels there, and their ranks decide.
"""

import math
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np

SAMPLE = 1 << 16
PIECE = 1 << 18  # voxels that are read, and taken in, at a time: still in the processor's cache when they are used
# Between the bounds of a clip: what can be squared and summed up in float32 and in float64 with all of its digits.
FLOAT32_SPREAD, SAFE_SPREAD = (1e-9, 1e12), (1e-100, 1e100)
MOST_RATIO = (
    8  # of a bound to the spread, with float32: what rounding the bound then changes is below 1e-6 of the spread
)
BLOCK = 8  # voxels; their eight truth values are one 64-bit number


def make_statistics(stored: np.ndarray) -> "CountedVoxels | PlainVoxels":
    """Choose the way for a volume's number type. `add` takes in its voxels, first to last in memory; after all of them
    the methods `extremes`, `percentile` and `moments` answer.

    stored  the volume's memory, which need not be filled yet: any shape, contiguous in some order
    """
    numbers = stored.ravel(order="K")
    is_short = numbers.dtype.kind in "iu" and numbers.dtype.itemsize <= 2
    return CountedVoxels(numbers) if is_short else PlainVoxels(numbers)


def voxel_statistics(stored: np.ndarray) -> "CountedVoxels | PlainVoxels":
    """Of a whole volume: any shape, contiguous in some order, without NaN."""
    statistics, numbers = make_statistics(stored), stored.ravel(order="K")
    for start in range(0, len(numbers), PIECE):
        statistics.add(numbers[start : start + PIECE])
    return statistics


class CountedVoxels:
    """8- or 16-bit integers: how often each occurs. Two neighbours of 8 bits are counted as one number: half the
    work."""

    def __init__(self, numbers: np.ndarray) -> None:
        self.numbers = numbers
        self.n_background = 0
        self.counts = np.zeros(1 << 16, np.int64)  # of each 16-bit pattern
        self.pending = np.empty(2 * PIECE, np.intp)  # patterns, many at a time, as `bincount` takes them: no more copy
        self.n_pending = 0

    def add(self, piece: np.ndarray) -> None:
        """Take in the next voxels (n,)."""
        rest = _drop_background(piece, self.numbers[0])
        if rest.nbytes % 2:  # the last voxel has no neighbour: one is taken from the background
            rest = np.append(rest, self.numbers[:1])
        self.n_background += len(piece) - len(rest)
        patterns = rest.view(np.uint16)
        if self.n_pending + len(patterns) > len(self.pending):
            self._count_pending()
        self.pending[self.n_pending : self.n_pending + len(patterns)] = patterns
        self.n_pending += len(patterns)

    def _count_pending(self) -> None:
        counts = np.bincount(self.pending[: self.n_pending])
        self.counts[: len(counts)] += counts
        self.n_pending = 0

    @cached_property
    def histogram(self) -> tuple[np.ndarray, np.ndarray]:
        """The different values, ascending, and how many voxels have each."""
        self._count_pending()
        counts, kind = self.counts, self.numbers.dtype
        if kind.itemsize == 1:
            pairs = counts.reshape(256, 256)
            counts = pairs.sum(axis=0) + pairs.sum(axis=1)
        values = np.arange(len(counts), dtype=f"u{kind.itemsize}").view(kind)
        counts = counts + self.n_background * (values == self.numbers[0])
        order = np.argsort(values)
        order = order[counts[order] > 0]
        return values[order].astype(np.float64), counts[order]

    def extremes(self) -> tuple[float, float]:
        values, _ = self.histogram
        return float(values[0]), float(values[-1])

    def percentile(self, percent: float) -> float:
        """numpy's linear percentile."""
        values, counts = self.histogram
        rank, fraction = _rank(percent, len(self.numbers))
        bins = np.searchsorted(counts.cumsum(), [rank, rank + 1], side="right")
        lower, upper = values[bins.clip(max=len(values) - 1)]
        return float(lower + fraction * (upper - lower))

    def moments(self, low: float, high: float) -> tuple[float, float]:
        """Mean and population standard deviation after a clip to [low, high]."""
        values, counts = self.histogram
        clipped = values.clip(low, high)
        mean = np.average(clipped, weights=counts)
        return float(mean), float(np.sqrt(np.average((clipped - mean) ** 2, weights=counts)))


class PlainVoxels:
    """Floats, and integers of 32 bits or more."""

    def __init__(self, numbers: np.ndarray) -> None:
        self.numbers = numbers
        self.pieces = []  # without the background
        self.n_background = 0

    def add(self, piece: np.ndarray) -> None:
        """Take in the next voxels (n,), without NaN. They must not change any more."""
        rest = _drop_background(piece, self.numbers[0])
        self.n_background += len(piece) - len(rest)
        if len(rest):
            self.pieces.append(rest)

    def extremes(self) -> tuple[float, float]:
        pieces = [piece for piece, _ in self._weighted_pieces()]
        return float(min(piece.min() for piece in pieces)), float(max(piece.max() for piece in pieces))

    @cached_property
    def sample(self) -> np.ndarray:
        """Some of the volume's numbers in ascending order."""
        # Drawn at random (with a fixed seed): any regular step would meet the grid's own and sample a plane or a line.
        return np.sort(self.numbers[np.random.default_rng(0).integers(len(self.numbers), size=SAMPLE)])

    def percentile(self, percent: float) -> float:
        """numpy's linear percentile."""
        rank, fraction = _rank(percent, len(self.numbers))
        lower, upper = self._order_statistics([rank, min(rank + 1, len(self.numbers) - 1)], percent / 100)
        return float(lower) + fraction * (float(upper) - float(lower))

    def _order_statistics(self, ranks: list[int], share: float) -> list[np.generic]:
        """The numbers that have these ranks (close together, at about `share` of all) in ascending order."""
        # The sample's five standard errors on either side. The exact counts below find out when that was not enough.
        margin = 1 + int(5 * np.sqrt(SAMPLE * share * (1 - share)))
        middle = int(share * SAMPLE)
        start, stop = self.sample[[max(0, middle - margin), min(SAMPLE - 1, middle + margin)]]
        n_to_start, n_below_stop, between = 0, 0, []
        for piece, times in self._weighted_pieces():
            to_start, below_stop = piece <= start, piece < stop
            n_to_start += times * np.count_nonzero(to_start)
            n_below_stop += times * np.count_nonzero(below_stop)
            if start < stop:
                between.append(piece[to_start != below_stop])
        between = np.sort(np.concatenate(between)) if between else []

        def number_of(rank: int) -> np.generic:
            if n_to_start <= rank < n_below_stop == n_to_start + len(between):
                return between[rank - n_to_start]
            # Many voxels can share one number, as a background of zeros does; such a number is counted, not collected.
            if rank < n_to_start and (n_below_stop if start == stop else self._count(np.less, start)) <= rank:
                return start
            if n_below_stop <= rank < (n_to_start if start == stop else self._count(np.less_equal, stop)):
                return stop
            return np.partition(self.numbers, rank)[rank]

        return [number_of(rank) for rank in ranks]

    def moments(self, low: float, high: float) -> tuple[float, float]:
        """Mean and population standard deviation after a clip to [low, high], which must differ."""
        # Measured from the median, which lies within one standard deviation of the mean, so that no digits cancel.
        middle = float(np.clip(self.sample[SAMPLE // 2], low, high))
        kind = self._choose_type(low, high)
        scale = 1.0 if SAFE_SPREAD[0] < high - low < SAFE_SPREAD[1] else 2.0 ** -math.frexp(high - low)[1]
        buffer = np.empty(max(len(piece) for piece, _ in self._weighted_pieces()), kind)
        total, squares = 0.0, 0.0
        for piece, times in self._weighted_pieces():
            clipped = buffer[: len(piece)]
            clipped[:] = piece
            with np.errstate(over="ignore"):  # what lies far beyond the two is clipped
                clipped -= kind(middle)
            np.clip(clipped, kind(low - middle), kind(high - middle), out=clipped)
            if scale != 1:
                clipped *= scale
            total += times * float(clipped.sum())
            squares += times * float(np.square(clipped, out=clipped).sum())
        mean = total / len(self.numbers)
        return middle + mean / scale, float(np.sqrt(squares / len(self.numbers) - mean**2)) / scale

    def _choose_type(self, low: float, high: float) -> type[np.floating]:
        """float32 where it holds the numbers, their squares, and the bounds well enough; else float64."""
        kind = np.result_type(self.numbers.dtype, np.float32).type
        is_exact = max(abs(low), abs(high)) < MOST_RATIO * (high - low)
        return kind if is_exact and FLOAT32_SPREAD[0] < high - low < FLOAT32_SPREAD[1] else np.float64

    def _weighted_pieces(self) -> Iterator[tuple[np.ndarray, int]]:
        """The volume's numbers, and how many times each is to be counted."""
        yield from ((piece, 1) for piece in self.pieces)
        if self.n_background:
            yield self.numbers[:1], self.n_background

    def _count(self, comparison: np.ufunc, other: np.generic) -> int:
        return sum(times * int(np.count_nonzero(comparison(piece, other))) for piece, times in self._weighted_pieces())


def _rank(percent: float, n: int) -> tuple[int, float]:
    """Where numpy's linear percentile of n numbers lies: so far between this rank and the next."""
    position = percent / 100 * (n - 1)
    return int(position), position - int(position)


def _drop_background(piece: np.ndarray, background: Any) -> np.ndarray:
    """The piece's numbers (n,) without those blocks that hold nothing but background; the piece itself where that is
    little."""
    n_whole = len(piece) - len(piece) % BLOCK
    is_kept = (piece[:n_whole] != background).view(np.uint64) != 0
    if np.count_nonzero(is_kept) > 0.9 * len(is_kept):
        return piece
    kept = piece[:n_whole].view(f"V{BLOCK * piece.itemsize}")[is_kept].view(piece.dtype)
    return np.concatenate([kept, piece[n_whole:]]) if n_whole < len(piece) else kept
