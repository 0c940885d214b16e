"""The guide's batch beside the stock one: what turns one into the other, and the hook that lets a model do so itself.

The guide's batch (`UMBRELLADataLoader.collate_fn`) holds B rows of N images each, short rows filled up with padding:

    input_ids, attention_mask, labels  (B, T)
    pixel_values                       (B, N, 3, H, W), or None
    num_images                         (B,): how many of the N are real, they come first
    metadata, task_ids                 lists of B

A stock model wants `pixel_values` as (all real images, 3, H, W) and no other keys. `flatten_batch` makes one from the
other. A model from `load_model` does so by itself, in a hook that runs before `forward` and is not saved.
"""

import inspect
from collections.abc import Mapping

import torch
from transformers import PreTrainedModel

GUIDE_KEYS = ("metadata", "task_ids", "num_images")  # in the guide's batch, and no model's


def flatten_batch(batch: Mapping, image_token_id: int | None = None) -> dict:
    """The guide's batch as keyword arguments of a stock model: `model(**flatten_batch(batch))`.

    Real images are told from padding ones by `num_images` or, where it is missing, by the image tokens in `input_ids`.
    A batch that is stock already comes back as it is, without `metadata` and `task_ids`.

    Args:
        batch: the guide's batch (legend at the top of this file), or a stock one with 4-D `pixel_values`.
        image_token_id: `model.config.image_token_id`; only a batch without `num_images` needs it.

    Returns:
        A new dict; `batch` stays as it is. `pixel_values` is (real images, 3, H, W), and absent where there are none.

    Raises ValueError where real and padding images cannot be told apart.
    """
    inputs = {name: value for name, value in batch.items() if name not in GUIDE_KEYS}
    pixel_values = inputs.get("pixel_values")
    if pixel_values is None:
        inputs.pop("pixel_values", None)
    elif pixel_values.ndim == 5:  # (B, N, 3, H, W)
        rows, images_a_row = pixel_values.shape[:2]
        num_images = batch.get("num_images")
        if num_images is None:
            num_images = _count_images(inputs["input_ids"], rows, images_a_row, image_token_id)
        num_images = num_images.to(pixel_values.device)
        if num_images.shape != (rows,) or (num_images > images_a_row).any():
            raise ValueError(
                f"num_images: expected {rows} counts of at most {images_a_row}, to go with pixel_values of shape "
                f"{tuple(pixel_values.shape)}; found {num_images.tolist()}."
            )
        is_real = torch.arange(images_a_row, device=pixel_values.device) < num_images[:, None]  # (B, N)
        inputs["pixel_values"] = pixel_values[is_real]  # (real images, 3, H, W), row by row
        if not len(inputs["pixel_values"]):
            del inputs["pixel_values"]
    return inputs


def _count_images(input_ids: torch.Tensor, rows: int, images_a_row: int, image_token_id: int | None) -> torch.Tensor:
    """(B,) real images a row, by the image tokens of the rows.

    All images have one size, hence the same number of tokens, and the row with the most images has no padding image.
    """
    if image_token_id is None:
        raise ValueError("This batch has no num_images: pass image_token_id=model.config.image_token_id.")
    tokens = (input_ids == image_token_id).sum(dim=1)  # (B,)
    most = int(tokens.max())
    if len(tokens) != rows or most % images_a_row or (most and (tokens % (most // images_a_row)).any()):
        raise ValueError(
            f"pixel_values: expected image tokens that tell real images from padding ones, as many for each image; "
            f"found {tokens.tolist()} a row for {rows} rows of {images_a_row} images. Pass the batch's num_images too."
        )
    return tokens // (most // images_a_row) if most else tokens


def flatten_arguments(model: PreTrainedModel, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
    """Forward pre-hook: turn the guide's batch into the model's arguments, leave every other call alone."""
    pixel_values = kwargs.get("pixel_values")
    if pixel_values is None or pixel_values.ndim != 5:
        return args, flatten_batch(kwargs)
    if not takes_plain_images(model):
        if kwargs.get("num_images") is not None:
            raise ValueError(
                f"pixel_values: {type(model).__name__} needs more about an image than the guide's batch holds; "
                f"batch the rows with ConversationCollator."
            )
        return args, kwargs  # five dimensions of the model's own: patches, or images padded by its processor
    if kwargs.get("num_images") is None and pixel_values.shape[2] != 3:
        return args, kwargs  # volumes (n, channels, X, Y, Z) for a 3-D vision tower
    if args:
        kwargs = {**kwargs, "input_ids": args[0]}
    return (), flatten_batch(kwargs, getattr(model.config, "image_token_id", None))


def takes_plain_images(model: PreTrainedModel) -> bool:
    """Whether `pixel_values` (n, 3, H, W) is all that the model takes of its images.

    So it is for LLaVA, PaliGemma or InternVL. LLaVA-NeXT needs `image_sizes` too, Idefics3 `pixel_attention_mask` and
    Qwen-VL `image_grid_thw`: `get_image_features`, which encodes the images of each of them, names these.
    """
    if not hasattr(model, "get_image_features"):  # Mllama: six dimensions and aspect ratios
        return False
    parameters = inspect.signature(model.get_image_features).parameters
    return not [name for name in parameters if ("pixel" in name or "image" in name) and name != "pixel_values"]
