"""The model as a task's folder holds it: its weights under published names, its processor set to the pictures."""

from pathlib import Path
from typing import Any

import numpy as np

from umbrella.conversations.encoder import ConversationEncoder
from umbrella.conversations.turns import to_messages
from umbrella.evaluation.harness.pictures import Scale, adapt_processor
from umbrella.hub.exporting import export_model, read_base_names
from umbrella.models.loading import load_model
from umbrella.models.tiny_llava import CHAT_TEMPLATE
from umbrella.models.volumes.processor import VolumeProcessor
from umbrella.options.arguments import ModelArguments
from umbrella.records.training_data import describe_copy
from umbrella.rows.transform import ConversationTransform

# A template that writes the first token itself, which the tokenizer then writes again: it is given none to write.
NO_BOS = "{%- set bos_token = '' -%}"
# One that ends an assistant's turn with no token: the tokenizer's end is put there, as in training.
WITH_ENDS = (
    "{%- set ended = namespace(turns=[]) -%}{%- for turn in messages -%}{%- if turn['role'] == 'assistant' -%}"
    "{%- set last = turn['content'][-1] -%}{%- set end = {'type': 'text', 'text': last['text'] + eos_token} -%}"
    "{%- set turn = {'role': 'assistant', 'content': turn['content'][:-1] + [end]} -%}"
    "{%- set ended.turns = ended.turns + [turn] -%}{%- else -%}{%- set ended.turns = ended.turns + [turn] -%}"
    "{%- endif -%}{%- endfor -%}{%- set messages = ended.turns -%}"
)
ADDITIONS = ("", NO_BOS, WITH_ENDS, NO_BOS + WITH_ENDS)
PROBE = [{"role": role, "content": role} for role in ("user", "assistant", "user", "assistant")]


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

    No recipe is written: what the processor does to intensities is no longer what it did in training.
    """
    name = model_args.model_name_or_path
    processor = adapt_processor(transform.processor, scale, bool(transform.settings.standardize))
    fit_template(processor, transform.encoder)
    if not with_model:
        processor.save_pretrained(folder)
        return
    folder.mkdir()
    describe_copy(name).save(folder)
    model = load_model(name, base_model=model_args.base_model)
    export_model(model, processor, None, folder, names=read_base_names(name, None))


def fit_template(processor: Any, encoder: ConversationEncoder) -> None:
    """Have the processor's chat template give, when a stock processor reads it, the tokens that Umbrella prompts with.

    One without a template gets ChatML. What others need besides is put in front of them: see `ADDITIONS`.
    """
    own = processor.chat_template or CHAT_TEMPLATE.replace("<image>", processor.image_token)
    expected = encoder.encode(PROBE, add_generation_prompt=True)["input_ids"]
    for addition in ADDITIONS:
        processor.chat_template = addition + own
        text = processor.apply_chat_template(to_messages(PROBE[:-1]), tokenize=False, add_generation_prompt=True)
        if processor(text=[text])["input_ids"][0] == expected:
            return
    processor.chat_template = own


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
