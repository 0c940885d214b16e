"""Every scan that rows name, once, where it is first named; of a million rows too."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset

from umbrella.files.arrow_tables import read_column, read_field, read_tables


class Place(NamedTuple):
    """Where a scan stands: the split, the number of its row, the number of the scan in the row."""

    split: str
    row: int
    number: int


class ScanList(Sequence[Place]):
    """The places of scans, in the order of the rows; four numbers a scan in memory, and its path as Arrow holds it.

    splits  the names of the splits, by their number
    scans   path, modality, split (its number), row, number
    """

    def __init__(self, splits: Sequence[str], scans: pa.Table) -> None:
        self.splits, self.scans = tuple(splits), scans
        self._columns = [scans.column(name).to_numpy() for name in ("split", "row", "number")]

    def __len__(self) -> int:
        return len(self.scans)

    @overload
    def __getitem__(self, index: int) -> Place: ...
    @overload
    def __getitem__(self, index: slice) -> "ScanList": ...
    def __getitem__(self, index: int | slice) -> "Place | ScanList":
        if isinstance(index, slice):
            return self.take(np.arange(len(self))[index])
        split, row, number = (int(column[index]) for column in self._columns)
        return Place(self.splits[split], row, number)

    def take(self, numbers: np.ndarray) -> "ScanList":
        """Those of these numbers."""
        return ScanList(self.splits, self.scans.take(pa.array(numbers, pa.int64())))

    def name_all(self) -> Iterator[tuple[str | None, str]]:
        """(path, modality) of each."""
        for batch in self.scans.select(["path", "modality"]).to_batches(max_chunksize=1000):
            yield from zip(*(batch.column(i).to_pylist() for i in range(2)), strict=True)


def list_scans(splits: Mapping[str, Dataset], files_alone: bool = False) -> ScanList:
    """Every scan once: of those of one path and modality the first. Scans without a path are all different.

    files_alone  without the scans whose bytes are in the row
    """
    tables = [
        table
        for number, rows in enumerate(splits.values())
        for table in _list_named(rows, number, files_alone)
        if len(table)
    ]
    scans = pa.concat_tables(tables) if tables else _to_table(*[[]] * 5)
    scans = scans.append_column("place", pa.array(np.arange(len(scans))))
    has_path = pc.fill_null(pc.not_equal(scans.column("path"), ""), False)
    named = scans.select(["path", "modality", "place"]).filter(has_path)
    first = named.group_by(["path", "modality"], use_threads=False).aggregate([("place", "min")])
    unnamed = scans.column("place").filter(pc.invert(has_path))
    places = np.sort(np.concatenate([first.column("place_min").to_numpy(), unnamed.to_numpy()]))
    return ScanList(list(splits), scans.drop_columns("place").take(pa.array(places)))


def _list_named(rows: Dataset, split: int, files_alone: bool) -> Iterator[pa.Table]:
    """All scans of a split, as often as they are named."""
    start = 0
    for table in read_tables(rows, ["images"]):
        images = read_column(table, "images")
        scans, row = images.flatten(), pc.list_parent_indices(images).to_numpy().astype(np.int64)
        number = np.arange(len(row)) - np.searchsorted(row, row)
        named = _to_table(
            pc.struct_field(scans, "path").cast(pa.large_string()),
            read_field(scans, "modality").cast(pa.large_string()),
            np.full(len(row), split, np.int32),
            row + start,
            number,
        )
        yield named.filter(read_field(scans, "bytes").is_null()) if files_alone else named
        start += len(table)


def _to_table(path: list, modality: list, split: list, row: list, number: list) -> pa.Table:
    types = {
        "path": pa.large_string(),
        "modality": pa.large_string(),
        "split": pa.int32(),
        "row": pa.int64(),
        "number": pa.int32(),
    }
    columns = zip((path, modality, split, row, number), types.values(), strict=True)
    return pa.table(
        [column if isinstance(column, pa.Array) else pa.array(column, kind) for column, kind in columns],
        names=list(types),
    )
