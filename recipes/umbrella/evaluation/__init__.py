"""What answers to a split prove: controls, verdicts, intervals, baselines, confounds, comparisons.

It knows no page.
"""

__all__ = [
    "answer_file",
    "asking",
    "comparison",
    "controls",
    "group_tests",
    "history",
    "questions",
    "results",
    "run_folder",
    "sequence_controls",
    "side_analyses",
    "summary",
    "verdicts",
]
