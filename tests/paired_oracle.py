"""McNemar's test by scipy's binomial distribution alone."""

from scipy.stats import binom, binomtest


def mcnemar_mid_p(lost: int, gained: int) -> float:
    """Two-sided, counts as large as the observed ones half; 1 where nothing differs."""
    n = lost + gained
    as_large = sum(binom.pmf(k, n, 0.5) for k in {lost, gained})
    return binomtest(lost, n).pvalue - as_large / 2 if n else 1.0
