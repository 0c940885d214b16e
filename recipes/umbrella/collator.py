"""A name that published code imports: what is in `umbrella.rows.collator`."""

from umbrella.rows.collator import ConversationCollator

__all__ = ["ConversationCollator"]
