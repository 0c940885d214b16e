"""How sure a number is: intervals, tests and measures over subjects.

It knows numbers and who they are of, no row and no model.
"""

__all__ = [
    "intervals",
    "measures",
    "notation",
    "paired",
    "resampled",
]
