"""Scans in object stores: which addresses may be read, what an object is, its bytes, and copies of them on this node.

It knows nothing of scans, and makes no request until roots are allowed.
"""

__all__ = [
    "addresses",
    "copies",
    "listing",
]
