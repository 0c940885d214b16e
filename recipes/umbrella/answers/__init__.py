"""A model is asked, and what it says is read: generation, scoring, parsing, metrics.

It knows no trainer, no controls and no intervals.
"""

__all__ = [
    "generation",
    "label_parsing",
    "labelled_answer",
    "labelled_rows",
    "metrics",
    "number_parsing",
    "numbers",
    "own_answers",
    "own_question",
    "prediction",
    "question_turns",
    "readability",
    "reading",
    "recorded_answers",
    "scoring",
    "selection",
    "text_folding",
    "text_metrics",
]
