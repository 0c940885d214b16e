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
from umbrella.conversations.turns import count_images, text_item
from umbrella.models.base import read_base
from umbrella.models.loading import load_processor
from umbrella.options.arguments import BUILT
from umbrella.records.recipe_file import Recipe
from umbrella.views.intensity_steps import round_to_levels, to_levels

EXPORT = "Export it (recipes/export.py) and serve the export"
_SAID = [text_item("What is this?")]
PROBE = [  # a reference in front of a question
    {"role": "user", "content": [*_SAID, {"type": "image"}]},
    {"role": "assistant", "content": _SAID},
    {"role": "user", "content": [{"type": "image"}, *_SAID]},
    {"role": "assistant", "content": _SAID},
]


def check_folder(name: str) -> list[str]:
    """What is to be warned of before a folder is served. Raises ValueError for one that a stock server cannot read as
    it was trained, with the way out."""
    folder = Path(name).expanduser()
    if name in BUILT or not folder.is_dir():
        raise ValueError(f"--model_name_or_path: expected the folder of an exported model, found {name!r}. {EXPORT}")
    if "@" in folder.absolute().name:  # transformers takes what follows for a revision
        raise ValueError(f"{name}: expected a folder without @ in its name, found one with it. Rename it")
    recipe = read_servable(folder)
    if read_base(name) is not None:
        raise ValueError(f"{name}: expected a whole model, found weights that stand on a base model. {EXPORT}")
    processor = load_processor(name)
    check_generation(name, ConversationEncoder(processor).end_token_id)
    return check_prompt(processor, recipe, name)


def check_prompt(processor: Any, recipe: Recipe, name: str) -> list[str]:
    """Whether the stock processor makes the tokens and pixels of training of a question about a PNG.

    Raises ValueError where it does not; returns a warning where it does so only of a question without earlier turns.
    """
    size = recipe.image_size
    picture = round_to_levels(np.random.default_rng(0).random((3, size, size), np.float32))
    tokens, pixels = compare_with_stock(processor, picture, PROBE[2:])
    if not pixels:
        raise ValueError(
            f"{name}: expected a processor that makes of a PNG the pixels of training, found one that makes others. "
            "Put back the processor's files of the run"
        )
    if not tokens:
        raise ValueError(
            f"{name}: expected a chat template by which a stock server makes the tokens of training, found one by "
            "which it makes others. Ask the model with recipes/predict.py"
        )
    if compare_with_stock(processor, picture, PROBE)[0]:
        return []
    return [
        f"WARNING: {name}: its chat template ends no earlier answer of a conversation, as training does with a "
        "token. A question after a reference or other turns gets another prompt from a server than from predict.py; "
        "a question alone gets the same. To serve both, let the template of the model that training starts from write "
        "{{ eos_token }} right after an assistant's text, and train with it"
    ]


def compare_with_stock(processor: Any, picture: np.ndarray, turns: list[dict]) -> tuple[bool, bool]:
    """Whether tokens, and pixels, of turns whose scans are all one picture (3, H, W) are the same in training and
    where the stock processor reads them."""
    n = count_images(turns[:-1])
    encoder = ConversationEncoder(deepcopy(processor), input_data_format="channels_first")
    trained = encoder.encode(turns, [to_levels(picture)] * n, add_generation_prompt=True)
    stock = processor.apply_chat_template(
        to_stock_messages(build_messages(turns, [write_data_url(picture)] * n, "axial")),
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
    )
    same_tokens = stock["input_ids"][0].tolist() == trained["input_ids"]
    return same_tokens, torch.equal(stock["pixel_values"], trained["pixel_values"])


def to_stock_messages(messages: list[dict]) -> list[dict]:
    """Messages as `transformers serve` hands them to a processor's chat template."""
    return [{**message, "content": [_to_stock_item(item) for item in message["content"]]} for message in messages]


def _to_stock_item(item: dict) -> dict:
    return {"type": "image", "url": item["image_url"]["url"]} if item["type"] == "image_url" else item


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
