"""Probabilities of labels from log-likelihoods: sharper or softer by one temperature, and how far off they are.

A temperature divides all log-likelihoods before they are made to probabilities (Guo et al. 2017, On Calibration of
Modern Neural Networks, ICML): more than 1 makes them softer, less than 1 sharper. With two labels no order changes.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import log_softmax, logsumexp, softmax

LEAST_TEMPERATURE, MOST_TEMPERATURE = 1e-3, 1e3  # what lies beyond is no temperature but a sign that there is none
TOLERANCE = 1e-10


@dataclass(frozen=True)
class Temperature:
    """What was fitted: `value`, or None and `why` there is none. A value is never one of the bounds."""

    value: float | None
    why: str | None = None


def fit_temperature(log_likelihoods: np.ndarray, true: np.ndarray) -> Temperature:
    """The temperature at which the true labels are likeliest.

    log_likelihoods  (n, labels)
    true             (n,) indices of the true labels

    The mean negative log-likelihood is convex in 1 / temperature. So there is one minimum, or it lies at no
    temperature at all: where every true label is the likeliest, colder is better without end; where true labels are
    no likelier than the others, hotter is.
    """
    of_true = log_likelihoods[np.arange(len(true)), true]
    if (of_true >= log_likelihoods.max(axis=1)).all():
        return Temperature(None, "the likeliest label is right in every row, and the colder the better")

    def slope(log_temperature: float) -> float:
        """Of the mean negative log-likelihood, by 1 / temperature."""
        probabilities = softmax(log_likelihoods * math.exp(-log_temperature), axis=1)
        return float(np.mean((probabilities * log_likelihoods).sum(axis=1) - of_true))

    coldest, hottest = math.log(LEAST_TEMPERATURE), math.log(MOST_TEMPERATURE)
    if slope(hottest) >= 0:
        return Temperature(None, "the true labels are no likelier than the others, and the hotter the better")
    if slope(coldest) <= 0:
        return Temperature(None, f"none above {LEAST_TEMPERATURE:g} is the best")
    return Temperature(math.exp(brentq(slope, coldest, hottest, xtol=TOLERANCE)))


def probabilities_at(log_likelihoods: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """(n, labels) log-likelihoods → probabilities at a temperature; rows sum to one."""
    return softmax(log_likelihoods / temperature, axis=1)


def surprise(log_likelihoods: np.ndarray, true: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """(n,) negative log-likelihood of each row's true label among the labels, in nats."""
    return -log_softmax(log_likelihoods / temperature, axis=1)[np.arange(len(true)), true]


def squared_error(probabilities: np.ndarray, true: np.ndarray) -> np.ndarray:
    """(n,) whose mean is the Brier score: of the second label where there are two, else summed over the labels."""
    hit = np.eye(probabilities.shape[1])[true]
    squares = ((probabilities - hit) ** 2).sum(axis=1)
    return squares / 2 if probabilities.shape[1] == 2 else squares


def to_log_odds(log_likelihoods: np.ndarray) -> np.ndarray:
    """(n, labels) log of p / (1 - p) of each label, two or more. Probabilities that a float rounds to 1 stay apart."""
    columns = range(log_likelihoods.shape[1])
    others = [logsumexp(np.delete(log_likelihoods, column, axis=1), axis=1) for column in columns]
    return log_likelihoods - np.stack(others, axis=1)
