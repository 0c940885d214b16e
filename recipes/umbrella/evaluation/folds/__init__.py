"""Cross-validation: who is held out when, the runs, and what they come to together.

It trains and asks nothing itself: train.py and eval.py do. It knows no page.
"""

__all__ = [
    "arguments",
    "commands",
    "division",
    "plan",
    "pooling",
    "running",
]
