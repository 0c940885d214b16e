"""From a scan's file to a volume, float32 (X, Y, Z) in RAS+; its statistics; files that are no scan.

It knows no view, no tokenizer and no model.
"""

__all__ = [
    "gradients",
    "head",
    "intensity",
    "not_a_scan",
    "otsu",
    "scan_files",
    "series",
    "skull",
    "slice_places",
    "survey",
    "volumes",
]
