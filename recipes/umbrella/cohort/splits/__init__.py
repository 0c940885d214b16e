"""Participants are divided: families together, strata in equal shares, external sites apart.

It knows no wording.
"""

__all__ = [
    "division",
    "notes",
    "participants",
]
