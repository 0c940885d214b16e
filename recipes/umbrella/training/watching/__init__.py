"""What a run tells the trackers, and what it keeps from them.

It knows no Trainer of ours.
"""

__all__ = [
    "late_tensorboard",
    "tracking",
]
