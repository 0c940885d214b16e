"""A row that teaches nothing: one blank scan, no supervised token. It keeps the processes in step.

Processes that train together must run the same parts of the model in every step, or gradients are lost or the run
hangs. A blank row takes the place of a scan where a batch has none, and of a row where the rows do not fill the last
batches. Its tokens carry no loss, so the gradients that it adds are zeros.
"""

import torch
from datasets import Dataset
from torch.nn.functional import pad

from umbrella.rows.batches.lookahead import Foresight, find_transform
from umbrella.rows.batches.repeats import split_index


class FilledRows(torch.utils.data.Dataset):
    """The rows and, behind them, the blank row as often as it is asked for, up to `length`. Of an index that says that
    its row came before in the epoch, see `umbrella.rows.batches.repeats`, the transform is told.

    `foresight`: hears of the rows that come next, see `umbrella.rows.batches.lookahead`.
    """

    def __init__(self, rows: Dataset, blank: dict, length: int, foresight: Foresight | None = None) -> None:
        self.rows, self.blank, self.length, self.foresight = rows, blank, length, foresight

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict:
        if self.foresight is not None:
            self.foresight.hear(index)
        times_before, row = split_index(index)
        if row >= len(self.rows):
            return self.blank
        draws = find_transform(self.rows)
        if not times_before or not hasattr(draws, "times_before"):  # a transform of others
            return self.rows[row]
        draws.times_before = times_before
        try:
            return self.rows[row]
        finally:
            draws.times_before = 0


def add_blank_scan(inputs: dict, blank: dict, fill: dict[str, int]) -> dict:
    """A batch without scans, with the blank row as its last one.

    Args:
        inputs: `input_ids`, `labels`, ... (B, T), no image keys.
        blank: the collated batch of the blank row alone, (1, T₀), with its image keys.
        fill: what a key is padded with, 0 where it is not named.

    Returns the keys of both, (B + 1, max(T, T₀)), and the image keys of the blank row.
    """
    n_rows, width = inputs["input_ids"].shape
    blank_width = blank["input_ids"].shape[1]
    joined = dict(inputs)
    for key, value in blank.items():
        if key not in token_keys(blank):
            joined[key] = value
            continue
        rows = inputs.get(key, value.new_zeros(n_rows, width))
        widest = max(width, blank_width)
        own, added = (pad(part, (0, widest - part.shape[1]), value=fill.get(key, 0)) for part in (rows, value))
        joined[key] = torch.cat([own, added])
    return joined


def token_keys(batch: dict) -> set[str]:
    """The keys that hold one number a token; the others are images, and what tells about them."""
    return {key for key, value in batch.items() if value.shape == batch["input_ids"].shape}
