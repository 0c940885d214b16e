"""The batch that a recipe puts on each GPU, from the model's config alone: full rows of the longest length.

input_ids, labels   (B, T): a token of text before each image's tokens, the other text after them
pixel_values, ...   as the model takes them: n images a row of side `image_size`
"""

import inspect
from dataclasses import dataclass

import torch
from transformers import PreTrainedModel

from umbrella.conversations.ignore_index import IGNORE_INDEX
from umbrella.views.settings import DEFAULT_IMAGE_SIZE


@dataclass(frozen=True)
class PlannedBatch:
    """What a step on one GPU is made of; `supervised` tokens of a row carry the loss."""

    rows: int
    tokens: int
    images: int  # a row
    image_size: int  # pixels
    image_tokens: int  # an image
    supervised: int  # tokens of a row, its last ones

    def describe(self) -> str:
        """One line for a person."""
        return (
            f"{self.rows} rows of {self.tokens} tokens on each GPU; images a row: {self.images}, of "
            f"{self.image_size} px and {self.image_tokens} tokens; {self.supervised} supervised tokens a row"
        )


def plan_batch(
    model: PreTrainedModel, rows: int, tokens: int, images: int, image_size: int | None, supervised: int | None
) -> PlannedBatch:
    """Fill in what the model's config says.

    Args:
        image_size: None takes the vision tower's, or 224 where it takes any.
        supervised: None takes all text, the most that a row can have.

    Raises ValueError for a model whose images cannot be planned from its config, and for rows that cannot hold them.
    """
    image_size = image_size or getattr(model.config.vision_config, "image_size", DEFAULT_IMAGE_SIZE)
    image_tokens = count_image_tokens(model, image_size)
    text = tokens - images * (image_tokens + 1)
    if text < 1:
        raise ValueError(
            f"--tokens: expected more than {tokens - text}, for {images} images of {image_tokens} tokens a row and "
            f"some text; found {tokens}. Raise --tokens or --max_length, or give fewer --scans"
        )
    supervised = text if supervised is None else supervised
    if not 0 < supervised <= text:
        raise ValueError(f"--supervised_tokens: expected 1 to {text}, the text of a row, found {supervised}")
    return PlannedBatch(rows, tokens, images, image_size, image_tokens, supervised)


def count_image_tokens(model: PreTrainedModel, image_size: int) -> int:
    """How many tokens of the language model an image of this side becomes. Raises ValueError as `plan_batch` does."""
    config, vision, keys = model.config, model.config.vision_config, _image_keys(model)
    if "image_grid_thw" in keys:  # Qwen-VL
        return (image_size // (vision.patch_size * vision.spatial_merge_size)) ** 2
    side = image_size // getattr(vision, "patch_size", image_size)
    if "pixel_attention_mask" in keys:  # Idefics3, SmolVLM: each pixel shuffle makes one token of scale_factor²
        return (side // config.scale_factor) ** 2
    if config.model_type == "llava":
        has_class_token = vision.model_type == "clip_vision_model"
        return side**2 + (has_class_token and config.vision_feature_select_strategy == "full")
    raise ValueError(
        f"model: expected LLaVA, Qwen-VL, Idefics3 or SmolVLM, whose image tokens follow from the config; found "
        f"{type(model).__name__}. Measure it instead: train.py --check_batch true prints the memory of one batch"
    )


def build_batch(model: PreTrainedModel, plan: PlannedBatch, dtype: torch.dtype) -> dict:
    """The batch with real numbers, images in `dtype`."""
    vision, keys, n = model.config.vision_config, _image_keys(model), plan.rows * plan.images
    input_ids = torch.zeros(plan.rows, plan.tokens, dtype=torch.long)
    for start in range(1, plan.images * (plan.image_tokens + 1), plan.image_tokens + 1):
        input_ids[:, start : start + plan.image_tokens] = model.config.image_token_id
    labels = torch.full_like(input_ids, IGNORE_INDEX)
    labels[:, -plan.supervised :] = 0
    batch = {"input_ids": input_ids, "labels": labels}
    if "image_grid_thw" in keys:
        side = plan.image_size // vision.patch_size
        values = vision.in_channels * vision.temporal_patch_size * vision.patch_size**2
        return batch | {
            "pixel_values": torch.ones(n * side**2, values, dtype=dtype),
            "image_grid_thw": torch.tensor([[1, side, side]] * n),
            "mm_token_type_ids": (input_ids == model.config.image_token_id).long(),
        }
    shape = (plan.rows, plan.images) if "pixel_attention_mask" in keys else (n,)
    return batch | {"pixel_values": torch.ones(*shape, 3, plan.image_size, plan.image_size, dtype=dtype)}


def _image_keys(model: PreTrainedModel) -> set[str]:
    """What the encoder of images takes, which tells the families apart."""
    return set(inspect.signature(model.get_image_features).parameters)
