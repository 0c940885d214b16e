"""Subject ids that two cohorts have: whom they mean, and that no one is in two splits."""

from collections.abc import Iterable, Mapping
from itertools import combinations

import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset, DatasetDict

from umbrella.files.data_format import SPLITS
from umbrella.options.data.cohort_flags import DIFFERENT, SAME
from umbrella.rows.cohort_names import read_whole, replace_columns


def order_split(split: str) -> int:
    """From what is learned of to what is held out furthest."""
    return SPLITS.index(split) if split in SPLITS else len(SPLITS)


def check_subjects(
    splits_of: Mapping[str, DatasetDict], same_ids: str | None
) -> tuple[dict[str, DatasetDict], list[str]]:
    """The cohorts with their subjects apart, as `same_ids` says of ids that two of them have, and what is to be said.

    Raises ValueError for an id in two splits of two cohorts where `same_ids` is None.
    """
    splits_by_id = _find_shared_ids(splits_of)
    if not splits_by_id:
        return dict(splits_of), []
    across = {one: splits for one, splits in splits_by_id.items() if len(splits) > 1}
    shown = f"{len(splits_by_id)} subject ids are in more than one cohort, as {_show(splits_by_id)}"
    if same_ids == DIFFERENT:
        renamed = {
            name: DatasetDict({split: _rename_ids(rows, name, splits_by_id) for split, rows in of.items()})
            for name, of in splits_of.items()
        }
        return renamed, [f"{shown}: by --same_ids {DIFFERENT} other people in each, NAME/id"]
    if same_ids is None and across:
        raise ValueError(
            f"cohorts: expected each subject in one split, found {len(across)} ids in other splits of another cohort, "
            f"as {_show(across)}. Are they other people? --same_ids {DIFFERENT}. The same? --same_ids {SAME} keeps "
            "their rows in the split furthest from training, and leaves the others out"
        )
    said = [f"{shown}: taken for the same people" + (f" (others: --same_ids {DIFFERENT})" if same_ids is None else "")]
    if not across:
        return dict(splits_of), said
    kept, n_left_out = _keep_furthest(splits_of, across)
    return kept, [*said, f"left out: {n_left_out} rows of {len(across)} people who are in a later split too"]


def _show(ids: Iterable[str]) -> str:
    return ", ".join(repr(one) for one in sorted(ids)[:3])


def _find_shared_ids(splits_of: Mapping[str, DatasetDict]) -> dict[str, set[str]]:
    """The ids that two cohorts have → all splits that they are in."""
    ids = {(name, split): _ids_of(rows) for name, of in splits_of.items() for split, rows in of.items()}
    of_cohort = [set().union(*(found for (one, _), found in ids.items() if one == name)) for name in splits_of]
    shared = set().union(*(one & other for one, other in combinations(of_cohort, 2)))
    return {one: {split for (_, split), found in ids.items() if one in found} for one in shared}


def _ids_of(rows: Dataset) -> set[str]:
    """All subjects of the rows, references included."""
    table = read_whole(rows, ("subject_ids", "metadata"))
    metadata = table["metadata"].combine_chunks()
    columns = [pc.list_flatten(table["subject_ids"]), metadata.field("subject_id"), metadata.field("reference_id")]
    return set().union(*(pc.unique(column).to_pylist() for column in columns)) - {None}


def _rename_ids(rows: Dataset, name: str, ids: Iterable[str]) -> Dataset:
    """The rows with NAME/id in the place of these ids."""
    shared = pa.array(sorted(ids), pa.string())

    def rename(column: pa.Array) -> pa.Array:
        own = pc.binary_join_element_wise(f"{name}/", column, "")
        return pc.if_else(pc.is_in(column, value_set=shared), own, column)

    table = read_whole(rows, ("subject_ids", "metadata"))
    lists, metadata = table["subject_ids"].combine_chunks(), table["metadata"].combine_chunks()
    offsets = pc.subtract(lists.offsets, lists.offsets[0])
    subject_ids = pa.ListArray.from_arrays(offsets, rename(lists.flatten()))
    names = [field.name for field in metadata.type]
    columns = [
        rename(metadata.field(field)) if field in ("subject_id", "reference_id") else metadata.field(field)
        for field in names
    ]
    return replace_columns(rows, {"subject_ids": subject_ids, "metadata": pa.StructArray.from_arrays(columns, names)})


def _keep_furthest(
    splits_of: Mapping[str, DatasetDict], across: Mapping[str, set[str]]
) -> tuple[dict[str, DatasetDict], int]:
    """Without the rows of people who are in a later split too, and how many rows these were."""
    kept: dict[str, DatasetDict] = {}
    n_left_out = 0
    for name, of in splits_of.items():
        left = {}
        for split, rows in of.items():
            later = {one for one, splits in across.items() if max(map(order_split, splits)) > order_split(split)}
            own = [i for i, row in enumerate(_list_ids(rows)) if later.isdisjoint(row)]
            n_left_out += len(rows) - len(own)
            if own:
                left[split] = rows if len(own) == len(rows) else rows.select(own)
        kept[name] = DatasetDict(left)
    return kept, n_left_out


def _list_ids(rows: Dataset) -> list[set[str | None]]:
    table = read_whole(rows, ("subject_ids", "metadata"))
    metadata = table["metadata"].combine_chunks()
    pairs = zip(
        table["subject_ids"].to_pylist(),
        metadata.field("subject_id").to_pylist(),
        metadata.field("reference_id").to_pylist(),
        strict=True,
    )
    return [{*ids, subject, reference} for ids, subject, reference in pairs]
