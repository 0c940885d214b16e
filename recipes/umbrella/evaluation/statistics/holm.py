"""Several tests of one family: p-values corrected, so that in 5 % of families at most any is wrong by chance."""

from collections.abc import Sequence

import numpy as np
from scipy.stats import norm

from umbrella.evaluation.statistics.intervals import LEVEL

ALPHA = 1 - LEVEL


def correct_by_holm(p_values: Sequence[float]) -> list[float]:
    """Holm's corrected p-values, in the order given (Holm 1979, Scandinavian Journal of Statistics 6:65).

    The smallest is multiplied by the number of tests, the next by one less, and so on; none is below one before it.
    """
    p_values = np.asarray(p_values, float)
    order = np.argsort(p_values, kind="stable")
    stepped = np.maximum.accumulate(p_values[order] * np.arange(len(p_values), 0, -1))
    corrected = np.empty(len(p_values))
    corrected[order] = np.minimum(stepped, 1.0)
    return corrected.tolist()


def z_of_strictest(n_tests: int) -> float:
    """The normal quantile that the first of so many tests must reach in Holm's order: 1.96 for a single one."""
    return float(norm.ppf(1 - ALPHA / (2 * n_tests)))
