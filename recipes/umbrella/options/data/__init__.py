"""Flags of the data, by kind: whole volumes, scans elsewhere, several cohorts, shards. Each file stands alone.

It knows no other flag.
"""

__all__ = [
    "cohort_flags",
    "remote_flags",
    "shard_flags",
    "volume_flags",
]
