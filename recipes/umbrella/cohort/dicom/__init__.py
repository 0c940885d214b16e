"""DICOM studies become a BIDS tree with hashed names: series found, named by rules, converted by dcm2niix.

It knows no conversation and no split.
"""

__all__ = [
    "cohort_tables",
    "listing",
    "source",
    "tree",
]
