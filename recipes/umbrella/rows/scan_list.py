"""Every scan that rows name, once, where it is first named; of a million rows too."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash
from datasets import Dataset

from umbrella.files.arrow_tables import read_column, read_field, read_tables


class Place(NamedTuple):
    """Where a scan stands: the split, the number of its row, the number of the scan in the row."""

    split: str
    row: int
    number: int


class ScanList(Sequence[Place]):
    """The places of scans, in the order of the rows: three numbers a scan in memory, whatever their number.

    splits  name → rows
    places  (n, 3) the number of the split, of the row, of the scan in the row
    """

    def __init__(self, splits: Mapping[str, Dataset], places: np.ndarray) -> None:
        self.splits, self.places = dict(splits), places

    def __len__(self) -> int:
        return len(self.places)

    @overload
    def __getitem__(self, index: int) -> Place: ...
    @overload
    def __getitem__(self, index: slice | np.ndarray) -> "ScanList": ...
    def __getitem__(self, index: int | slice | np.ndarray) -> "Place | ScanList":
        found = self.places[index]
        if found.ndim == 2:
            return ScanList(self.splits, found)
        split, row, number = found.tolist()
        return Place(list(self.splits)[split], row, number)

    def name_all(self) -> Iterator[tuple[str | None, str]]:
        """(path, modality) of each."""
        for split, rows in enumerate(self.splits.values()):
            places = self.places[self.places[:, 0] == split]
            for start, images in _read_images(rows):
                first, last = np.searchsorted(places[:, 1], (start, start + len(images)))
                inside = images.offsets.to_numpy()[places[first:last, 1] - start] - images.offsets[0].as_py()
                chosen = images.flatten().take(pa.array(inside + places[first:last, 2]))
                yield from _name_scans(chosen)


def list_scans(splits: Mapping[str, Dataset], files_alone: bool = False) -> ScanList:
    """Every scan once: of those of one path and modality the first. Scans without a path are all different.

    files_alone  without the scans whose bytes are in the row
    """
    places, digests = [np.zeros((0, 3), np.int64)], [np.zeros((0, 2), np.uint64)]
    for split, rows in enumerate(splits.values()):
        for start, images in _read_images(rows):
            row, scans = pc.list_parent_indices(images).to_numpy().astype(np.int64), images.flatten()
            number = np.arange(len(row)) - np.searchsorted(row, row)
            found = np.stack([np.full(len(row), split), row + start, number], axis=1)
            if files_alone:
                kept = read_field(scans, "bytes").is_null()
                scans, found = scans.filter(kept), found[kept.to_numpy(zero_copy_only=False)]
            digest = b"".join(
                _digest(path, modality) if path else _digest(f"no path {found[i].tolist()}", f"\0{modality}")
                for i, (path, modality) in enumerate(_name_scans(scans))
            )
            places.append(found)
            digests.append(np.frombuffer(digest, np.uint64).reshape(-1, 2))
    all_places, all_digests = np.concatenate(places), np.concatenate(digests)
    order = np.lexsort(all_digests.T)  # which is stable: of equal ones the first comes first
    differs = np.any(all_digests[order][1:] != all_digests[order][:-1], axis=1)
    return ScanList(splits, all_places[np.sort(order[np.concatenate([[True], differs])[: len(order)]])])


def _read_images(rows: Dataset) -> Iterator[tuple[int, pa.ListArray]]:
    """(the number of the first row, its images and those of the next)"""
    start = 0
    for table in read_tables(rows, ["images"]):
        yield start, read_column(table, "images")
        start += len(table)


def _name_scans(scans: pa.StructArray) -> Iterator[tuple[str | None, str]]:
    names = (read_field(scans, name).to_pylist() for name in ("path", "modality"))
    return zip(*names, strict=True)


def _digest(name: str, modality: str) -> bytes:
    """16 bytes that tell a scan from any other; its name in full would be most of the memory of a start."""
    return xxhash.xxh3_128_digest(f"{modality}\0{name}".encode())
