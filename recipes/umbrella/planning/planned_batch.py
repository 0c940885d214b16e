"""The batch that a recipe puts on each GPU, from the model's config alone: full rows of the longest length.

input_ids, labels   (B, T): a token of text before each image's tokens, the other text after them
pixel_values, ...   as the model takes them: n images a row, or n volumes
"""

import inspect
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers import PreTrainedModel

from umbrella.conversations.ignore_index import IGNORE_INDEX
from umbrella.models.volumes.patches import POOLED_TIME, check_multiple, fill_time
from umbrella.models.volumes.tower import VolumeTowerBase
from umbrella.options.training_arguments import TrainArguments
from umbrella.rows.batches.token_batches import round_up
from umbrella.views.planes import n_images
from umbrella.views.settings import (
    DEFAULT_IMAGE_SIZE,
    VOLUME,
    VOLUME_SIZE,
    ViewSettings,
    count_frames,
    parse_volume_size,
)


@dataclass(frozen=True)
class PlannedBatch:
    """What a step on one GPU is made of; `supervised` tokens of a row carry the loss."""

    rows: int
    tokens: int
    images: int  # a row; volumes count as images
    shape: tuple[int, ...]  # of an image: pixels (H, W); of a volume: (T, X, Y, Z)
    image_tokens: int  # an image
    supervised: int  # tokens of a row, its last ones

    def describe(self) -> str:
        """One line for a person."""
        return (
            f"{self.rows} rows of {self.tokens} tokens on each GPU; {self._describe_images()} and "
            f"{self.image_tokens} tokens; {self.supervised} supervised tokens a row"
        )

    def _describe_images(self) -> str:
        if len(self.shape) == 2:
            return f"images a row: {self.images}, of {self.shape[0]} px"
        n_frames, *size = self.shape
        frames = f", {n_frames} frames" if n_frames > 1 else ""
        return f"volumes a row: {self.images}, of {'x'.join(map(str, size))} voxels{frames}"


def plan_batch(
    model: PreTrainedModel, rows: int, tokens: int, scans: int, settings: ViewSettings, supervised: int | None
) -> PlannedBatch:
    """Fill in what the model's config says.

    Args:
        scans: of a row.
        settings: how they are shown. Left open: the view axial, the image size of the vision tower, or 224 where it
            takes any; of a model for volumes the default size, and one frame.
        supervised: None takes all text, the most that a row can have.

    Raises ValueError for a model whose images cannot be planned from its config, for another view than it takes, and
    for rows that cannot hold them.
    """
    shape = plan_shape(model, settings)
    images = scans * (n_images(settings.view or "axial") if len(shape) == 2 else 1)
    image_tokens = count_image_tokens(model, shape)
    text = tokens - images * (image_tokens + 1)
    if text < 1:
        raise ValueError(
            f"--tokens: expected more than {tokens - text}, for {images} {'images' if len(shape) == 2 else 'volumes'} "
            f"of {image_tokens} tokens a row and "
            f"some text; found {tokens}. Raise --tokens or --max_length, or give fewer --scans"
        )
    supervised = text if supervised is None else supervised
    if not 0 < supervised <= text:
        raise ValueError(f"--supervised_tokens: expected 1 to {text}, the text of a row, found {supervised}")
    return PlannedBatch(rows, tokens, images, shape, image_tokens, supervised)


def count_rows(args: TrainArguments, tokens: int) -> int:
    """How many rows of so many tokens each GPU takes at once. Raises ValueError for one that `--tokens_per_batch` does
    not hold."""
    if args.tokens_per_batch is None:
        return args.per_device_train_batch_size
    padded = int(round_up([tokens])[0])
    if padded > args.tokens_per_batch:
        raise ValueError(
            f"--tokens_per_batch: expected at least {padded}, for a row of {tokens} tokens, found "
            f"{args.tokens_per_batch}. Set it higher, or give the length of your longest row: --tokens"
        )
    return args.tokens_per_batch // padded


def describe_shortest(args: TrainArguments, plan: PlannedBatch) -> str:
    """A line on the other extreme of `--tokens_per_batch`, more and shorter rows, thus more images; else nothing."""
    fewest = int(round_up([plan.images * (plan.image_tokens + 1) + 1])[0])
    if args.tokens_per_batch is None or (n_rows := args.tokens_per_batch // fewest) <= plan.rows:
        return ""
    return (
        f"rows as short as their images allow, of {fewest} tokens, are {n_rows} in a batch, with "
        f"{n_rows * plan.images} images: --tokens {fewest} estimates those\n"
    )


def find_volume_tower(model: PreTrainedModel) -> VolumeTowerBase | None:
    """The tower of a model for volumes; None of a model for pictures."""
    return next((module for module in model.modules() if isinstance(module, VolumeTowerBase)), None)


def plan_shape(model: PreTrainedModel, settings: ViewSettings) -> tuple[int, ...]:
    """Of an image, pixels (H, W), or of a volume, (T, X, Y, Z). Raises ValueError as `plan_batch` does."""
    tower, view = find_volume_tower(model), settings.view
    if (tower is not None) != (view == VOLUME) and view is not None:
        takes = "whole volumes: --view volume" if tower is not None else "pictures: one of their views"
        raise ValueError(f"--view: this model takes {takes}, found {view}. Leave it out, or take another model")
    if tower is None:
        vision = model.config.vision_config
        side = settings.image_size or getattr(vision, "image_size", DEFAULT_IMAGE_SIZE)
        return side, side
    patch = tower.config.patch_size
    n_frames = fill_time(count_frames(settings.frames), patch)
    size = parse_volume_size(settings.volume_size or VOLUME_SIZE)
    check_multiple((n_frames, *size), patch, tower.config.pool)
    return n_frames, *size


def count_image_tokens(model: PreTrainedModel, shape: Sequence[int]) -> int:
    """How many tokens of the language model an image or a volume of this shape becomes. Raises ValueError as
    `plan_batch` does."""
    config, vision, keys = model.config, model.config.vision_config, _image_keys(model)
    tower = find_volume_tower(model)
    if tower is not None:
        return math.prod((torch.tensor(_state_size(tower, shape)) // tower.patch_size).tolist())  # as LLaVA counts
    image_size = shape[0]
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
    tower = find_volume_tower(model)
    if tower is not None:
        patch = tower.config.patch_size
        n_patches = math.prod(size // p for size, p in zip(plan.shape, patch, strict=True))
        return batch | {
            "pixel_values": torch.ones(n * n_patches, math.prod(patch), dtype=dtype),
            "image_sizes": torch.tensor([_state_size(tower, plan.shape)] * n),
        }
    if "image_grid_thw" in keys:
        side = plan.shape[0] // vision.patch_size
        values = vision.in_channels * vision.temporal_patch_size * vision.patch_size**2
        return batch | {
            "pixel_values": torch.ones(n * side**2, values, dtype=dtype),
            "image_grid_thw": torch.tensor([[1, side, side]] * n),
            "mm_token_type_ids": (input_ids == model.config.image_token_id).long(),
        }
    shape = (plan.rows, plan.images) if "pixel_attention_mask" in keys else (n,)
    return batch | {"pixel_values": torch.ones(*shape, 3, *plan.shape, dtype=dtype)}


def _state_size(tower: VolumeTowerBase, shape: Sequence[int]) -> list[int]:
    """A volume's row of `image_sizes`."""
    return [shape[0] + (POOLED_TIME if tower.config.pools_time else 0), *shape[1:]]


def _image_keys(model: PreTrainedModel) -> set[str]:
    """What the encoder of images takes, which tells the families apart."""
    return set(inspect.signature(model.get_image_features).parameters)
