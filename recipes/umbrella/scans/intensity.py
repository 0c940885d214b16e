"""From stored numbers to what an encoder eats: clip to percentiles, min-max to [0, 1], z-score.

All of it is one straight line and one clip, so its constants are found once for the whole volume and then applied to
whatever part of it is needed.
"""

import math
from dataclasses import dataclass

import numpy as np

from umbrella.scans.voxel_statistics import CountedVoxels, PlainVoxels

LOW_PERCENT, HIGH_PERCENT = 1, 99
LEAST_SPREAD, MOST_SPREAD = 1e-300, 1e300  # of stored numbers: float64 holds their spread and its inverse
MOST_ROUNDING = 1e-6  # of the largest mapped value
SMALLEST_GAIN = 1e-30  # far from float32's smallest numbers, which have fewer digits
MOST_MAPPED = 8.0  # of a stored number times the gain: beyond, sums in float32 would have lost digits of the spread


@dataclass(frozen=True)
class IntensityMap:
    """stored number -> clip((number - center) * gain, low, high). `low` is the mapped volume's minimum."""

    center: float
    gain: float
    low: float
    high: float

    def apply(self, stored: np.ndarray) -> np.ndarray:
        """Map numbers of any shape, strides and real type to float32; the axes keep their order in memory."""
        kind = self._choose_type(stored.dtype)
        mapped = np.empty_like(stored, np.float32)
        parts = [(stored, mapped)]
        if stored.ndim == 3:  # slice by slice, so that the steps in between stay in the processor's cache
            slowest = max(range(stored.ndim), key=lambda axis: abs(stored.strides[axis]))
            parts = zip(np.moveaxis(stored, slowest, 0), np.moveaxis(mapped, slowest, 0), strict=True)
        for part, out in parts:
            with np.errstate(over="ignore"):  # what lies far beyond the percentiles is clipped
                values = np.subtract(part, kind(self.center), dtype=kind)
                values *= kind(self.gain)
            np.clip(values, kind(self.low), kind(self.high), out=out, casting="same_kind")
        return mapped

    def find_bounds(self, stored: np.dtype) -> tuple[np.generic, np.generic] | None:
        """The two numbers of a stored type to which `apply` clips, where one may as well clip, take means, then map:
        the straight line and the mean can change places. None where the type lacks them, or the digits."""
        if self._choose_type(stored) is not np.float32:
            return None
        bounds = sorted((self.center + self.low / self.gain, self.center + self.high / self.gain))
        if stored.kind in "iu":
            rounded = [float(round(bound)) for bound in bounds]
        else:
            rounded = [float(np.float32(bound)) for bound in bounds]
        is_exact = max(abs(a - b) for a, b in zip(bounds, rounded, strict=True)) * abs(self.gain) <= MOST_ROUNDING
        if not (is_exact and max(map(abs, rounded)) * abs(self.gain) <= MOST_MAPPED):
            return None
        return stored.type(rounded[0]), stored.type(rounded[1])

    def _choose_type(self, stored: np.dtype) -> type[np.floating]:
        """float32, or float64 where float32 does not hold the stored numbers, or the constants well enough."""
        kind = np.result_type(stored, np.float32).type
        with np.errstate(over="ignore"):
            gain, center = float(kind(self.gain)), float(kind(self.center))
        largest = max(abs(self.low), abs(self.high))
        is_exact = abs(center - self.center) * abs(self.gain) <= MOST_ROUNDING * largest
        return kind if is_exact and SMALLEST_GAIN <= abs(gain) < np.inf else np.float64


def fit_intensity_map(
    statistics: CountedVoxels | PlainVoxels, slope: float, inter: float, normalize: bool, standardize: bool
) -> IntensityMap:
    """Find the constants for a whole volume of finite stored numbers, whose scaled values are slope * number + inter.

    normalize    clip to the 1st and 99th percentile (numpy's linear one), then min-max to [0, 1]
    standardize  then zero mean and unit variance (population)
    Raises ValueError when the values, or with `normalize` those between the percentiles, are all the same, or so large
    or so close together that float64 does not hold their spread or, where they are not normalised, float32 them.
    """
    if normalize:
        # The two percentiles lie symmetrically, so a negative slope only swaps them.
        low, high = statistics.percentile(LOW_PERCENT), statistics.percentile(HIGH_PERCENT)
    else:
        low, high = statistics.extremes()
    first, last = slope * low + inter, slope * high + inter
    if first == last:
        least, most = statistics.extremes()
        if slope * least + inter == slope * most + inter:
            raise ValueError(f"expected a scan, found the same value ({first:g}) in every voxel")
        raise ValueError(
            f"expected different 1st and 99th percentiles, found {first:g} for both: nearly every "
            "voxel has the same value; crop the scan, or pass normalize=False"
        )
    is_plain = not (normalize or standardize)
    spread = high - low
    if not np.isfinite([first, last]).all():
        raise ValueError(_cannot_hold("float64", first, last))
    if not LEAST_SPREAD < spread < MOST_SPREAD:
        ends = "1st and 99th percentiles" if normalize else "least and largest number"
        raise ValueError(
            f"expected stored numbers whose {ends} lie between {LEAST_SPREAD:g} and {MOST_SPREAD:g} apart, found "
            f"{low:g} and {high:g}: rescale the scan"
        )
    if is_plain and not _differ_in_float32(first, last):
        raise ValueError(_cannot_hold("float32", first, last) + ", or pass normalize=True")
    if standardize:
        center, deviation = statistics.moments(low, high)
        gain = math.copysign(1 / deviation, slope)
    elif normalize:
        center, gain = (low, 1 / spread) if slope > 0 else (high, -1 / spread)
    else:
        center, gain = -inter / slope, slope
    least, most = sorted(((low - center) * gain, (high - center) * gain))
    return IntensityMap(center, gain, least, most)


def _differ_in_float32(first: float, last: float) -> bool:
    with np.errstate(over="ignore"):
        stored = np.array([first, last], np.float32)
    return bool(np.isfinite(stored).all() and stored[0] != stored[1])


def _cannot_hold(kind: str, first: float, last: float) -> str:
    return f"expected numbers that {kind} can hold and tell apart, found {first:g} to {last:g}: rescale the scan"
