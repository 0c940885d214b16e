"""A participants table: its text, its rows, the kinds and labels of its columns, the scans that it names.

It knows no BIDS tree and no question.
"""

__all__ = [
    "column_description",
    "column_kind",
    "column_labels",
    "delimiter",
    "header_cells",
    "image_template",
    "table_rows",
    "text",
    "visit_rows",
    "visits",
]
