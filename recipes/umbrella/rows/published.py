"""A published dataset: its table, and its scans at the names that the rows give, relative to the snapshot.

Only Parquet is read. No code of the repo runs, no pickle is opened, no address in a row is fetched, and no name leads
out of the folder.
"""

from pathlib import Path, PurePosixPath

import datasets
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash
from datasets import Dataset, DatasetDict, load_dataset
from datasets.exceptions import DatasetGenerationError
from huggingface_hub import snapshot_download
from packaging.version import Version

from umbrella.files.contained_files import is_inside, is_remote
from umbrella.models.hub_errors import explain_errors
from umbrella.models.hub_names import find_repo
from umbrella.rows.push_manifest import MANIFEST
from umbrella.rows.table_check import SHARD, check_row, check_task_ids, check_whole, find_shards, hash_rules
from umbrella.views.volume_cache import identify_scan
from umbrella_dataset import FormatError, check_address, hold_inside

WANTED = ["data/*.parquet", "scans/*", MANIFEST]


def load_published(name: str, image_root: str | None = None) -> DatasetDict:
    """All splits of a published dataset, scans with `bytes` or with an absolute path in the snapshot.

    Args:
        name: on the Hub, or the folder of a local copy.
        image_root: folder, or address of objects in a store, that the rows' relative names count from, instead of the
            snapshot.

    Raises FormatError for a name that leads elsewhere, for files that are missing or no Parquet and for rows that are
    not as the format says, FileNotFoundError for a dataset that is neither here nor on the Hub, PushError for one that
    cannot be had.
    """
    folder = Path(name)
    if not folder.is_dir():
        options = find_repo(name, "dataset", f"--dataset_name {name}")
        with explain_errors(name, outcome="nothing was read"):
            folder = Path(snapshot_download(name, repo_type="dataset", allow_patterns=WANTED, **options))
    check_whole(folder, name, has_scans=image_root is None)
    shards = find_shards(folder, name)
    if "scans" in pq.read_schema(next(iter(shards.values()))[0]).names and Version(datasets.__version__).major < 5:
        raise FormatError(
            f"{name}: expected datasets 5 or later, which this table was published for (--nifti_feature), found "
            f"{datasets.__version__}. Update it, or ask for a table without"
        )
    # `datasets` would know a file by its name and time alone.
    cache_dir = Path(datasets.config.HF_DATASETS_CACHE, "published", _hash_states(shards))
    try:
        splits = load_dataset("parquet", data_files=shards, cache_dir=str(cache_dir))
    except DatasetGenerationError as error:
        raise FormatError(
            f"{name}: expected Parquet files that can be read, found: {error.__cause__}. Get the dataset anew"
        ) from error
    root = image_root if image_root and is_remote(image_root) else str(Path(image_root or folder).expanduser())
    try:
        for split, rows in splits.items():
            check_task_ids(rows["task_id"], split, name)
        return DatasetDict({split: _locate_scans(rows, root, name) for split, rows in splits.items()})
    except UnicodeDecodeError as error:
        raise FormatError(
            f"{name}: expected text in UTF-8, found other bytes ({error}). Get the dataset anew"
        ) from error


def is_read(name: str) -> bool:
    """Whether a file of a repo is read as a part of the table."""
    path = PurePosixPath(name)
    return str(path.parent) == "data" and path.suffix == ".parquet"


def is_written(name: str) -> bool:
    """Whether a push of a dataset writes files of this name, whatever its scans are."""
    path = PurePosixPath(name)
    is_shard = str(path.parent) == "data" and SHARD.fullmatch(path.name) is not None
    return is_shard or name in ("README.md", "umbrella_dataset.py")


def _hash_states(shards: dict[str, list[str]]) -> str:
    """Of the files' paths, inodes, sizes and times, as umbrella_dataset knows JSON files."""
    states = [identify_scan(path) for paths in shards.values() for path in paths]
    return xxhash.xxh3_128_hexdigest(repr(states).encode())


