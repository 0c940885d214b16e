"""Which scan lies where in which shard: one Arrow file, mapped into memory, so that a million of them open at once.

    index.arrow    a row for each name, by xxh3-64 of it: hash, name, shard, offset, size, digest
                   (xxh3-64 of its bytes); the schema states the shards with their sizes, and what they hold

A scan's name is its path from the data's root, whatever machine the root lies on; see `name_scan`.
"""

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import xxhash

from umbrella.files.contained_files import is_remote, split_root
from umbrella.files.written_files import replacing

FILE_NAME = "index.arrow"
VERSION = 2
SCANS, VIEWS = "scans", "views"
_ABOUT = b"umbrella_shards"
SIZE = 2  # of the fields of `Member`
_COLUMNS = {
    "hash": pa.uint64(),
    "name": pa.string(),
    "shard": pa.int32(),
    "offset": pa.int64(),
    "size": pa.int64(),
    "digest": pa.uint64(),
}


class ShardError(OSError):
    """Shards, or their index, cannot be used. The text is a whole sentence that names the file."""


class Member(NamedTuple):
    """A file within a shard: the shard's number, where its bytes begin, how many they are, and their xxh3-64."""

    shard: int
    offset: int
    size: int
    digest: int


class About(NamedTuple):
    """What an index says of the whole.

    what      "scans", or "views"
    shards    (name, bytes) of each
    settings  of views: what they were made with; of scans empty
    made_of   tells the scans, in their order, from others of other names
    digest    of the table, and of all that is said here
    root      tells the folder or the address that they lay in from others, see `mark_root`; "": it was not known
    """

    what: str
    shards: list[tuple[str, int]]
    settings: dict[str, Any]
    made_of: str
    digest: str = ""
    root: str = ""


class ShardIndex:
    """An index that is open. Safe in many threads and in forked workers, which share its pages.

    Args:
        table: as `write_index` writes it.
        place: of its file, for error messages.

    Raises ShardError for a table of another kind, ValueError for a damaged one.
    """

    def __init__(self, table: pa.Table, place: str) -> None:
        metadata = table.schema.metadata or {}
        if _ABOUT not in metadata or {field.name: field.type for field in table.schema} != _COLUMNS:
            raise ShardError(f"{place}: expected an index that pack_scans.py has written, found another Arrow file")
        stated = json.loads(metadata[_ABOUT])
        said = stated.get("digest")
        if (version := stated.pop("version")) != VERSION:
            raise ShardError(
                f"{place}: expected an index of version {VERSION}, found {version}: pack the scans anew, or update "
                "Umbrella"
            )
        self.about = About(**stated | {"shards": [tuple(shard) for shard in stated["shards"]]})
        columns = {name: _take_whole(table[name]) for name in _COLUMNS}
        if said != _find_digest(list(columns.values()), self.about):
            raise ValueError("what it says of itself does not fit its rows")
        self.place, self.names = place, columns.pop("name")
        self.hashes, *self.numbers = (column.to_numpy() for column in columns.values())

    def __len__(self) -> int:
        return len(self.hashes)

    def find(self, name: str) -> Member | None:
        """Where a scan lies; None for one that was not packed."""
        key = np.uint64(_hash(name))  # of this type: for any other number numpy would copy the column
        for row in range(int(np.searchsorted(self.hashes, key)), len(self.hashes)):
            if self.hashes[row] != key:
                return None
            if self.names[row].as_py() == name:
                return Member(*(int(column[row]) for column in self.numbers))
        return None

    def find_all(self, names: Sequence[str]) -> np.ndarray:
        """The size of each of very many scans, (n,) int64, told by the hash of its name; -1 of one that was not
        packed."""
        if not len(self):
            return np.full(len(names), -1)
        wanted = np.fromiter(map(_hash, names), np.uint64, len(names))
        places = np.searchsorted(self.hashes, wanted).clip(max=len(self) - 1)
        return np.where(self.hashes[places] == wanted, self.numbers[SIZE][places], -1)


def _take_whole(column: pa.ChunkedArray) -> pa.Array:
    """As it was written, in one piece: nothing is copied."""
    return column.chunk(0) if column.num_chunks else pa.array([], column.type)


def open_index(folder: str) -> ShardIndex:
    """The index of a local folder of shards, whose sizes are compared. Raises ShardError."""
    place = os.path.join(folder, FILE_NAME)
    try:
        with pa.memory_map(place) as source:
            index = read_index(source, place)
    except (FileNotFoundError, NotADirectoryError):
        raise describe_absence(place, _is_begun(folder)) from None
    for name, size in index.about.shards:
        path = os.path.join(folder, name)
        check_shard_size(path, os.path.getsize(path) if os.path.isfile(path) else None, size)
    return index


