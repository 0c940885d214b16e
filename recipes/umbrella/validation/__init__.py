"""All problems of a data folder in one pass, and older formats converted.

It knows no model.
"""

__all__ = [
    "flags",
    "scans",
    "validator",
    "worker_processes",
]
