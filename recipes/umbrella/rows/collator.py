"""Examples → one batch, for any processor. Decides by shape, never by model."""

from typing import Any

import numpy as np
import torch
from torch.nn.functional import pad

from umbrella.conversations.ignore_index import IGNORE_INDEX

# Only the width of rows matters for speed on tensor cores; the mask says what is real.
PAD_TO_MULTIPLE_OF = 8
NOT_TENSORS = ("metadata", "task_id")
NAMES = ("task_ids", "metadata")  # what `keep_metadata` adds to a batch


class ConversationCollator:
    """Pads examples of `ConversationTransform` and joins their images.

    Args:
        processor: gives the pad token.
        padding: "longest" (the longest row, rounded up to 8) or an int, the width of every batch.
        padding_side: "right" in training, "left" in generation.
        keep_metadata: add `metadata` and `task_ids` (lists) to the batch; a model does not take them.

    Input, a list of B examples: `input_ids`, `attention_mask`, `labels` and other keys of the same length T_i;
    image keys as tensors whose first axis counts images or patches, or None for a row without scans.

    Returns a plain dict: `input_ids`, `attention_mask`, `labels`, ... (B, T), int64; `pixel_values` and the other
    image keys with the images of all rows, (n_images, 3, H, W) for LLaVA, (1, n_images, 3, H, W) for Idefics3;
    absent when no row has a scan.

    Raises ValueError for a row that is longer than the fixed width.
    """

    def __init__(
        self, processor: Any, padding: str | int = "longest", padding_side: str = "right", keep_metadata: bool = False
    ) -> None:
        if padding_side not in ("left", "right"):
            raise ValueError(f"padding_side: expected left or right, found {padding_side!r}")
        if padding != "longest" and not isinstance(padding, int):
            raise ValueError(f'padding: expected "longest" or a number of tokens, found {padding!r}')
        self.padding, self.padding_side, self.keep_metadata = padding, padding_side, keep_metadata
        tokenizer = processor.tokenizer
        pad_token_id = tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id
        self.fill = {"input_ids": pad_token_id, "labels": IGNORE_INDEX}  # all else with 0
        self.joined_on_axis_1 = _keys_with_row_axis(processor)

    def __call__(self, examples: list[dict]) -> dict:
        keys = dict.fromkeys(
            key for e in examples for key, value in e.items() if key not in NOT_TENSORS and value is not None
        )
        longest = max(len(example["input_ids"]) for example in examples)
        rounded = -(-longest // PAD_TO_MULTIPLE_OF) * PAD_TO_MULTIPLE_OF
        width = rounded if isinstance(self.padding, str) else self.padding
        if longest > width:
            raise ValueError(f"padding: expected rows of at most {width} tokens, found one of {longest}")
        batch = {}
        for key in keys:
            values = [example[key] for example in examples if example.get(key) is not None]
            if not isinstance(values[0], torch.Tensor):
                batch[key] = torch.stack([self._pad(key, value, width) for value in values])
            else:
                batch[key] = torch.cat(values, dim=1) if key in self.joined_on_axis_1 else _join_images(values)
        if self.keep_metadata:
            batch["metadata"] = [example["metadata"] for example in examples]
            batch["task_ids"] = [example["task_id"] for example in examples]
        return batch

    def _pad(self, key: str, values: list[int], width: int) -> torch.Tensor:
        missing = width - len(values)
        sides = (missing, 0) if self.padding_side == "left" else (0, missing)
        return pad(torch.tensor(values), sides, value=self.fill.get(key, 0))


def _join_images(values: list[torch.Tensor]) -> torch.Tensor:
    """Images of all rows on axis 0. Where an image is several tiles (5-D: images, tiles, 3, H, W), those with fewer
    are filled up with zeros, as the processors do within one call: LLaVA-OneVision tiles the only image of a row, and
    several of a row not. The model tells from `image_sizes` how many are real."""
    if values[0].ndim == 5:
        most = max(value.shape[1] for value in values)
        values = [pad(value, (0, 0, 0, 0, 0, 0, 0, most - value.shape[1])) for value in values]
    return torch.cat(values)


def _keys_with_row_axis(processor: Any) -> set[str]:
    """Image keys whose first axis is the row, not the image: two images of one row give it a length of 1. A row's own
    shape cannot tell: one image cut into five (LLaVA-NeXT) looks like five images of a row (Idefics3)."""
    if "image_sizes" in processor.image_processor.model_input_names:  # volumes, packed: no axis is the row's
        return set()
    blank = np.zeros((64, 64, 3), np.uint8)
    images = processor.image_processor([[blank, blank]], return_tensors="pt").items()
    return {key for key, value in images if value.ndim > 1 and len(value) == 1}


def without_names(batch: dict) -> dict:
    """A batch without what tells its rows' names: as a model takes it."""
    return {key: value for key, value in batch.items() if key not in NAMES}
