"""What an encoder was trained to see: intensities by steps, on a grid that is finished.

"window -1000 1000"                            clipped, then 0 to 1
"percentile 0.5 99.5 + shift 0.449 0.226"      clipped, 0 to 1, then less 0.449, divided by 0.226
"minmax"                                       0 to 1
"zscore", "zscore nonzero"                     mean 0, deviation 1; of what is not 0, which stays 0
"mean 182x218x182"                             divided by the mean of a volume of so many voxels, 0 beyond the grid

Pictures have "encoder" alone: scaled to [0, 1] by the scan's 1st and 99th percentile and rounded to levels of 8 bits,
which a PNG holds; the model's own processor takes its mean and deviation.
"""

import math
from collections.abc import Callable

import numpy as np

from umbrella.views.settings import parse_volume_size

LEVELS = 255

Step = Callable[[np.ndarray], np.ndarray]


def parse_intensity(text: str) -> list[Step]:
    """The steps of a text, in their order, each from and to (T, X, Y, Z), float32. All frames are changed alike.

    Raises ValueError for another text. A step raises ValueError where a grid does not hold what it takes.
    """
    try:
        return [_parse_step(*step.split()) for step in text.split("+")]
    except (TypeError, ValueError) as error:
        raise ValueError(
            "intensity: expected steps out of window LOW HIGH, percentile LOW HIGH, minmax, zscore, zscore nonzero, "
            f"mean 182x218x182, shift MEAN DEVIATION, joined by +, found {text!r}"
        ) from error


def _parse_step(name: str, *values: str) -> Step:
    if name in ("window", "percentile", "shift"):
        first, second = map(float, values)
        if not (math.isfinite(first) and first < second if name != "shift" else second > 0):
            raise ValueError
        if name == "percentile" and not 0 <= first < second <= 100:
            raise ValueError
        kinds = {"window": scale, "percentile": scale_percentiles, "shift": shift}
        return lambda grid: kinds[name](grid, first, second)
    if name == "mean":
        (size,) = values
        n_voxels = math.prod(parse_volume_size(size))
        return lambda grid: divide_by_mean(grid, n_voxels)
    plain: dict[tuple[str, ...], Step] = {
        ("minmax",): lambda grid: scale(grid, float(grid.min()), float(grid.max())),
        ("zscore",): lambda grid: standardize(grid, np.ones_like(grid, bool)),
        ("zscore", "nonzero"): lambda grid: standardize(grid, grid != 0),
    }
    if (name, *values) not in plain:
        raise ValueError
    return plain[name, *values]


def scale(grid: np.ndarray, low: float, high: float) -> np.ndarray:
    """Clipped to `low` and `high`, then 0 to 1."""
    check_spread(high - low, "different values")
    return (np.clip(grid, low, high) - np.float32(low)) / np.float32(high - low)


def scale_percentiles(grid: np.ndarray, low: float, high: float) -> np.ndarray:
    """Clipped to two percentiles of all frames (numpy's linear ones), then 0 to 1."""
    first, last = np.percentile(grid, [low, high])
    return scale(grid, float(first), float(last))


def shift(grid: np.ndarray, mean: float, deviation: float) -> np.ndarray:
    """Less `mean`, divided by `deviation`."""
    return (grid - np.float32(mean)) / np.float32(deviation)


def standardize(grid: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """Mean 0 and deviation 1 (population) of what is counted; 0 for all else."""
    values = grid[counted].astype(np.float64)
    deviation = float(values.std()) if values.size else 0.0
    check_spread(deviation, "different values, beside 0,")
    return np.where(counted, (grid - np.float32(values.mean())) / np.float32(deviation), np.float32(0))


def divide_by_mean(grid: np.ndarray, n_voxels: int) -> np.ndarray:
    """Divided by the frames' mean over `n_voxels`, those beyond the grid being 0."""
    mean = float(grid.sum(dtype=np.float64)) / (len(grid) * n_voxels)
    check_spread(mean, "a mean above 0")
    return grid / np.float32(mean)


def check_spread(found: float, expected: str) -> None:
    """Raise ValueError for a number by which nothing can be divided."""
    if not (math.isfinite(found) and found > 0):
        raise ValueError(f"expected {expected} within the volume's grid, as the encoder's intensity takes, found none")


def apply_intensity(grid: np.ndarray, text: str) -> np.ndarray:
    """All steps of a text on a grid (T, X, Y, Z), float32."""
    for step in parse_intensity(text):
        grid = step(grid)
    return grid.astype(np.float32, copy=False)


def to_levels(views: np.ndarray) -> np.ndarray:
    """Pictures in [0, 1] to 8 bits, each value to the nearest level; of two as near to the even one."""
    return np.rint(views.astype(np.float64).clip(0, 1) * LEVELS).astype(np.uint8)


def round_to_levels(views: np.ndarray) -> np.ndarray:
    """Pictures in [0, 1], float32, whose every value is a level of `to_levels`."""
    return to_levels(views).astype(np.float32) / np.float32(LEVELS)
