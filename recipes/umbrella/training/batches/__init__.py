"""What a run measures of its batches: the loss by its tokens, the speed.

It knows no Trainer.
"""

__all__ = [
    "cohort_log",
    "run_speed",
    "token_loss",
]
