"""A data folder or a model is exported and published: guard, cards, upload.

It knows no trainer and no evaluation but its files.
"""

__all__ = [
    "cards",
    "client",
    "dataset",
    "exporting",
    "guard",
    "guarded_push",
    "model",
    "repo",
    "space",
]
