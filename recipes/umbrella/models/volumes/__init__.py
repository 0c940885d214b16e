"""Models for volumes: packed patches, towers, their processor, made known to transformers.

It knows no rows and no way to load a model.
"""

__all__ = [
    "agreement",
    "axes",
    "dense",
    "inflated",
    "late_registration",
    "patches",
    "processor",
    "registration",
    "tower",
]
