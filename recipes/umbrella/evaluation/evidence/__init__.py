"""What reviewers ask for beyond a score: precision, robustness, repeatability, uncertainty, groups, the checklist.

It asks through the evaluation's `Asker`. It knows no page.
"""

__all__ = [
    "evidence",
    "gathering",
    "repeats",
    "wording",
]
