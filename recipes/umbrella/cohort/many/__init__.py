"""Many scans are asked the same question: those of a BIDS tree, of a table or in a folder; a table of answers.

It makes no conversations and knows no splits.
"""

__all__ = [
    "answering",
    "arguments",
    "reading",
    "scans",
]
