"""What a run measures of its batches: the loss by its tokens, the speed.

It knows no Trainer.
"""

__all__ = [
    "run_speed",
    "token_loss",
]
