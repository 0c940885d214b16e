"""The Trainer and what surrounds a run: checks before it, loss, checkpoints, resuming, preemption, watching.

It knows no evaluation of a finished model.
"""

__all__ = [
    "answer_check",
    "augmentation_epoch",
    "batch_check",
    "checkpoints",
    "main_process",
    "out_of_memory",
    "preflight",
    "provenance",
    "resuming",
    "run_defaults",
    "run_log",
    "run_start",
    "sigterm",
    "trainer",
    "unreadable",
]
