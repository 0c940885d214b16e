"""Rows are explained, by the model and by one of random weights: do their maps point at a known region?

It draws no page.
"""

__all__ = [
    "arguments",
    "explained_rows",
]
