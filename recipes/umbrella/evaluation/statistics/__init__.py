"""How sure a number is: intervals, tests and measures over subjects.

It knows numbers and who they are of, no row and no model.
"""

__all__ = [
    "agreement",
    "conformal",
    "differences",
    "group_gaps",
    "group_tests",
    "intervals",
    "measures",
    "net_benefit",
    "notation",
    "paired",
    "selective",
    "temperature",
]
