"""Which row comes when: every row once an epoch over all processes, whatever their number.

Where the rows do not fill the last batch of each process, blank rows do (`umbrella.rows.batches.blank_rows`);
accelerate would repeat the first rows of the epoch instead.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from datasets import Dataset
from torch.utils.data import Sampler
from transformers.trainer_pt_utils import get_length_grouped_indices

from umbrella.files.arrow_tables import read_column, read_tables
from umbrella.rows.batches.cohorts import Cohorts
from umbrella.rows.batches.repeats import count_repeats


@dataclass(frozen=True)
class BatchSizes:
    """How many rows go together.

    rows_a_step   over all processes and accumulated batches; with "group_by_length" these are wanted alike
    rows_a_batch  over all processes; an order is filled up to a multiple of it, or with `drop_last` cut down
    """

    rows_a_step: int
    rows_a_batch: int
    drop_last: bool = False

    def fit(self, n_rows: int) -> int:
        """How many places an order of so many rows has."""
        n_batches = n_rows // self.rows_a_batch if self.drop_last else -(-n_rows // self.rows_a_batch)
        return n_batches * self.rows_a_batch


class RowOrder(Sampler[int]):
    """The rows' indices in the order of an epoch; indices from `n_rows` on stand for blank rows. Those of cohorts say
    how often the row came before, see `umbrella.rows.batches.repeats`.

    transformers' own samplers go on with one random generator from epoch to epoch, so a resumed run, or one rank of
    several, can come to another order; here the order is a function of seed and epoch alone, and the rows of a step
    are the same for any division of it into processes and accumulated batches.

    Args:
        n_rows: how many there are.
        strategy: "random", "sequential", or "group_by_length": shuffled, then sorted within every 50 steps.
        epoch: called when an epoch begins; returns its number.
        lengths: of each row, for "group_by_length".
        cohorts: which rows an epoch has, and how often; None: every row once. The strategy says in which order.
    """

    def __init__(
        self,
        n_rows: int,
        strategy: str,
        sizes: BatchSizes,
        seed: int,
        epoch: Callable[[], int],
        lengths: list[int] | None = None,
        cohorts: Cohorts | None = None,
    ) -> None:
        self.n_rows, self.strategy, self.sizes, self.seed = n_rows, strategy, sizes, seed
        self.epoch, self.lengths, self.cohorts = epoch, lengths, cohorts
        self.length = sizes.fit(n_rows)

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[int]:
        epoch = self.epoch()
        generator = torch.Generator().manual_seed(self.seed + epoch)
        drawn = None if self.cohorts is None else self.cohorts.draw(self.seed, epoch).tolist()
        rows = range(self.n_rows) if drawn is None else drawn
        if self.strategy == "group_by_length":
            of_all = self.lengths or ()
            lengths = [of_all[row] for row in rows]
            order = [rows[i] for i in get_length_grouped_indices(lengths, self.sizes.rows_a_step, generator=generator)]
        elif self.strategy == "sequential":
            order = sorted(rows)
        else:
            order = drawn or torch.randperm(self.n_rows, generator=generator).tolist()
        places = [*order, *range(self.n_rows, self.length)][: self.length]
        return iter(places) if drawn is None else count_repeats(places)


def read_lengths(rows: Dataset) -> list[int]:
    """The `length` of every row, past the transform that the rows may have."""
    return np.concatenate(
        [read_column(table, "length").to_numpy() for table in read_tables(rows, ["length"])]
    ).tolist()
