"""Several cohorts as one data set: rows named for their cohort, subjects and scans apart, other words for labels said.

`task_id` becomes NAME/task_id, `source` "NAME: train/x.json", and `metadata.cohort` is the name, a column to group by.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset, DatasetDict, concatenate_datasets

from umbrella.files.data_format import SPLITS
from umbrella.options.data.cohort_flags import DIFFERENT, SAME
from umbrella.rows.same_scans import check_scans_apart

COHORT, OWN_COHORT = "cohort", "cohort_in_folder"  # in the metadata; the second of rows that had the first themselves
MOST_LABELS = 50  # different ones of a task type; more are no words to compare


def join_cohorts(splits_of: Mapping[str, DatasetDict], same_ids: str | None) -> tuple[DatasetDict, list[str]]:
    """The splits of all cohorts, each with the rows of the cohorts in their order, and what is to be said of them.

    same_ids  whom one subject id in two cohorts means: "different" people, whose ids become NAME/id; the "same"
              person, whose rows are kept in the split furthest from training; None: the same, and no such person is in
              two splits

    Raises ValueError for an id in two splits of two cohorts where `same_ids` is None, FormatError for a scan that is.
    """
    splits_of, said = check_subjects(splits_of, same_ids)
    check_scans_apart(splits_of, same_ids)
    said += [*check_labels(splits_of), *_say_missing(splits_of)]
    named = {name: {split: name_rows(rows, name) for split, rows in of.items()} for name, of in splits_of.items()}
    splits = sorted({split for of in named.values() for split in of}, key=_order)
    joined = {split: concatenate_datasets([of[split] for of in named.values() if split in of]) for split in splits}
    if any(_has_own(rows) for rows in joined.values()):
        said.append(f"rows have a metadata.{COHORT} of their own: it stands in metadata.{OWN_COHORT} now")
    return DatasetDict(joined), said


def _order(split: str) -> int:
    """From what is learned of to what is held out furthest."""
    return SPLITS.index(split) if split in SPLITS else len(SPLITS)


def _say_missing(splits_of: Mapping[str, DatasetDict]) -> list[str]:
    every = {split for of in splits_of.values() for split in of}
    lacking = {name: sorted(every - set(of), key=_order) for name, of in splits_of.items()}
    return [f"cohort {name} has no split {' and no '.join(splits)}" for name, splits in lacking.items() if splits]


# -------------------------------------------------------------------------------------------------- names


def name_rows(rows: Dataset, name: str) -> Dataset:
    """The rows of a cohort with its name in `task_id`, `source` and `metadata`."""
    table = _table(rows, ("task_id", "source", "metadata"))
    task_ids = pc.binary_join_element_wise(f"{name}/", table["task_id"], "")
    sources = pc.binary_join_element_wise(f"{name}: ", table["source"], "")
    return _replace(rows, {"task_id": task_ids, "source": sources, "metadata": _add_name(table["metadata"], name)})


def cohorts_of(rows: Dataset, names: Sequence[str]) -> np.ndarray:
    """(n,) int64: which of the names each joined row's cohort has."""
    first = pc.list_element(pc.split_pattern(_table(rows, ("task_id",))["task_id"], "/", max_splits=1), 0)
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


def _has_own(rows: Dataset) -> bool:
    extra = _table(rows, ("metadata",))["metadata"].combine_chunks().field("extra")
    return pc.match_substring(extra, f'"{OWN_COHORT}": ').true_count > 0


def _table(rows: Dataset, columns: Sequence[str]) -> pa.Table:
    """Columns as Arrow has them, past a format and a transform that the rows may have."""
    return rows.select_columns(list(columns)).with_format("arrow")[:]


def _replace(rows: Dataset, columns: Mapping[str, pa.Array | pa.ChunkedArray]) -> Dataset:
    """The rows with other columns under the same names; the others stay where they lie, on disk."""
    rows = rows.remove_columns(list(columns))
    for name, column in columns.items():
        rows = rows.add_column(name, column)
    return rows


# -------------------------------------------------------------------------------------------------- subjects


