"""What ConversationTrainer needs beside model, arguments and rows, for the tiny model or another processor."""

from umbrella.models.loading import load_processor
from umbrella.records.recipe import resolve_recipe
from umbrella.rows.collator import ConversationCollator
from umbrella.rows.transform import ConversationTransform
from umbrella.training.provenance import Provenance
from umbrella.views.settings import ViewSettings


def trainer_parts(processor=None) -> dict:
    """Collator, processor, blank row and provenance, as keyword arguments."""
    processor = processor or load_processor("tiny")
    return {
        "data_collator": ConversationCollator(processor, keep_metadata=True),
        "processing_class": processor,
        "blank": ConversationTransform(processor).blank_example(),
        "provenance": Provenance(resolve_recipe(ViewSettings(), processor, "")),
    }
