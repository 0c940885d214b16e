"""Before a run: the memory that it needs, how fast the data path feeds it, and whether its grid holds the heads.

It trains and evaluates nothing.
"""

__all__ = [
    "memory_estimate",
    "planned_batch",
    "throughput",
    "throughput_report",
    "volume_checks",
]
