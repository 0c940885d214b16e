"""The size of image that a model's vision encoder takes: as its processor states it."""

from typing import Any

from umbrella.views.settings import DEFAULT_IMAGE_SIZE


def state_image_size(processor: Any) -> int | None:
    """The side in pixels of the square image that the processor's vision encoder takes; None where any size will
    do."""
    image_processor = processor.image_processor
    for name in (
        "max_image_size",
        "crop_size",
        "size",
    ):  # a tile (Idefics3), else what is cropped (CLIP), else resized to
        size = getattr(image_processor, name, None)
        if size is None:
            continue
        side = size.get("height") or size.get("longest_edge") or size.get("shortest_edge")
        # Qwen-VL's `size` bounds the number of pixels, not the side: it takes any multiple of a patch.
        return None if hasattr(image_processor, "merge_size") else side
    return None


def resolve_image_size(processor: Any, image_size: int | None) -> int:
    """`image_size`, or where it is None the size that the processor states, or 224 where it states none.

    Raises:
        ValueError: a size that the model cannot take; names the right one.
    """
    stated = state_image_size(processor)
    if image_size is None:
        return stated or DEFAULT_IMAGE_SIZE
    if stated is not None and image_size != stated:
        raise ValueError(
            f"image_size: expected {stated}, the size that {type(processor).__name__} states for its vision encoder; "
            f"found {image_size}. Leave image_size out, or set it to {stated}."
        )
    if stated is None:
        unit = processor.image_processor.patch_size * processor.image_processor.merge_size
        if image_size <= 0 or image_size % unit:
            right = max(unit, round(image_size / unit) * unit)
            raise ValueError(
                f"image_size: expected a multiple of {unit} (patches of {type(processor).__name__}), found "
                f"{image_size}. Set it to {right}."
            )
    return image_size
