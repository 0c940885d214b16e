"""How a run's batches are planned, and what it measures of them: the loss by its tokens, the speed.

It knows no Trainer.
"""

__all__ = [
    "cohort_log",
    "run_speed",
    "token_loss",
    "token_plan",
]
