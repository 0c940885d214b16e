"""A name that published code imports: what is in `umbrella.models.loading`."""

from umbrella.models.loading import load_model, load_processor

__all__ = ["load_model", "load_processor"]
