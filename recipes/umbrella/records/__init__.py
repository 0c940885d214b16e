"""What is written beside a model: its recipe, how it came about, the subjects that it has seen, its evaluations.

It knows no rows and no trainer.
"""

__all__ = [
    "cohort",
    "evaluations",
    "leakage",
    "limits",
    "recipe",
    "recipe_file",
    "run",
    "small_groups",
    "trained_questions",
    "training_data",
]
