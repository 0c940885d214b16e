"""From stored numbers to what an encoder eats: clip to percentiles, min-max to [0, 1], z-score.

All of it is one straight line and one clip, so its constants are found once for the whole volume and then applied to
whatever part of it is needed.
"""

import math
from dataclasses import dataclass

import numpy as np

from umbrella.voxel_statistics import CountedVoxels, PlainVoxels

LOW_PERCENT, HIGH_PERCENT = 1, 99


@dataclass(frozen=True)
class IntensityMap:
    """stored number -> clip((number - center) * gain, low, high). `low` is the mapped volume's minimum."""

    center: float
    gain: float
    low: float
    high: float

    def apply(self, stored: np.ndarray) -> np.ndarray:
        """Map numbers of any shape, strides and real type to float32; the axes keep their order in memory."""
        kind = np.result_type(stored.dtype, np.float32).type  # float64 only for numbers that float32 does not hold
        mapped = np.empty_like(stored, np.float32)
        parts = [(stored, mapped)]
        if stored.ndim == 3:  # slice by slice, so that the steps in between stay in the processor's cache
            slowest = max(range(stored.ndim), key=lambda axis: abs(stored.strides[axis]))
            parts = zip(np.moveaxis(stored, slowest, 0), np.moveaxis(mapped, slowest, 0), strict=True)
        for part, out in parts:
            values = np.subtract(part, kind(self.center), dtype=kind)
            values *= kind(self.gain)
            np.clip(values, kind(self.low), kind(self.high), out=out, casting="same_kind")
        return mapped


def fit_intensity_map(
    statistics: CountedVoxels | PlainVoxels, slope: float, inter: float, normalize: bool, standardize: bool
) -> IntensityMap:
    """Find the constants for a whole volume of finite stored numbers, whose scaled values are slope * number + inter.

    normalize    clip to the 1st and 99th percentile (numpy's linear one), then min-max to [0, 1]
    standardize  then zero mean and unit variance (population)
    Raises ValueError when the values, or with `normalize` those between the percentiles, are all the same, or so large
    or small that float32 cannot hold them.
    """
    if normalize:
        # The two percentiles lie symmetrically, so a negative slope only swaps them.
        low, high = statistics.percentile(LOW_PERCENT), statistics.percentile(HIGH_PERCENT)
    else:
        low, high = statistics.extremes()
    if low == high:
        least, most = statistics.extremes()
        if least == most:
            raise ValueError(f"expected a scan, found the same value ({slope * low + inter:g}) in every voxel")
        raise ValueError(
            f"expected different 1st and 99th percentiles, found {slope * low + inter:g} for both: nearly every "
            "voxel has the same value; crop the scan, or pass normalize=False"
        )
    if standardize:
        center, deviation = statistics.moments(low, high)
        gain = math.copysign(1 / deviation, slope)
    elif normalize:
        center, gain = (low, 1 / (high - low)) if slope > 0 else (high, 1 / (low - high))
    else:
        center, gain = -inter / slope, slope
    if not 0 < abs(np.float32(gain)) < np.inf:
        raise ValueError(
            f"expected numbers whose spread float32 can hold, found {slope * low + inter:g} to "
            f"{slope * high + inter:g}: rescale the scan"
        )
    least, most = sorted(((low - center) * gain, (high - center) * gain))
    return IntensityMap(center, gain, least, most)
