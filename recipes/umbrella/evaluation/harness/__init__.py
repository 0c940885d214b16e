"""The rows of a split as a task of lmms-eval: pictures, questions, true answers, and how answers are read.

It asks no model.
"""

__all__ = [
    "agreement",
    "model_folder",
    "task_folder",
]
