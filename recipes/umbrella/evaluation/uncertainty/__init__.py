"""How sure an answer is, and how far that can be used: coverage, abstention, temperature, sets and intervals.

It fits on the validation split alone. It knows no page.
"""

__all__ = [
    "calibration_rows",
    "tempering",
    "uncertainty",
]
