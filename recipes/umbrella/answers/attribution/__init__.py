"""Where in a scan a model's answer comes from: maps by hiding boxes and by gradients, and whether they point at a
known region.

It draws no picture and knows no interval.
"""

__all__ = [
    "chosen_rows",
    "gradients",
    "maps",
    "occlusion",
    "regions",
    "scan_in_row",
]
