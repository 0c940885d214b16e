"""Before a run: the memory that it needs, how fast the data path feeds it, whether its grid holds the heads; before
data are collected: how large a test set must be.

It trains and evaluates nothing.
"""

__all__ = [
    "memory_estimate",
    "planned_batch",
    "test_set_plan",
    "throughput",
    "throughput_report",
    "volume_checks",
]
