"""Batches of rows of about the same length, told from the rows' `length`: no scan is loaded for it."""

from collections.abc import Callable, Iterator

import torch
from datasets import Dataset
from torch.utils.data import Sampler
from transformers.trainer_pt_utils import get_length_grouped_indices


class LengthGroupedOrder(Sampler[int]):
    """The rows in transformers' length-grouped order: shuffled, then sorted within every 50 batches.

    transformers' own sampler goes on with one random generator from epoch to epoch, so a resumed run, or one rank of
    several, can come to another order; here the order is a function of seed and epoch alone.

    Args:
        lengths: of each row.
        batch_size: rows that are wanted alike.
        epoch: called when an epoch begins; returns its number.
    """

    def __init__(self, lengths: list[int], batch_size: int, seed: int, epoch: Callable[[], int]):
        self.lengths, self.batch_size, self.seed, self.epoch = lengths, batch_size, seed, epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed + self.epoch())
        return iter(get_length_grouped_indices(self.lengths, self.batch_size, generator=generator))


def read_lengths(rows: Dataset) -> list[int]:
    """The `length` of every row, past the transform that the rows may have."""
    return list(rows.with_format(None)["length"])
