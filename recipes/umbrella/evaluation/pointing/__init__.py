"""Rows are explained, by the model and by one of random weights, and whether their maps point at a known region."""

__all__ = [
    "explained_rows",
]
