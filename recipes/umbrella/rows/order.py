"""Which row comes when: every row once an epoch over all processes, whatever their number.

Where the rows do not fill the last batch of each process, blank rows do (`umbrella.rows.blank_rows`); accelerate would
repeat the first rows of the epoch instead.
"""

from collections.abc import Callable, Iterator

import torch
from datasets import Dataset
from torch.utils.data import Sampler
from transformers.trainer_pt_utils import get_length_grouped_indices


class RowOrder(Sampler[int]):
    """The rows' indices in the order of an epoch; indices from `n_rows` on stand for blank rows.

    transformers' own samplers go on with one random generator from epoch to epoch, so a resumed run, or one rank of
    several, can come to another order; here the order is a function of seed and epoch alone, and the rows of a step
    are the same for any division of it into processes and accumulated batches.

    Args:
        n_rows: how many there are.
        strategy: "random", "sequential", or "group_by_length": shuffled, then sorted within every 50 steps.
        rows_a_step: over all processes and accumulated batches; with "group_by_length" these are wanted alike.
        rows_a_batch: over all processes; the order is filled up to a multiple of it, or with `drop_last` cut down.
        epoch: called when an epoch begins; returns its number.
        lengths: of each row, for "group_by_length".
    """

    def __init__(
        self,
        n_rows: int,
        strategy: str,
        rows_a_step: int,
        rows_a_batch: int,
        seed: int,
        epoch: Callable[[], int],
        drop_last: bool = False,
        lengths: list[int] | None = None,
    ):
        self.n_rows, self.strategy, self.rows_a_step, self.seed = n_rows, strategy, rows_a_step, seed
        self.epoch, self.lengths = epoch, lengths
        n_batches = n_rows // rows_a_batch if drop_last else -(-n_rows // rows_a_batch)
        self.length = n_batches * rows_a_batch

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed + self.epoch())
        if self.strategy == "group_by_length":
            order = get_length_grouped_indices(self.lengths, self.rows_a_step, generator=generator)
        elif self.strategy == "sequential":
            order = list(range(self.n_rows))
        else:
            order = torch.randperm(self.n_rows, generator=generator).tolist()
        return iter([*order, *range(self.n_rows, self.length)][: self.length])


def read_lengths(rows: Dataset) -> list[int]:
    """The `length` of every row, past the transform that the rows may have."""
    return list(rows.with_format(None)["length"])
