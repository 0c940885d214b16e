"""Whether a folder that a stock server reads gives the tokens, the pictures and the end of an answer of training."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import GenerationConfig

from umbrella.answers.serving.messages import build_messages, write_data_url
from umbrella.answers.serving.servable import read_servable
from umbrella.conversations.encoder import ConversationEncoder
from umbrella.models.base import read_base
from umbrella.models.loading import load_processor
from umbrella.options.arguments import BUILT
from umbrella.records.recipe_file import Recipe
from umbrella.views.intensity_steps import round_to_levels, to_levels

EXPORT = "Export it (recipes/export.py) and serve the export"
SAID = "What is this?"


def check_folder(name: str) -> Recipe:
    """The recipe of a folder that a stock server can read. Raises ValueError for any other, with the way out."""
    folder = Path(name).expanduser()
    if name in BUILT or not folder.is_dir():
        raise ValueError(f"--model_name_or_path: expected the folder of an exported model, found {name!r}. {EXPORT}")
    if "@" in folder.absolute().name:  # transformers takes what follows for a revision
        raise ValueError(f"{name}: expected a folder without @ in its name, found one with it. Rename it")
    recipe = read_servable(folder)
    if read_base(name) is not None:
        raise ValueError(f"{name}: expected a whole model, found weights that stand on a base model. {EXPORT}")
    processor = load_processor(name)
    check_prompt(processor, recipe, name)
    check_generation(name, ConversationEncoder(processor).end_token_id)
    return recipe


def check_prompt(processor: Any, recipe: Recipe, name: str) -> None:
    """Raise ValueError where the stock processor makes other tokens or other pixels of a message with a PNG than
    training made of the same view."""
    size = recipe.image_size
    picture = round_to_levels(np.random.default_rng(0).random((3, size, size), np.float32))
    items = [{"type": "text", "text": SAID}, {"type": "image"}, {"type": "text", "text": SAID}]
    turns = [
        {"role": "user", "content": items[:2]},
        {"role": "assistant", "content": items[:1]},
        {"role": "user", "content": items},
        {"role": "assistant", "content": items[:1]},
    ]
    encoder = ConversationEncoder(deepcopy(processor), input_data_format="channels_first")
    trained = encoder.encode(turns, [to_levels(picture)] * 2, add_generation_prompt=True)
    stock = processor.apply_chat_template(
        build_messages_of_files(turns, [write_data_url(picture)] * 2),
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
    )
    if stock["input_ids"][0].tolist() != trained["input_ids"]:
        raise ValueError(
            f"{name}: expected a chat template by which a stock server makes the tokens of training, found "
            f"{stock['input_ids'].shape[1]} tokens of a probe that are not the {len(trained['input_ids'])} of "
            "training. Ask the model with recipes/predict.py"
        )
    if not torch.equal(stock["pixel_values"], trained["pixel_values"]):
        raise ValueError(
            f"{name}: expected a processor that makes of a PNG the pixels of training, found one that makes others. "
            "Put back the processor's files of the run"
        )


def build_messages_of_files(turns: list[dict], pictures: list[str]) -> list[dict]:
    """`build_messages` of one picture a scan, as `transformers serve` hands them to a processor."""
    return [
        {
            **message,
            "content": [
                {"type": "image", "url": item["image_url"]["url"]} if item["type"] == "image_url" else item
                for item in message["content"]
            ],
        }
        for message in build_messages(turns, pictures, "axial")
    ]


def check_generation(name: str, end_token: int) -> None:
    """Raise ValueError where the folder's generation config ends answers elsewhere than training taught, or searches
    with beams, which no request can switch off."""
    config = GenerationConfig.from_pretrained(Path(name).expanduser())
    own = config.eos_token_id if isinstance(config.eos_token_id, list) else [config.eos_token_id]
    if end_token not in own:
        raise ValueError(
            f"{name}, generation_config.json: expected {end_token}, the token that ends an answer in training, among "
            f"eos_token_id, found {own}: a server would go on after the answer. {EXPORT}"
        )
    if config.num_beams not in (None, 1):
        raise ValueError(
            f"{name}, generation_config.json: expected num_beams 1, as predict.py and eval.py answer, found "
            f"{config.num_beams}. Set it to 1"
        )
