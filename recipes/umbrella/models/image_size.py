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


def state_kept_size(processor: Any, size: int) -> None:
    """Let a processor that would enlarge or reduce images of `size` × `size` pixels, though its encoder takes them,
    state that it leaves them as they are, also where it is saved: a server shows images by what it states.

    Qwen-VL's bounds of the number of pixels are widened to hold `size`²; Idefics3's longest edge becomes that of its
    tiles, so that an image is one tile. Others state the size that their encoder takes.
    """
    images = processor.image_processor
    if hasattr(images, "merge_size"):
        least, most = images.size["shortest_edge"], images.size["longest_edge"]
        images.size = {"shortest_edge": min(least, size**2), "longest_edge": max(most, size**2)}
    elif getattr(images, "max_image_size", None) is not None:
        images.size = {"longest_edge": size}
