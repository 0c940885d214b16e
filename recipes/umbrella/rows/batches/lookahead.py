"""Workers are told which rows they get next, so that scans that lie elsewhere are fetched before they are asked for.

The order of an epoch is known, and so is who gets what: accelerate deals whole batches to the processes in turn, and a
DataLoader deals those of its process to its workers in turn. So the batch that the same worker of the same process
gets next lies a fixed number of batches ahead, wherever the epoch was begun. Hints travel within the indices, through
samplers that know nothing of them; a wrong one costs a fetch, never a row.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from datasets import Dataset
from torch.utils.data import Sampler

from umbrella.rows.batches.repeats import split_index

DEPTH = 2  # batches ahead


class Told(int):
    """A row's index that carries others: those of the rows `ahead` for the worker that gets it."""

    ahead: tuple[int, ...]

    def __new__(cls, index: int, ahead: Iterable[int]) -> "Told":
        told = super().__new__(cls, index)
        told.ahead = tuple(ahead)
        return told

    def __reduce__(self) -> tuple:
        return Told, (int(self), self.ahead)


class Lookahead(Sampler[list[int]]):
    """The batches of a sampler, as they are; the first index of each is a `Told`, of the other rows of its batch and
    of the next `depth` batches of the same worker.

    Args:
        batches: a batch sampler, or a list of lists of indices. Whatever else is asked of this sampler (batch_size,
            drop_last, sampler) is asked of it.
        n_processes: to which whole batches are dealt in turn.
        n_workers: of each process; 0 counts as the process itself.
    """

    def __init__(self, batches: Any, n_processes: int, n_workers: int, depth: int = DEPTH) -> None:
        self.batches, self.stride, self.depth = batches, n_processes * max(1, n_workers), depth

    def __getattr__(self, name: str) -> Any:
        if name == "batches":  # while it is unpickled
            raise AttributeError(name)
        return getattr(self.batches, name)

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[int]]:
        waiting: deque[list[int]] = deque()
        for batch in self.batches:
            waiting.append(list(batch))
            if len(waiting) > self.stride * self.depth:
                yield self._tell(waiting)
                waiting.popleft()
        while waiting:
            yield self._tell(waiting)
            waiting.popleft()

    def _tell(self, waiting: deque[list[int]]) -> list[int]:
        """The first of the batches that wait, told of its own."""
        batch = waiting[0]
        others = (waiting[i] for i in range(self.stride, len(waiting), self.stride))
        return [Told(batch[0], [*batch[1:], *(row for other in others for row in other)]), *batch[1:]]


class Foresight:
    """What a worker does with hints: each row that it is told of is handed on once.

    Args:
        rows: of which the indices are; those behind its end are blank rows.
        prefetch: takes rows (dicts as `rows` holds them), and returns at once.
    """

    def __init__(self, rows: Dataset, prefetch: Callable[[list[dict]], None]) -> None:
        self.rows, self.prefetch = rows.with_format(None), prefetch
        self._told: frozenset[int] = frozenset()

    def hear(self, index: int) -> None:
        """Take the hints of an index, if it has any."""
        if isinstance(index, Told):
            ahead = [split_index(place)[1] for place in index.ahead]
            new = [row for row in dict.fromkeys(ahead) if row not in self._told and row < len(self.rows)]
            self._told = frozenset(ahead)  # windows overlap: what comes has been told of before
            self.prefetch([self.rows[row] for row in new])


def find_prefetch(rows: Dataset) -> Callable[[list[dict]], None] | None:
    """The `prefetch` of the transform that rows have; None where nothing is to be fetched."""
    transform = find_transform(rows)
    return None if getattr(transform, "fetch_ahead", None) is None else transform.prefetch


def find_transform(rows: Dataset) -> Any:
    """What rows go through on access, ours or another; None where nothing is set."""
    return rows.format["format_kwargs"].get("transform")
