"""The model as a task's folder holds it: its weights under published names, its processor set to the pictures."""

from pathlib import Path
from typing import Any

import numpy as np

from umbrella.evaluation.harness.pictures import Scale, adapt_processor
from umbrella.hub.exporting import export_model, read_base_names
from umbrella.models.loading import load_model
from umbrella.models.tiny_llava import CHAT_TEMPLATE
from umbrella.models.volumes.processor import VolumeProcessor
from umbrella.options.arguments import ModelArguments
from umbrella.records.training_data import describe_copy
from umbrella.rows.transform import ConversationTransform


def check_takes_pictures(processor: Any, model_name_or_path: str) -> None:
    """Raise ValueError for a model for whole volumes."""
    if isinstance(processor, VolumeProcessor):
        raise ValueError(
            f"--model_name_or_path {model_name_or_path}: expected a model for pictures, which is what lmms-eval "
            "shows, found one for whole volumes. Evaluate it with recipes/eval.py"
        )


def write_model(
    folder: Path, model_args: ModelArguments, transform: ConversationTransform, scale: Scale, with_model: bool
) -> None:
    """Write the model, or its processor alone, so that a stock tool that is given the pictures shows it the views.

    A processor without a chat template gets the one that Umbrella prompts it with. No recipe is written: what the
    processor does to intensities is no longer what it did in training.
    """
    name = model_args.model_name_or_path
    processor = adapt_processor(transform.processor, scale, bool(transform.settings.standardize))
    if processor.chat_template is None:
        processor.chat_template = CHAT_TEMPLATE.replace("<image>", processor.image_token)
    if not with_model:
        processor.save_pretrained(folder)
        return
    folder.mkdir()
    describe_copy(name).save(folder)
    model = load_model(name, base_model=model_args.base_model)
    export_model(model, processor, None, folder, names=read_base_names(name, None))


def describe_error(processor: Any, scale: Scale, standardize: bool) -> float:
    """By how much rounding to levels changes what the encoder sees at most."""
    return scale.most_error / (1.0 if standardize else float(np.min(processor.image_processor.image_std)))


def find_end_warnings(transform: ConversationTransform) -> list[str]:
    """What is to be said where another tool, which stops at the tokenizer's own end, stops later than Umbrella."""
    tokenizer, end = transform.processor.tokenizer, transform.encoder.end_token_id
    if tokenizer.eos_token_id == end:
        return []
    return [
        f"WARNING: the model was taught to end an answer with {tokenizer.convert_ids_to_tokens(end)!r}; tools that "
        f"stop at the tokenizer's {tokenizer.eos_token!r} alone may show more than the answer."
    ]
