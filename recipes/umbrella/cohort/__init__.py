"""A BIDS tree or a participants table becomes a folder of conversations with honest splits.

It knows no model.
"""

__all__ = [
    "flags",
    "generated_folder",
    "generation",
]
