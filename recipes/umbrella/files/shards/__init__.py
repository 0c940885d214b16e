"""Scans in shards: tar files that any reader of WebDataset streams, and an index by which each scan is read alone.

It knows nothing of scans but their names and bytes.
"""

__all__ = [
    "fitting",
    "index",
    "reading",
    "writing",
]
