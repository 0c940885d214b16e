"""Before a run: the memory that it needs, and how fast the data path feeds it.

It trains and evaluates nothing.
"""

__all__ = [
    "memory_estimate",
    "planned_batch",
    "throughput",
    "throughput_report",
    "volume_checks",
]
