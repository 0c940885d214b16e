"""From stored numbers to what an encoder eats: clip to percentiles, min-max to [0, 1], z-score.

All of it is one clip and one straight line, so its constants are found once for the whole volume and then applied to
whatever part is needed.
"""

from dataclasses import dataclass

import numpy as np

PERCENTILES = (1, 99)


@dataclass(frozen=True)
class IntensityMap:
    """stored value -> clip((value - center) * gain, low, high), in float32."""

    center: float
    gain: float
    low: float
    high: float

    def apply(self, stored: np.ndarray) -> np.ndarray:
        values = (stored.astype(np.float64) - self.center) * self.gain
        return np.clip(values, self.low, self.high).astype(np.float32)


def fit_intensity_map(
    stored: np.ndarray, slope: float, inter: float, normalize: bool, standardize: bool
) -> IntensityMap:
    """Find the constants for a whole volume of stored values, whose scaled values are slope * stored + inter.

    normalize    clip to the 1st and 99th percentile (numpy's linear one), then min-max to [0, 1]
    standardize  then zero mean and unit variance (population) over the whole volume
    Raises ValueError when the values, or those between the percentiles, are all the same.
    """
    low, high = float(stored.min()), float(stored.max())
    if low == high:
        raise ValueError(f"expected a scan, found the same value ({slope * low + inter:g}) in every voxel")
    if normalize:
        low, high = (float(p) for p in np.percentile(stored.astype(np.float64), PERCENTILES))
        if low == high:
            raise ValueError(
                f"expected different 1st and 99th percentiles, found {slope * low + inter:g} for both: nearly every voxel "
                "has the same value, so pass normalize=False"
            )
    if standardize:
        clipped = np.clip(stored.astype(np.float64), low, high)
        center, gain = float(clipped.mean()), float(np.sign(slope) / clipped.std())
    elif normalize:
        center, gain = (low, 1 / (high - low)) if slope > 0 else (high, 1 / (low - high))
    else:
        center, gain = -inter / slope, slope
    ends = sorted(((low - center) * gain, (high - center) * gain))
    return IntensityMap(center, gain, *ends)
