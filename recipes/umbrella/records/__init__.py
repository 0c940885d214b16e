"""What is written beside a model: its recipe, how it came about, the subjects that it has seen, its evaluations.

It knows no rows and no trainer.
"""

__all__ = [
    "evaluations",
    "leakage",
    "recipe",
    "run",
    "training_data",
]
