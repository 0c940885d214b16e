"""Rows of one of several cohorts: its name in `task_id`, `source` and `metadata`."""

import json
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset

COHORT, OWN_COHORT = "cohort", "cohort_in_folder"  # in the metadata; the second of rows that had the first themselves


def name_rows(rows: Dataset, name: str) -> Dataset:
    """The rows of a cohort with its name in `task_id`, `source` and `metadata`."""
    table = read_whole(rows, ("task_id", "source", "metadata"))
    task_ids = pc.binary_join_element_wise(f"{name}/", table["task_id"], "")
    sources = pc.binary_join_element_wise(f"{name}: ", table["source"], "")
    return replace_columns(
        rows, {"task_id": task_ids, "source": sources, "metadata": _add_name(table["metadata"], name)}
    )


def cohorts_of(rows: Dataset, names: Sequence[str]) -> np.ndarray:
    """(n,) int64: which of the names each joined row's cohort has."""
    first = pc.list_element(pc.split_pattern(read_whole(rows, ("task_id",))["task_id"], "/", max_splits=1), 0)
    return pc.index_in(first, value_set=pa.array(names, pa.string())).to_numpy().astype(np.int64)


def cohort_of(task_id: str) -> str:
    """The name of a joined row's cohort."""
    return task_id.partition("/")[0]


def _add_name(metadata: pa.ChunkedArray, name: str) -> pa.Array:
    """`extra` is the JSON text of an object, as the builder writes it: "{}", or '{"age": 45}'."""
    fields = metadata.combine_chunks()
    extra = pc.fill_null(fields.field("extra"), "{}")
    key = f'"{COHORT}": '
    if (has_key := pc.match_substring(extra, key)).true_count:
        extra = pc.replace_with_mask(extra, has_key, pa.array(map(_rename_own, extra.filter(has_key).to_pylist())))
    stated = key + json.dumps(name, ensure_ascii=False)
    rest = pc.utf8_slice_codeunits(extra, 1)
    extra = pc.if_else(pc.equal(extra, "{}"), f"{{{stated}}}", pc.binary_join_element_wise(f"{{{stated}, ", rest, ""))
    names = [field.name for field in fields.type]
    columns = [extra if field == "extra" else fields.field(field) for field in names]
    return pa.StructArray.from_arrays(columns, names)


def _rename_own(extra: str) -> str:
    entry = json.loads(extra)
    renamed = {OWN_COHORT if key == COHORT else key: value for key, value in entry.items()}
    return json.dumps(renamed, ensure_ascii=False) if COHORT in entry else extra


def have_own_cohort(rows: Dataset) -> bool:
    """Whether some of the named rows had a metadata.cohort of their own."""
    extra = read_whole(rows, ("metadata",))["metadata"].combine_chunks().field("extra")
    return pc.match_substring(extra, f'"{OWN_COHORT}": ').true_count > 0


def read_whole(rows: Dataset, columns: Sequence[str]) -> pa.Table:
    """Columns as Arrow has them, past a format and a transform that the rows may have."""
    return rows.select_columns(list(columns)).with_format("arrow")[:]


def replace_columns(rows: Dataset, columns: Mapping[str, pa.Array | pa.ChunkedArray]) -> Dataset:
    """The rows with other columns under the same names; the others stay where they lie, on disk."""
    rows = rows.remove_columns(list(columns))
    for name, column in columns.items():
        rows = rows.add_column(name, column)
    return rows
