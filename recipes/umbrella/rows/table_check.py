"""A published table is whole, and its rows are as the format says: by the rules that JSON is checked by."""

import functools
import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

import umbrella_dataset
from umbrella.rows.push_manifest import MANIFEST, parse_manifest
from umbrella_dataset import FEATURES, FormatError, Problem, find_problems, parse_record

SHARD = re.compile(r"(?P<split>[\w.]+?)-(?P<number>\d{5})-of-(?P<count>\d{5})(?:-[0-9a-f]+)?\.parquet")


def check_whole(folder: Path, name: str, has_scans: bool) -> None:
    """Raise FormatError where files are missing that the push which wrote `folder` lists: of the table and, with
    `has_scans`, of its scans. Without the list, as an older version published it, this cannot be known."""
    path = folder / MANIFEST
    if not path.is_file():
        return
    listed = parse_manifest(path.read_bytes())
    if listed is None:
        raise FormatError(
            f"{name}: {MANIFEST}: expected the list of files that push_to_hub.py wrote, found another. Get the "
            "dataset anew, or delete this file, after which it cannot be known whether the dataset is whole"
        )
    wanted = sorted(file for file in listed if file.startswith(("data/", "scans/") if has_scans else "data/"))
    missing = [file for file in wanted if not os.path.isfile(folder / file)]
    if missing:
        raise FormatError(
            f"{name}: expected {len(wanted)} files, as {MANIFEST} lists them, found {len(missing)} missing, the first "
            f"{missing[0]!r}. Get or publish the dataset anew, or, if they were taken out on purpose, delete "
            f"{MANIFEST}"
        )


def find_shards(folder: Path, name: str) -> dict[str, list[str]]:
    """Split → the Parquet files in `folder`/data, in their order, each as readable as its footer tells.

    Raises FormatError where there is none, where the names of a split's files do not count up to what they say, and
    for a file that is no Parquet, or of other columns.
    """
    shards: dict[str, list[tuple[int, int, str]]] = {}
    for path in sorted((folder / "data").glob("*.parquet")):
        found = SHARD.fullmatch(path.name)
        if found is None:
            raise FormatError(
                f"{name}: expected data/SPLIT-00000-of-00001.parquet in the dataset, found data/{path.name}. Take it "
                "out, or rename it"
            )
        shards.setdefault(found["split"], []).append((int(found["number"]), int(found["count"]), str(path)))
    if not shards:
        raise FormatError(
            f"{name}: expected data/SPLIT-00000-of-00001.parquet in the dataset, found none. Publish it "
            "with push_to_hub.py"
        )
    for split, found in shards.items():
        _check_numbers(split, [number for number, _, _ in found], {count for _, count, _ in found}, name)
        for _, _, path in found:
            _check_schema(path)
    return {split: [path for _, _, path in found] for split, found in shards.items()}


def _check_numbers(split: str, numbers: list[int], counts: set[int], name: str) -> None:
    if len(counts) > 1:
        said = " and ".join(f"of {count}" for count in sorted(counts))
        raise FormatError(
            f"{name}: data/{split}-*.parquet: expected files of one publication, found some {said}. Take out the old "
            "ones, or get the dataset anew"
        )
    (count,) = counts
    if sorted(numbers) != list(range(count)):
        found = f"{name}: data/{split}-*.parquet: expected {count} files, as their names say, found {len(numbers)}: "
        beyond = [number for number in numbers if number >= count]
        if beyond:
            raise FormatError(
                f"{found}{split}-{beyond[0]:05d}-of-{count:05d}, which is none of them. Take it out, or get "
                "the dataset anew"
            )
        missing = sorted(set(range(count)) - set(numbers))
        what = f"{len(missing)} missing, the first {split}-{missing[0]:05d}-of-{count:05d}" if missing else "one twice"
        raise FormatError(f"{found}{what}. Get the dataset anew")


def _check_schema(path: str) -> None:
    try:
        with pq.ParquetFile(path) as file:
            metadata, schema = file.metadata, file.schema_arrow
    except (pa.ArrowInvalid, OSError) as error:
        raise FormatError(f"{path}: expected a Parquet file, found: {error}. Get the dataset anew") from error
    if metadata.num_row_groups == 0 or metadata.row_group(0).num_rows == 0:
        found = "none" if metadata.num_rows == 0 else "an empty first row group"
        raise FormatError(f"{path}: expected rows, found {found}. Publish the dataset anew with push_to_hub.py")
    for field in FEATURES.arrow_schema:
        found = schema.field(field.name).type if field.name in schema.names else None
        if found is None or not _fits(found, field.type):
            raise FormatError(
                f"{path}: column {field.name}: expected {field.type}, found {found or 'none'}. Publish the dataset "
                "with push_to_hub.py"
            )


def _fits(found: pa.DataType, expected: pa.DataType) -> bool:
    """Whether a type is the expected one up to large lists and strings, with more fields in structs or not."""
    if pa.types.is_struct(expected):
        names = {field.name for field in found} if pa.types.is_struct(found) else set()
        return all(f.name in names and _fits(found.field(f.name).type, f.type) for f in expected)
    if pa.types.is_list(expected):
        is_list = pa.types.is_list(found) or pa.types.is_large_list(found)
        return is_list and _fits(found.value_type, expected.value_type)
    return found == expected or (pa.types.is_string(expected) and pa.types.is_large_string(found))


def check_row(row: dict, name: str) -> None:
    """Raise FormatError where a row of a published table is not as the format says."""
    where = f"{name}: {row['source']}"
    for key in ("source", "length", "metadata"):
        if row[key] is None:
            raise FormatError(f"{where}: {key}: expected one in every row, found none. Publish the dataset anew")
    if not row["source"].strip():
        raise FormatError(
            f"{name}: task_id {row['task_id']!r}: source: expected where the row was written, found an empty text. "
            "Publish the dataset anew"
        )
    if row["length"] < 0:  # 0 is the estimate of a few letters
        raise FormatError(
            f"{where}: length: expected an estimate of the row's tokens, found {row['length']}. Publish the dataset "
            "anew"
        )
    images = row["images"] and [_without_bytes(scan) for scan in row["images"]]
    problems = find_problems({**row, "images": images})
    if problems:
        raise FormatError("\n".join(f"{where}: {problem}" for problem in problems))
    extra = parse_record((row["metadata"].get("extra") or "{}").encode())
    if not isinstance(extra, dict):
        found = extra.found if isinstance(extra, Problem) else f"a {type(extra).__name__}"
        raise FormatError(f"{where}: metadata.extra: expected a JSON object, found {found}")


@functools.cache
def hash_rules() -> str:
    """A hash of the code of all rules, since `datasets` keeps what it has checked with others."""
    return hashlib.sha256(
        b"".join(Path(file).read_bytes() for file in (__file__, umbrella_dataset.__file__))
    ).hexdigest()


def _without_bytes(scan: dict | None) -> dict | None:
    return scan and {key: value for key, value in scan.items() if key != "bytes"}


def check_task_ids(task_ids: Iterable[str], split: str, name: str) -> None:
    """Raise FormatError for a task_id twice in a split."""
    task_id, count = Counter(task_ids).most_common(1)[0] if task_ids else (None, 1)
    if count > 1:
        raise FormatError(f'{name}: task_id: expected each once in {split}, found "{task_id}" {count} times')
