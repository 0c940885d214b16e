"""A name that published code imports: what is in `umbrella.rows.transform`."""

from umbrella.rows.transform import ConversationTransform
from umbrella.views.loading import load_view

__all__ = ["ConversationTransform", "load_view"]
