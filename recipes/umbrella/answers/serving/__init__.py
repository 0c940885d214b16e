"""A model that a server holds: whether a server can show it scans as training did, how it is asked, how it is checked.

It knows no rows but those it is given. What `umbrella.client` needs of it imports neither torch nor transformers.
"""

__all__ = [
    "client",
    "comparison",
    "servable",
    "server",
    "stock",
]
