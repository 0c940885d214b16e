"""Which rows go together and when: orders, shares of cohorts, batches by tokens, blank rows, hints for workers.

It knows no model and no loss.
"""

__all__ = [
    "blank_rows",
    "cohorts",
    "lookahead",
    "order",
    "token_batches",
    "token_lengths",
]
