"""Where a histogram of intensities parts into dark and bright (Otsu 1979)."""

import numpy as np


def find_otsu_bin(counts: np.ndarray, centres: np.ndarray) -> int:
    """The last bin of the darker of the two classes whose variances within are least; of equal ones the darkest.

    counts, centres  (n,) of a histogram with values in at least two bins
    """
    below = counts.cumsum()
    above = below[-1] - below
    sums = (counts * centres).cumsum()
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    return int(np.nanargmax(between))