def describe_absence(place: str, is_begun: bool = False) -> ShardError:
    """The error to raise where there is no index."""
    begun = " that is complete: pack_scans.py was stopped here, start it again" if is_begun else ""
    advice = begun or ". Name the folder that pack_scans.py has written"
    return ShardError(f"{place}: expected the index of --scan_shards, found none{advice}")


def read_index(source: Any, place: str) -> ShardIndex:
    """The index in a file that Arrow reads, mapped or in memory. Raises ShardError."""
    try:
        return ShardIndex(pa.ipc.open_file(source).read_all(), place)
    except (pa.ArrowException, ValueError, TypeError, KeyError, MemoryError, OverflowError) as error:
        raise ShardError(
            f"{place}: expected an index of shards, found a file cut short or damaged: copy it anew"
        ) from error


def _is_begun(folder: str) -> bool:
    return os.path.exists(os.path.join(folder, "index.partial"))


def check_shard_size(path: str, found: int | None, expected: int) -> None:
    """Raise ShardError for a shard that is not as long as the index says; None: there is none."""
    if found != expected:
        said = "none" if found is None else f"{found:,}"
        raise ShardError(f"{path}: expected {expected:,} bytes, as {FILE_NAME} says, found {said}: copy both anew")


def check_digest(content: bytes, member: Member, shard: str) -> None:
    """Raise ShardError for bytes that are not those that were packed."""
    if xxhash.xxh3_64_intdigest(content) != member.digest:
        raise ShardError(
            f"{shard}: expected the {member.size:,} bytes that were packed at byte {member.offset:,}, found others: "
            "copy the shard anew, and the index with it"
        )


def write_index(folder: Path, names: Sequence[str], members: Sequence[Member], about: About) -> None:
    """Write index.arrow, the same bytes for the same members, whatever their order. Raises ShardError for a name that
    stands for two members, WriteError."""
    hashes = np.fromiter(map(_hash, names), np.uint64, len(names))
    order = np.argsort(hashes, kind="stable")
    sorted_names = [names[row] for row in order]
    _check_unique(sorted_names, folder)
    arrays = [pa.array(hashes[order]), pa.array(sorted_names, pa.string())]
    for name, column in zip(Member._fields, zip(*members, strict=True), strict=True):
        arrays.append(pa.array(np.array(column, _COLUMNS[name].to_pandas_dtype())[order]))
    stated = about._replace(digest=_find_digest(arrays, about))._asdict() | {"version": VERSION}
    schema = pa.schema(_COLUMNS, {_ABOUT: json.dumps(stated, sort_keys=True).encode()})
    with replacing(folder / FILE_NAME) as partial, pa.ipc.new_file(str(partial), schema) as file:
        file.write_batch(pa.record_batch(arrays, schema=schema))


def _find_digest(columns: Sequence[pa.Array], about: About) -> str:
    """Of the columns and of what is said of them: a damaged name would not be found, and its scan looked for where it
    does not lie."""
    digest = xxhash.xxh3_64(json.dumps(about._replace(digest=""), sort_keys=True).encode())
    for column in columns:
        if column.null_count or column.offset:
            raise ValueError("rows that nothing has written so")
        if column.type != pa.string():
            digest.update(column.to_numpy())
            continue
        _, ends, letters = column.buffers()
        places = np.frombuffer(ends, np.int32)[: len(column) + 1] if ends is not None else np.zeros(1, np.int32)
        digest.update(places.tobytes())
        digest.update(memoryview(letters)[: places[-1]] if letters is not None else b"")
    return digest.hexdigest()


def _check_unique(names: Iterable[str], folder: Path) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ShardError(f"{folder}: expected each scan once, found two of the name {name}")
        seen.add(name)


def _hash(name: str) -> int:
    return xxhash.xxh3_64_intdigest(name.encode("utf-8", "surrogatepass"))


def mark_root(root: str) -> str:
    """What tells the root that scans lie in from others, and does not name it; "" of a folder that is not here."""
    if not is_remote(root) and not os.path.isdir(root):
        return ""
    return xxhash.xxh3_128_hexdigest(
        (root if is_remote(root) else os.path.realpath(root)).rstrip("/").encode("utf-8", "surrogatepass")
    )


def name_view(name: str, modality: str) -> str:
    """The name of the view of a scan, which is another one where it is read as another modality."""
    return f"{modality} {name}"


def name_scan(path: str | Path, root: str) -> list[str]:
    """The names of a scan in an index: its path from the folder that it is held to, else from `root`. One outside of
    that has its whole path for a second name, as the rows may state it so."""
    held, whole = split_root(path)
    above = (held or root).rstrip("/") + "/"
    if whole.startswith(above):
        return [whole.removeprefix(above)]
    is_local = os.path.isabs(whole) and os.path.isabs(root)
    return [os.path.relpath(whole, root), whole] if is_local else [whole]
