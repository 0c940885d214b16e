"""How many tokens each row has, without tokenising them all: a few are, and tell how far the estimate is off."""

import sys

import numpy as np
from datasets import Dataset

from umbrella.rows.blank_scans import BlankScans
from umbrella.rows.length_check import estimate_parts
from umbrella.rows.transform import ConversationTransform

N_MEASURED = 64


def measure_some_lengths(rows: Dataset, transform: ConversationTransform) -> tuple[np.ndarray, np.ndarray]:
    """Two arrays (rows,) of tokens: of each row, about, and those of them that are its scans'. Its text has them by a
    line through those of 64 rows, from the shortest to the longest by the estimate, so far above that none of these
    has more. Both are at most the transform's max_length.

    The estimate takes four characters for a token and knows no chat template: a tokenizer for other words, or rows of
    many turns, have more. No scan is loaded.
    """
    text, scans = estimate_parts(rows, transform)
    order = np.argsort(text + scans, kind="stable")
    some = order[np.unique(np.linspace(0, len(order) - 1, N_MEASURED).round().astype(int))]
    unbounded = BlankScans(transform.processor, **transform.settings.stated(), max_length=sys.maxsize)
    plain = rows.with_format(None)
    real = np.array([len(unbounded.encode_row(plain[int(i)])["input_ids"]) for i in some])
    slope, above = fit_from_above(text[some], real - scans[some])
    # Rounded, the same on any processor, whatever it makes of the last digit.
    of_text = np.ceil(np.round(slope * text + above, 6))
    lengths = np.clip(of_text.astype(np.int64) + scans, 1, transform.max_length)
    return lengths, np.minimum(scans, transform.max_length)


def fit_from_above(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """(a, b): of the lines y = a·x + b above all points, the one with the slope of least squares, which is not
    negative."""
    spread = x - x.mean()
    slope = max(0.0, float((spread * (y - y.mean())).sum() / max((spread**2).sum(), 1.0)))
    return slope, float((y - slope * x).max())
