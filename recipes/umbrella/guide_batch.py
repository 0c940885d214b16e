"""A name that published code imports: what is in `umbrella.models.guide_batch`."""

from umbrella.models.guide_batch import flatten_batch

__all__ = ["flatten_batch"]
