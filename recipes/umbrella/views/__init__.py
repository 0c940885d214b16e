"""From a volume to what a vision encoder eats: planes and montages, augmentation, the cache of views.

It knows no file format of scans, no tokenizer and no model.
"""

__all__ = [
    "augmentation",
    "expectations",
    "frames",
    "grid",
    "head_box",
    "intensity_steps",
    "loading",
    "packed_views",
    "perturbation",
    "places",
    "planes",
    "settings",
    "volume_cache",
]
