"""Exact percentiles and moments of a volume's stored numbers, in few passes and without a float64 copy.

8- and 16-bit integers are counted: their histogram holds all there is to know. Others are selected: a sample tells
between which two numbers a percentile lies, one pass collects the few voxels there, and their ranks decide.
"""

from collections.abc import Iterator

import numpy as np

PIECE = 1 << 16  # voxels that are worked on at a time, so that they stay in the processor's cache
SAMPLE = 1 << 16


def voxel_statistics(stored: np.ndarray) -> "CountedVoxels | PlainVoxels":
    """Choose the way for a volume's number type; both have the methods `extremes`, `percentile` and `moments`.

    stored  any shape, contiguous in some order, without NaN
    """
    numbers = stored.ravel(order="K")
    if numbers.itemsize > 8:  # 128-bit floats
        numbers = numbers.astype(np.float64)
    is_short = numbers.dtype.kind in "iu" and numbers.dtype.itemsize <= 2
    return CountedVoxels(numbers) if is_short else PlainVoxels(numbers)


class CountedVoxels:
    """8- or 16-bit integers as their different values, ascending, and how often each occurs."""

    def __init__(self, numbers: np.ndarray):
        count = _count_bytes if numbers.itemsize == 1 else _count_shorts
        rest, background, n_dropped = _drop_background(numbers)
        counts = count(rest) + n_dropped * count(background)
        bins = np.flatnonzero(counts)
        values = bins.astype(f"u{numbers.dtype.itemsize}").view(numbers.dtype)
        order = np.argsort(values)
        self.values, self.counts = values[order].astype(np.float64), counts[bins[order]]
        self.n_up_to = self.counts.cumsum()

    def extremes(self) -> tuple[float, float]:
        return float(self.values[0]), float(self.values[-1])

    def percentile(self, percent: float) -> float:
        rank, fraction = _rank(percent, int(self.n_up_to[-1]))
        bins = np.searchsorted(self.n_up_to, [rank, rank + 1], side="right")
        lower, upper = self.values[bins.clip(max=len(self.values) - 1)]
        return float(lower + fraction * (upper - lower))

    def moments(self, low: float, high: float) -> tuple[float, float]:
        """Mean and population standard deviation after a clip to [low, high]."""
        clipped = self.values.clip(low, high)
        mean = np.average(clipped, weights=self.counts)
        return float(mean), float(np.sqrt(np.average((clipped - mean) ** 2, weights=self.counts)))


class PlainVoxels:
    """Floats, and integers of 32 bits or more."""

    def __init__(self, numbers: np.ndarray):
        self.numbers = numbers
        self.rest, self.background, self.n_dropped = _drop_background(numbers)
        # Drawn at random (with a fixed seed): any regular step would meet the grid's own and sample a plane or a line.
        self.sample = np.sort(numbers[np.random.default_rng(0).integers(len(numbers), size=SAMPLE)])

    def extremes(self) -> tuple[float, float]:
        return float(self.numbers.min()), float(self.numbers.max())

    def percentile(self, percent: float) -> float:
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
            if rank < n_to_start and self._count(np.less, start) <= rank:
                return start
            if n_below_stop <= rank < self._count(np.less_equal, stop):
                return stop
            return np.partition(self.numbers, rank)[rank]

        return [number_of(rank) for rank in ranks]

    def moments(self, low: float, high: float) -> tuple[float, float]:
        """Mean and population standard deviation after a clip to [low, high]; infinite where the squares overflow."""
        # Measured from the median, which lies within one standard deviation of the mean, so that no digits cancel.
        middle = float(np.clip(self.sample[SAMPLE // 2], low, high))
        kind = np.result_type(self.numbers.dtype, np.float32).type
        buffer = np.empty(PIECE, kind)
        total, squares = 0.0, 0.0
        for piece, times in self._weighted_pieces():
            clipped = buffer[: len(piece)]
            clipped[:] = piece
            clipped -= kind(middle)
            np.clip(clipped, kind(low - middle), kind(high - middle), out=clipped)
            total += times * float(clipped.sum())
            with np.errstate(over="ignore"):  # a caller sees an infinite deviation
                squares += times * float(clipped @ clipped)
        mean = total / len(self.numbers)
        return middle + mean, float(np.sqrt(squares / len(self.numbers) - mean**2))

    def _weighted_pieces(self) -> Iterator[tuple[np.ndarray, int]]:
        """Pieces of the volume, and how many times each is to be counted."""
        yield from ((piece, 1) for piece in _pieces(self.rest))
        yield self.background, self.n_dropped

    def _count(self, comparison: np.ufunc, other: np.generic) -> int:
        return sum(times * np.count_nonzero(comparison(piece, other)) for piece, times in self._weighted_pieces())


def _rank(percent: float, n: int) -> tuple[int, float]:
    """Where numpy's linear percentile of n numbers lies: so far between this rank and the next."""
    position = percent / 100 * (n - 1)
    return int(position), position - int(position)


def _pieces(numbers: np.ndarray) -> Iterator[np.ndarray]:
    return (numbers[start : start + PIECE] for start in range(0, len(numbers), PIECE))


def _drop_background(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Most scans have a background of one number. Its runs, eight bytes at a time, need to be counted only.

    Returns the numbers without the runs, the few numbers of a dropped word, and how many of these words were dropped.
    """
    n_whole = len(numbers) - len(numbers) % 8
    words = numbers[:n_whole].view(np.uint64)
    if len(words) < PIECE or np.mean(words[::1021] == words[0]) < 0.2:  # too few to be worth the pass
        return numbers, numbers[:0], 0
    kept = [piece[piece != words[0]].view(numbers.dtype) for piece in _pieces(words)]
    rest = np.concatenate([*kept, numbers[n_whole:]])
    return rest, words[:1].view(numbers.dtype), (len(numbers) - len(rest)) * numbers.itemsize // 8


def _count_bytes(numbers: np.ndarray) -> np.ndarray:
    """How often each of the 256 bit patterns occurs."""
    # Two neighbours at a time are counted as one 16-bit number: half the work.
    n_pairs = len(numbers) // 2
    pairs = _count_shorts(numbers[: 2 * n_pairs].view(np.uint16)).reshape(256, 256)
    return pairs.sum(axis=0) + pairs.sum(axis=1) + np.bincount(numbers[2 * n_pairs :].view(np.uint8), minlength=256)


def _count_shorts(numbers: np.ndarray) -> np.ndarray:
    """How often each of the 65536 bit patterns occurs."""
    counts = np.zeros(1 << 16, np.int64)
    for start in range(0, len(numbers), 16 * PIECE):  # `bincount` makes 64-bit copies: they stay small this way
        counts += np.bincount(numbers[start : start + 16 * PIECE].view(np.uint16), minlength=len(counts))
    return counts
