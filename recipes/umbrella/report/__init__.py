"""Pages to look at: report.html of an evaluation, a preview of data. Each is one file that needs no network.

It computes no result.
"""

__all__ = [
    "evaluation_report",
    "explain_report",
    "folds_report",
    "pictures",
    "preview_report",
]
