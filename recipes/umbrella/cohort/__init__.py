"""A BIDS tree, a participants table or DICOM becomes a folder of conversations with honest splits.

It knows no model, but for `many`, where one is asked about each scan.
"""

__all__ = [
    "flags",
    "generated_folder",
    "generation",
]
