"""Personal data in texts, names of files, scans' headers and faces: found and cleaned.

It knows no model and no Hub.
"""

__all__ = [
    "binary_text",
    "mask",
    "presidio_names",
    "scrub",
    "search",
    "shared_questions",
]
