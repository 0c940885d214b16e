"""How sure a number is: intervals, tests and measures over subjects.

It knows numbers and who they are of, no row and no model.
"""

__all__ = [
    "against_rest",
    "agreement",
    "conformal",
    "differences",
    "group_gaps",
    "holm",
    "intervals",
    "measures",
    "net_benefit",
    "notation",
    "paired",
    "precision",
    "resampled",
    "selective",
    "temperature",
]
