"""From the turns of a conversation to text, `input_ids` and `labels`.

It knows no scan.
"""

__all__ = [
    "encoder",
    "ignore_index",
    "layout",
    "turn_columns",
    "turns",
]
