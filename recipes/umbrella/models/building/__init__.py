"""New models put together from parts: a tower for volumes, a language model, what stands between them.

It trains nothing, and knows no rows.
"""

__all__ = [
    "assembly",
    "folders",
]
