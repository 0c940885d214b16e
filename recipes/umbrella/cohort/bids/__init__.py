"""A BIDS tree: names, entities, what it holds, and the one scan of a visit.

It knows no question and no split.
"""

__all__ = [
    "inventory",
    "labels",
    "scans",
    "selection",
    "shared_scans",
    "tree",
]
