"""From answers to numbers."""

import re
from collections.abc import Iterable


def parse_label(text: str, labels: Iterable[str]) -> str | None:
    """The one label that a text names, by whole words and any case; None where it names none or several.

    >>> parse_label("The subject is Female.", ["male", "female"])
    'female'
    >>> parse_label("male or female", ["male", "female"]) is None
    True
    """
    named = [label for label in labels if re.search(rf"(?<!\w){re.escape(label)}(?!\w)", text, re.IGNORECASE)]
    return named[0] if len(named) == 1 else None


def accuracy(parsed: list[str | None], expected: list[str]) -> float:
    """The share of right answers; an answer that names no label is a wrong one."""
    return sum(p == e for p, e in zip(parsed, expected, strict=True)) / len(expected)
