"""Columns of very many rows, a thousand rows at a time, as Arrow holds them: a loop over rows in Python costs minutes
for a million of them, their table in memory gigabytes."""

import pickle
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

ROWS_AT_ONCE = 1000
ROWS_MAPPED = 1 << 18  # as many rows' pages of a file count as this process's memory at once


def read_tables(rows: Any, columns: Sequence[str]) -> Iterator[pa.Table]:
    """The columns of the rows of a `datasets.Dataset`, in their order and past its format, as tables of at most 1,000
    rows, each column one chunk.

    A dataset that lies in files is mapped anew for each part that is read, and the mapping is given up behind it: the
    pages that were looked at are then no longer counted with this process.
    """
    plain = rows.with_format("arrow").select_columns(list(columns))
    for start in range(0, len(plain), ROWS_MAPPED):
        part = plain.select(range(start, min(start + ROWS_MAPPED, len(plain))))
        if part.cache_files:
            part = pickle.loads(pickle.dumps(part))
        for table in part.iter(ROWS_AT_ONCE):
            yield table.combine_chunks()


def read_column(table: pa.Table, name: str) -> pa.Array:
    """A column of a table of `read_tables` as one array."""
    column = table.column(name)
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def read_field(structs: pa.Array, name: str) -> pa.Array:
    """A field of an array of structs; of null, and of structs without it, texts that are null."""
    has_it = pa.types.is_struct(structs.type) and structs.type.get_field_index(name) >= 0
    field = pc.struct_field(structs, name) if has_it else None
    return pa.nulls(len(structs), pa.string()) if field is None or pa.types.is_null(field.type) else field


def regroup(lists: pa.Array, values: pa.Array, kept: np.ndarray | None = None) -> pa.Array:
    """Lists of `values`, which stand for the elements of `lists`, one each; what is null is an empty list.

    kept  (n,) which elements the lists hold; None: all
    """
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    if kept is not None:
        lengths = np.bincount(pc.list_parent_indices(lists).to_numpy()[kept], minlength=len(lists))
        values = values.filter(pa.array(kept))
    return pa.ListArray.from_arrays(pa.array(_to_offsets(lengths), pa.int32()), values)


def find_last(lists: pa.Array) -> np.ndarray:
    """(n,) the place, among all elements, of the last one of each list; -1 of an empty one."""
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    return np.where(lengths > 0, _to_offsets(lengths)[1:] - 1, -1)


def take_or_null(values: pa.Array, places: np.ndarray) -> pa.Array:
    """The values at these places; null at -1."""
    return values.take(pa.array(places, pa.int64(), mask=places < 0))


def _to_offsets(lengths: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
