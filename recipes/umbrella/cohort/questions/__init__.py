"""What is asked about a visit: target, cases, wordings, and the conversations written from them.

It knows no split but its name.
"""

__all__ = [
    "cases",
    "conversations",
    "target",
    "templates",
    "writer",
]