def check_subjects(
    splits_of: Mapping[str, DatasetDict], same_ids: str | None
) -> tuple[dict[str, DatasetDict], list[str]]:
    """The cohorts with their subjects apart, as `same_ids` says of ids that two of them have, and what is to be said.

    Raises ValueError as `join_cohorts`.
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
    table = _table(rows, ("subject_ids", "metadata"))
    metadata = table["metadata"].combine_chunks()
    columns = [pc.list_flatten(table["subject_ids"]), metadata.field("subject_id"), metadata.field("reference_id")]
    return set().union(*(pc.unique(column).to_pylist() for column in columns)) - {None}


def _rename_ids(rows: Dataset, name: str, ids: Iterable[str]) -> Dataset:
    """The rows with NAME/id in the place of these ids."""
    shared = pa.array(sorted(ids), pa.string())

    def rename(column: pa.Array) -> pa.Array:
        own = pc.binary_join_element_wise(f"{name}/", column, "")
        return pc.if_else(pc.is_in(column, value_set=shared), own, column)

    table = _table(rows, ("subject_ids", "metadata"))
    lists, metadata = table["subject_ids"].combine_chunks(), table["metadata"].combine_chunks()
    offsets = pc.subtract(lists.offsets, lists.offsets[0])
    subject_ids = pa.ListArray.from_arrays(offsets, rename(lists.flatten()))
    names = [field.name for field in metadata.type]
    columns = [
        rename(metadata.field(field)) if field in ("subject_id", "reference_id") else metadata.field(field)
        for field in names
    ]
    return _replace(rows, {"subject_ids": subject_ids, "metadata": pa.StructArray.from_arrays(columns, names)})


def _keep_furthest(
    splits_of: Mapping[str, DatasetDict], across: Mapping[str, set[str]]
) -> tuple[dict[str, DatasetDict], int]:
    """Without the rows of people who are in a later split too, and how many rows these were."""
    kept: dict[str, DatasetDict] = {}
    n_left_out = 0
    for name, of in splits_of.items():
        left = {}
        for split, rows in of.items():
            later = {one for one, splits in across.items() if max(map(_order, splits)) > _order(split)}
            own = [i for i, row in enumerate(_list_ids(rows)) if later.isdisjoint(row)]
            n_left_out += len(rows) - len(own)
            if own:
                left[split] = rows if len(own) == len(rows) else rows.select(own)
        kept[name] = DatasetDict(left)
    return kept, n_left_out


def _list_ids(rows: Dataset) -> list[set[str | None]]:
    table = _table(rows, ("subject_ids", "metadata"))
    metadata = table["metadata"].combine_chunks()
    pairs = zip(
        table["subject_ids"].to_pylist(),
        metadata.field("subject_id").to_pylist(),
        metadata.field("reference_id").to_pylist(),
        strict=True,
    )
    return [{*ids, subject, reference} for ids, subject, reference in pairs]


# -------------------------------------------------------------------------------------------------- labels


def check_labels(splits_of: Mapping[str, DatasetDict]) -> list[str]:
    """A sentence for each task type whose labels two cohorts write in other words: "male" and "Male", or with none in
    common. Numbers are no words."""
    words: dict[str, dict[str, set[str]]] = {}
    for name, of in splits_of.items():
        for rows in of.values():
            table = _table(rows, ("task_type", "metadata"))
            labels = table["metadata"].combine_chunks().field("subject_label")
            pairs = pa.table({"task_type": table["task_type"], "label": labels}).group_by(["task_type", "label"])
            for row in pairs.aggregate([]).to_pylist():
                if row["label"] is not None:
                    words.setdefault(row["task_type"], {}).setdefault(name, set()).add(row["label"])
    return [
        f"labels of {task_type} differ: {name} {_list(one)}; {other} {_list(two)}. Each word counts as a label of its "
        "own: write one word for one thing, or keep the cohorts apart"
        for task_type, of in sorted(words.items())
        for (name, one), (other, two) in combinations(of.items(), 2)
        if are_other_words(one, two)
    ]


def are_other_words(one: set[str], two: set[str]) -> bool:
    """Whether labels of two cohorts may be the same things in other words."""
    if max(len(one), len(two)) > MOST_LABELS or (_are_numbers(one) and _are_numbers(two)):
        return False
    folded = [{label.strip().casefold(): label for label in labels} for labels in (one, two)]
    common = folded[0].keys() & folded[1].keys()
    return not common or any(folded[0][label] != folded[1][label] for label in common)


def _are_numbers(labels: Iterable[str]) -> bool:
    try:
        for label in labels:
            float(label.split()[0].replace(",", "."))  # of "45 years" the number
    except (ValueError, IndexError):
        return False
    return True


def _list(labels: Iterable[str]) -> str:
    shown = sorted(labels)
    return ", ".join(map(repr, shown[:6])) + (f" and {len(shown) - 6} more" if len(shown) > 6 else "")
