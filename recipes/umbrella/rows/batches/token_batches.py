"""Batches of as many rows as fit into a number of tokens, each row once an epoch, whatever the number of processes.

A batch takes rows × the longest of them, rounded up as the collator pads: its padding counts. Rows stand by length,
and a batch takes its rows from those of nearly one length, drawn anew each epoch. How many batches there are follows
from the lengths alone, not from the draw, since the Trainer asks once, for all epochs.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice

import numpy as np
import torch
import xxhash
from datasets import Dataset
from torch.utils.data import Sampler

from umbrella.rows.batches.repeats import count_repeats
from umbrella.rows.collator import PAD_TO_MULTIPLE_OF

RATIO = 1.08  # of the longest to the shortest length that are drawn together


def round_up(lengths: np.ndarray | Sequence[int]) -> np.ndarray:
    """Lengths as the collator pads them."""
    return -(-np.asarray(lengths, np.int64) // PAD_TO_MULTIPLE_OF) * PAD_TO_MULTIPLE_OF


def check_budget(rows: Dataset, lengths: np.ndarray, tokens_a_batch: int) -> None:
    """Raise ValueError where a row alone is more than a batch may have; names it and the least number that would do.

    lengths  tokens of each row
    """
    padded = round_up(lengths)
    longest, n_above = int(padded.argmax()), int((padded > tokens_a_batch).sum())
    if n_above:
        source = rows.with_format(None)[longest]["source"]
        others = f"; {n_above} rows have more" if n_above > 1 else ""
        raise ValueError(
            f"--tokens_per_batch: expected every row within {tokens_a_batch} tokens, found about {padded[longest]} in "
            f"{source}{others}. Set it to {padded[longest]} or more, or use a lower --max_length, or fewer or smaller "
            "scans"
        )


@dataclass(frozen=True)
class Group:
    """Rows `start` to `stop` of those by length, the longest first, dealt out evenly to `n_batches`."""

    start: int
    stop: int
    n_batches: int

    @property
    def most_rows(self) -> int:
        """Of a batch."""
        return -(-(self.stop - self.start) // self.n_batches)


def group_lengths(descending: np.ndarray, tokens_a_batch: int) -> list[Group]:
    """The fewest batches of rows of nearly one length: the last batch of a group is filled up with rows that are
    shorter, so only the very last one is not full.

    descending  lengths as they are padded, the longest first
    """
    groups, start, n_rows = [], 0, len(descending)
    while start < n_rows:
        longest = int(descending[start])
        rows_a_batch = tokens_a_batch // longest
        alike = int(np.searchsorted(-descending, -longest / RATIO, side="left")) - start
        n_batches = -(-alike // rows_a_batch)
        stop = min(start + n_batches * rows_a_batch, n_rows)
        groups.append(Group(start, stop, n_batches))
        start = stop
    return groups


def split_groups(groups: list[Group], n_batches: int) -> list[Group]:
    """The groups cut into `n_batches` in all, or into as many as there are rows: more and more batches where they have
    most rows."""
    groups, n_now = list(groups), sum(group.n_batches for group in groups)
    while n_now < n_batches:
        number = max(range(len(groups)), key=lambda i: (groups[i].most_rows, -i))
        group = groups[number]
        if group.most_rows == 1:
            break
        groups[number] = Group(group.start, group.stop, group.n_batches + 1)
        n_now += 1
    return groups


class TokenPlan:
    """How many batches an epoch has, and of which lengths.

    Args:
        lengths: tokens of each row, about; none above `tokens_a_batch`, see `check_budget`.
        scans: those of them that are scans'.
        tokens_a_batch: most tokens of a batch, padding counted.
        batches_a_step: over all processes and accumulated ones. An epoch has a multiple of it: batches are cut in two
            as often as needed, so that no step lacks any. Of fewer rows than that, the rest are blank ones.
        draw: (epoch) → the rows of that epoch, where they are not each once: as many in every epoch, but of other
            lengths. Then `cover` says for how many epochs there must be batches enough.
    """

    def __init__(
        self,
        lengths: np.ndarray | Sequence[int],
        scans: np.ndarray | Sequence[int],
        tokens_a_batch: int,
        batches_a_step: int,
        draw: Callable[[int], Sequence[int] | torch.Tensor] | None = None,
    ) -> None:
        self.lengths, self.scans = round_up(lengths), np.asarray(scans, np.int64)
        self.tokens_a_batch, self.batches_a_step = tokens_a_batch, batches_a_step
        self.draw, self.n_batches, self._n_covered = draw, 0, 0
        self.cover(1)

    def cover(self, n_epochs: int) -> None:
        """Have batches enough for the rows of so many epochs."""
        for epoch in range(self._n_covered, n_epochs if self.draw else 1):
            n_batches = sum(group.n_batches for group in self._group(epoch)[1])
            self.n_batches = max(self.n_batches, -(-n_batches // self.batches_a_step) * self.batches_a_step)
            self._n_covered = epoch + 1

    def cover_steps(self, n_steps: int) -> None:
        """Have batches enough for the rows of so many steps of the optimizer."""
        while self._n_covered * self.n_steps < n_steps and self.draw:
            self.cover(self._n_covered + 1)

    @property
    def n_steps(self) -> int:
        """Of the optimizer, in an epoch."""
        return self.n_batches // self.batches_a_step

    def record(self) -> dict:
        """What the batches follow from beside seed and epoch: with another, a run that goes on would skip other rows
        than it has seen."""
        return {
            "tokens_a_batch": self.tokens_a_batch,
            "batches_a_step": self.batches_a_step,
            "batches_an_epoch": self.n_batches,
            "lengths_xxh3_128": xxhash.xxh3_128_hexdigest(self.lengths.astype("<i8").tobytes()),
        }

    def batches(self, seed: int, epoch: int) -> list[list[int]]:
        """The rows of each batch of an epoch, in order: the same for any division of a step's batches. Indices from
        the number of rows on stand for blank rows.

        The first epoch begins with the batch that has most tokens, and then the one that has most of scans, which may
        be many short rows: what memory cannot hold is found at once.
        """
        if self.draw and epoch >= self._n_covered:
            raise ValueError(f"epoch: expected one of the first {self._n_covered}, which are planned, found {epoch}")
        generator = torch.Generator().manual_seed(seed + epoch)
        rows, groups = self._group(epoch)
        groups = split_groups(groups, self.n_batches)
        # By length and, of one length, by chance; then each group in an order of its own.
        chance = torch.randperm(len(rows), generator=generator).numpy()
        rows = rows[chance][np.argsort(-self.lengths[rows[chance]], kind="stable")]
        batches: list[list[int]] = []
        for group in groups:
            order = torch.randperm(group.stop - group.start, generator=generator).numpy()
            parts = np.array_split(rows[group.start : group.stop][order], group.n_batches)
            batches += [part.tolist() for part in parts]
        n_rows = len(self.lengths)
        batches += [[n_rows + number] for number in range(self.n_batches - len(batches))]
        batches = [batches[i] for i in torch.randperm(len(batches), generator=generator).tolist()]
        return self._put_widest_first(batches) if epoch == 0 else batches

    def describe(self) -> str:
        """A line for a person."""
        batches = self.batches(seed=0, epoch=0)
        sizes = [len(batch) for batch in batches]
        longest = [self._find_longest(batch) for batch in batches]
        padded = sum(size * length for size, length in zip(sizes, longest, strict=True))
        real = sum(int(self.lengths[batch].sum()) for batch in batches if batch[0] < len(self.lengths))
        rows = f"{min(sizes)} to {max(sizes)} rows" if len(set(sizes)) > 1 else _count(sizes[0], "row", "rows")
        most_tokens = max(map(math.prod, zip(sizes, longest, strict=True)))
        return (
            f"--tokens_per_batch {self.tokens_a_batch}: an epoch has {_count(len(batches), 'batch', 'batches')} in "
            f"{_count(self.n_steps, 'step', 'steps')}; a batch has {rows}, {np.mean(sizes):.1f} on average, and at "
            f"most {most_tokens} tokens, {1 - real / padded:.1%} of all padding (lengths are estimates)"
        )

    def _group(self, epoch: int) -> tuple[np.ndarray, list[Group]]:
        """The rows of an epoch, and their groups in the order of their lengths."""
        rows = np.arange(len(self.lengths)) if self.draw is None else np.asarray(self.draw(epoch))
        return rows, group_lengths(np.sort(self.lengths[rows])[::-1], self.tokens_a_batch)

    def _find_longest(self, batch: list[int]) -> int:
        return int(self.lengths[batch].max()) if batch[0] < len(self.lengths) else 0

    def _put_widest_first(self, batches: list[list[int]]) -> list[list[int]]:
        longest = [self._find_longest(batch) for batch in batches]
        widest = max(range(len(batches)), key=lambda i: (len(batches[i]) * longest[i], longest[i], -i))
        batches[0], batches[widest] = batches[widest], batches[0]
        if len(batches) > 1:
            scans = [int(self.scans[batch].sum()) if batch[0] < len(self.scans) else 0 for batch in batches]
            fullest = max(range(1, len(batches)), key=lambda i: (scans[i], len(batches[i]), -i))
            batches[1], batches[fullest] = batches[fullest], batches[1]
        return batches


def _count(n: int, one: str, several: str) -> str:
    return f"{n} {one if n == 1 else several}"


class TokenBatches(Sampler[list[int]]):
    """The batches of a plan, over all processes: accelerate deals them out in turn, so that the batches of a step are
    the same for any division of it into processes and accumulated batches. Where an epoch's rows are drawn, indices
    say how often the row came before, see `umbrella.rows.batches.repeats`.

    Args:
        epoch: called when an epoch begins; returns its number.
    """

    def __init__(self, plan: TokenPlan, seed: int, epoch: Callable[[], int]) -> None:
        self.plan, self.seed, self.epoch = plan, seed, epoch

    def __len__(self) -> int:
        return self.plan.n_batches

    def __iter__(self) -> Iterator[list[int]]:
        batches = self.plan.batches(self.seed, self.epoch())
        if self.plan.draw is None:
            return iter(batches)
        rows = count_repeats(chain.from_iterable(batches))
        return (list(islice(rows, len(batch))) for batch in batches)
