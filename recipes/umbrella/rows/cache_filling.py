"""Decoding all scans of a dataset into the cache ahead of training, by DataLoader workers."""

import random
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from datasets import Dataset as HubDataset
from datasets import DatasetDict
from torch.utils.data import DataLoader, Dataset

from umbrella.files.contained_files import RemoteError, find_elsewhere, find_packed
from umbrella.files.shards.reading import fetch_ahead
from umbrella.files.written_files import WriteError
from umbrella.rows.scan_list import Place
from umbrella.scans.scan_files import find_source
from umbrella.scans.volumes import ScanError
from umbrella.views.loading import load_view
from umbrella.views.settings import ViewSettings
from umbrella.views.volume_cache import VolumeCache

MOST_AHEAD = 4  # scans of a store that a worker fetches while it decodes one


class Outcome(NamedTuple):
    """What became of a scan: `n_bytes` of its entry, 0 without one; `is_new` if it was decoded for it now; `problem`
    if it cannot be read."""

    n_bytes: int = 0
    is_new: bool = False
    problem: str | None = None


class PlacedScans(Dataset, ABC):
    """Number → (number, what `look` finds of the scan at that place)."""

    def __init__(self, splits: Mapping[str, HubDataset], places: Sequence[Place]) -> None:
        self.splits = {name: rows.with_format(None) for name, rows in splits.items()}
        self.places = places
        self.after: dict[int, int] = {}
        self.elsewhere = find_elsewhere()  # goes along into workers that are not forked
        self.packed = find_packed()  # likewise, after what it may lie on

    @abstractmethod
    def look(self, row: dict, number: int) -> Any:
        """What there is to say of one scan of a row."""

    def wants(self, row: dict, number: int) -> bool:
        """Whether a scan will be read, so that one in a store may be fetched ahead."""
        return True

    def follow(self, order: Sequence[int], step: int) -> None:
        """Know in which order the places come, and that this worker gets about every `step`th of them."""
        self.after = dict(zip(order, range(len(order)), strict=True)) if find_elsewhere() else {}
        self.order, self.step = order, max(1, step)

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> tuple:
        self._fetch_ahead(index)
        split, row, number = self.places[index]
        return index, self.look(self.splits[split][row], number)

    def _fetch_ahead(self, index: int) -> None:
        """Begin with the scans after this one that lie in a store. A wrong guess costs a fetch, which is not lost."""
        if index not in self.after:
            return
        start = self.after[index] + self.step
        for place in self.order[start : start + self.step * MOST_AHEAD : self.step]:
            split, row, number = self.places[place]
            found = self.splits[split][row]
            if (path := found["images"][number]["path"]) and self.wants(found, number):
                fetch_ahead([path])


def look_at_all(
    scans: PlacedScans, num_workers: int, order: Sequence[int] | None = None, in_order: bool = False
) -> Iterator[tuple]:
    """The items of all places, as they come, or in the order asked for."""
    scans.follow(range(len(scans)) if order is None else order, num_workers)
    # Workers of a DataLoader end with the process that started them, also when it is killed.
    yield from DataLoader(
        scans, batch_size=None, sampler=order, num_workers=num_workers, collate_fn=_as_it_is, in_order=in_order
    )


def _as_it_is(item: tuple) -> tuple:
    return item


class CachedScans(PlacedScans):
    """Place by place, what becomes of a scan that is brought into the cache: an `Outcome`.

    Args:
        settings: as the transform will ask for them.

    Raises WriteError when the cache cannot be written any more, RemoteError for a store that gives no answer.
    """

    def __init__(
        self, splits: DatasetDict, places: Sequence[Place], cache: VolumeCache, settings: ViewSettings
    ) -> None:
        super().__init__(splits, places)
        self.cache, self.settings = cache, settings

    def wants(self, row: dict, number: int) -> bool:
        try:
            key = self._make_key(row["images"][number])
        except (ScanError, RemoteError):  # said when it is looked at
            return False
        return key is not None and not self.cache.entry_size(key)

    def _make_key(self, scan: dict) -> str | None:
        options = {"modality": scan["modality"], **self.settings.stated()}
        return self.cache.make_key(load_view, find_source(scan), **options)

    def look(self, row: dict, number: int) -> Outcome:
        scan = row["images"][number]
        source, options = find_source(scan), {"modality": scan["modality"], **self.settings.stated()}
        try:
            key = self._make_key(scan)
            if key is not None and (n_bytes := self.cache.entry_size(key)):
                return Outcome(n_bytes)
            self.cache.load(load_view, source, **options)
        except ScanError as error:
            return Outcome(problem=f"{row['source']}: {error}")
        if not self.cache.is_writable:
            raise WriteError(
                f"{self.cache.folder}: expected a folder with room to write to, found that it {self.cache.fault}. "
                "Free some space, or choose another --volume_cache"
            )
        return Outcome(self.cache.entry_size(key), is_new=True)


def fill_cache(scans: CachedScans, num_workers: int) -> Iterator[Outcome]:
    """The outcomes of all scans, as they come."""
    # In an order that differs from process to process: two that fill one folder then seldom meet at a scan.
    order = random.SystemRandom().sample(range(len(scans)), len(scans))
    yield from (outcome for _, outcome in look_at_all(scans, num_workers, order))
