"""A conversation with a model that stays loaded: several turns and scans, answers as they are written.

It knows no page.
"""

__all__ = [
    "conversation",
    "opening",
    "talker",
    "together",
]