def _locate_scans(rows: Dataset, root: str, name: str) -> Dataset:
    """The rows with absolute paths, but where they carry the scans' bytes. Each row is checked once for a table that
    `datasets` caches, and again when the rules have changed."""
    options = {"name": name, "rules": hash_rules()}
    if "scans" in rows.column_names:
        plain = rows.remove_columns("scans")
        plain.map(_check_only, fn_kwargs=options, remove_columns=plain.column_names)
        return _check_bytes(_join_bytes(rows, name), name)
    image = rows.features["images"]
    image = image[0] if isinstance(image, list) else image.feature
    if "bytes" in image:
        rows.map(_check_only, fn_kwargs=options, remove_columns=rows.column_names)
        return _check_bytes(rows, name)
    options["root"] = root if is_remote(root) else str(Path(root).absolute())
    return rows.map(_to_absolute, fn_kwargs=options)


def _check_only(row: dict, name: str, rules: str) -> dict:
    check_row(row, name)
    return {"is_valid": True}


def _check_bytes(rows: Dataset, name: str) -> Dataset:
    """The rows, where each scan has bytes: for one without, the path that its row names would be opened."""
    for batch in rows.data.table.select(["images"]).to_batches():
        lengths = pc.binary_length(batch.column("images").flatten().field("bytes"))
        if not pc.all(pc.greater(pc.fill_null(lengths, 0), 0)).as_py():
            raise FormatError(f"{name}: images[].bytes: expected the bytes of every scan, found none of some")
    return rows


def _join_bytes(rows: Dataset, name: str) -> Dataset:
    """The files of the column `scans` (datasets' Nifti feature) as `images[].bytes`; no byte is copied or decoded."""
    table = rows.data.table
    batches = []
    for batch in table.to_batches():
        images, scans = batch.column("images"), batch.column("scans")
        if not pc.list_value_length(images).equals(pc.list_value_length(scans)):
            raise FormatError(f"{name}: scans: expected one for each of a row's images, found more or fewer")
        fields = [*images.flatten().flatten(), scans.flatten().field("bytes")]
        names = [*(field.name for field in images.type.value_type), "bytes"]
        joined = pa.ListArray.from_arrays(_offsets(images), pa.StructArray.from_arrays(fields, names))
        columns = {name: batch.column(name) for name in batch.schema.names if name != "scans"}
        batches.append(pa.RecordBatch.from_pydict({**columns, "images": joined}))
    return Dataset(pa.Table.from_batches(batches))


def _offsets(lists: pa.ListArray) -> pa.Array:
    """Where each list begins, counted from the first of a batch that may be a slice."""
    return pc.subtract(lists.offsets, lists.offsets[0])


def _to_absolute(row: dict, root: str, name: str, rules: str) -> dict:
    check_row(row, name)
    paths = {scan["path"]: _resolve(scan["path"], root, f"{name}: {row['source']}") for scan in row["images"]}
    turns = [
        {**turn, "content": [{**item, "image_path": paths.get(item["image_path"])} for item in turn["content"]]}
        for turn in row["conversations"]
    ]
    return {"images": [{**scan, "path": paths[scan["path"]]} for scan in row["images"]], "conversations": turns}


def _resolve(path: str, root: str, source: str) -> str:
    if not is_remote(root):
        return hold_inside(str(resolve_inside(path, Path(root), source)), root)
    _check_name(path, source)
    return check_address(f"{root.rstrip('/')}/{path}", [root])


def resolve_inside(path: str, root: Path, source: str) -> Path:
    """The file that a row names, inside `root`. In the Hub's cache a snapshot's files are links into its blobs/.

    Raises FormatError for an address, an absolute path, and one that leaves the folder by .. or by a link.
    """
    _check_name(path, source)
    full = root / path
    if not is_inside(full, str(root)):
        raise FormatError(f"{source}: images: expected a path inside the dataset, found {path!r}, a link out of it")
    return full


def _check_name(path: str, source: str) -> None:
    if "://" in path:
        raise FormatError(
            f"{source}: images: expected the name of a file, found the address {path!r}: none is fetched"
        )
    if Path(path).is_absolute() or ".." in Path(path).parts or "\\" in path:
        raise FormatError(f"{source}: images: expected a path inside the dataset, found {path!r}")
