"""A page where a colleague sees a scan, asks a model about it, and sees what the model saw.

It knows no metric.
"""

__all__ = [
    "arguments",
    "handlers",
    "known_labels",
    "own_folders",
    "page",
    "serving",
]
