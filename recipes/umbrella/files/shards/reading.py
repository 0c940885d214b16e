"""Scans in shards, read one by one in any order, in the place of the files that the rows name.

The rows stay as they are: `use_shards` lets `umbrella.files.contained_files` look here first.
"""

import os
import threading
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Sequence
from io import FileIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from umbrella.files.contained_files import (
    RemoteError,
    find_elsewhere,
    find_packed,
    is_remote,
    set_packed,
    split_root,
)
from umbrella.files.data_format import MODALITIES
from umbrella.files.remote.copies import fetch_ahead as fetch_objects
from umbrella.files.remote.listing import look_up
from umbrella.files.shards.index import (
    FILE_NAME,
    VIEWS,
    Member,
    ShardError,
    ShardIndex,
    check_digest,
    check_shard_size,
    name_scan,
    name_view,
    open_index,
    read_index,
)
from umbrella.files.shards.members import MemberCopies, find_copies, name_member

MOST_OPEN = 64  # shards at once, of a process


class ShardFolder:
    """One folder of shards, on this machine or in a store.

    Args:
        folder: of the shards and their index; a folder or an address.
        root: the folder that the rows' scans lie in, which need not exist here.

    Raises ShardError, and RemoteError where a store gives no answer.
    """

    def __init__(self, folder: str, root: str) -> None:
        self.folder, self.root = folder, root
        self.index = _open_remote(folder) if is_remote(folder) else open_index(folder)
        self._reset()

    def _reset(self) -> None:
        """What a process has of its own."""
        self._files: OrderedDict[int, FileIO] = OrderedDict()
        self._pid, self._lock = os.getpid(), threading.Lock()
        self._copies = MemberCopies(find_copies(self.folder)) if is_remote(self.folder) else None

    def __getstate__(self) -> dict:
        return {"folder": self.folder, "root": self.root}

    def __setstate__(self, state: dict) -> None:
        self.__init__(**state)  # type: ignore[misc]  # an index is mapped, not sent

    @property
    def holds_views(self) -> bool:
        """Whether views of scans were packed in place of them."""
        return self.index.about.what == VIEWS

    def find(self, path: str | Path, root: str | None, modality: str | None = None) -> Member | None:
        """Where a scan, or its view as this modality, lies; None for one that was not packed. `root`: the folder that
        the path is held to."""
        for name in name_scan(path, root or self.root):
            if (member := self.index.find(name_view(name, modality) if modality else name)) is not None:
                return member
        return None

    def name_shard(self, member: Member) -> str:
        """Where the shard of a member lies."""
        return f"{self.folder.rstrip('/')}/{self.index.about.shards[member.shard][0]}"

    def is_here(self, member: Member) -> bool:
        """Whether it can be read without a request."""
        copies = self._own_copies()
        return copies is None or copies.is_copied(name_member(self.name_shard(member), member))

    def fetch_ahead(self, members: Iterable[Member]) -> None:
        """Begin to copy what lies in a store; returns at once."""
        copies = self._own_copies()
        if copies is not None:
            copies.fetch_ahead(name_member(self.name_shard(member), member) for member in members)

    def read(self, member: Member) -> bytes | memoryview:
        """Its bytes. Raises ShardError where they are not those that were packed, RemoteError."""
        copies = self._own_copies()
        if copies is not None:
            return copies.read(name_member(self.name_shard(member), member))
        file = self._open_shard(member)
        pieces, place, end = [], member.offset, member.offset + member.size
        while place < end and (piece := os.pread(file.fileno(), end - place, place)):
            pieces.append(piece)  # Linux gives at most 2 GB at once
            place += len(piece)
        content = b"".join(pieces)
        check_digest(content, member, self.name_shard(member))
        return content

    def _own_copies(self) -> MemberCopies | None:
        if self._pid != os.getpid():  # not under the lock, which a thread of the parent may have held
            self._reset()
        return self._copies

    def _open_shard(self, member: Member) -> FileIO:
        """Of a process its own, opened when it is first read. One that goes is closed when no thread reads it."""
        with self._lock:
            if member.shard not in self._files:
                self._files[member.shard] = FileIO(self.name_shard(member))
            self._files.move_to_end(member.shard)
            while len(self._files) > MOST_OPEN:
                self._files.popitem(last=False)
            return self._files[member.shard]


class Found(NamedTuple):
    """Where a scan, or its view, lies."""

    folder: ShardFolder
    member: Member


class PackedScans:
    """The scans of some data folders, each with its folder of shards; see `umbrella.files.contained_files.Packed`."""

    def __init__(self, folders: Sequence[ShardFolder]) -> None:
        self.folders = sorted(folders, key=lambda one: -len(one.root))  # of roots within each other the inner first

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)
        if find_packed() is None:  # in a worker that was not forked
            set_packed(self)

    def __deepcopy__(self, memo: dict) -> "PackedScans":
        return self  # `datasets` copies what its rows go through

    def find(self, path: str | Path, root: str | None, modality: str | None = None) -> Found | None:
        """Where a scan, or its view as this modality, lies: two data folders may have scans of one name. None for one
        that was not packed."""
        for folder in self.folders:
            if self._may_hold(folder, path) and (member := folder.find(path, root, modality)) is not None:
                return Found(folder, member)
        return None

    def _may_hold(self, folder: ShardFolder, path: str | Path) -> bool:
        return len(self.folders) == 1 or str(path).startswith(folder.root.rstrip("/") + "/")

    def find_any(self, path: str | Path, root: str | None) -> Found | None:
        """Where a scan or one of its views lies."""
        found = self.find(path, root)
        views = (self.find(path, root, modality) for modality in MODALITIES if self.holds_views)
        return found or next(filter(None, views), None)

    @property
    def holds_views(self) -> bool:
        """Whether some of the folders hold views of scans."""
        return any(folder.holds_views for folder in self.folders)

    def read(self, path: str | Path, root: str | None) -> bytes | memoryview | None:
        found = self.find(path, root)
        return None if found is None else found.folder.read(found.member)

    def identify(self, path: str | Path, root: str | None) -> tuple | None:
        found = self.find_any(path, root)
        if found is None:
            return None
        return "packed", found.folder.index.about.what, found.member.size, found.member.digest

    def find_size(self, path: str | Path, root: str | None) -> int | None:
        found = self.find(path, root)
        return None if found is None else found.member.size

    def costs_a_request(self, path: str | Path, root: str | None) -> bool | None:
        found = self.find(path, root)
        return None if found is None else not found.folder.is_here(found.member)

    def find_sizes(self, paths: Sequence[str]) -> np.ndarray:
        """Of very many scans the bytes, (n,) int64, told by the hashes of their names; -1 of those that were not
        packed."""
        return self._find_sizes(paths, [folder for folder in self.folders if not folder.holds_views])

    def are_packed(self, paths: Sequence[str]) -> np.ndarray:
        """(n,) bool, whether each of very many scans, or its view, was packed."""
        return self._find_sizes(paths, self.folders) >= 0

    def _find_sizes(self, paths: Sequence[str], folders: Sequence[ShardFolder]) -> np.ndarray:
        sizes = np.full(len(paths), -1)
        split = [split_root(path) for path in paths]
        for folder in folders:
            own = [i for i, (_, path) in enumerate(split) if self._may_hold(folder, path)]
            names = [name_scan(split[i][1], split[i][0] or folder.root)[0] for i in own]
            for modality in MODALITIES if folder.holds_views else (None,):
                found = folder.index.find_all([name_view(name, modality) if modality else name for name in names])
                sizes[own] = np.where(sizes[own] < 0, found, sizes[own])
        return sizes

    def find_others(self, paths: Sequence[str]) -> list[str]:
        """Those of very many paths that were not packed."""
        return [path for path, is_packed in zip(paths, self.are_packed(paths), strict=True) if not is_packed]

    def fetch_ahead(self, paths: Iterable[str]) -> list[str]:
        """Begin to copy scans that are going to be read, or their views; returns the paths of those that were not
        packed."""
        others, members = [], defaultdict(list)
        for path in paths:
            root, name = split_root(path)
            if (found := self.find_any(name, root)) is None:
                others.append(path)
            else:
                members[found.folder].append(found.member)
        for folder, some in members.items():
            folder.fetch_ahead(some)
        return others


def fetch_ahead(paths: Iterable[str]) -> None:
    """Begin to copy scans that lie in stores, in shards or not, and are going to be read; returns at once."""
    packed = find_packed()
    fetch_objects(packed.fetch_ahead(paths) if isinstance(packed, PackedScans) else paths)


def find_fetch_ahead() -> Callable[[Iterable[str]], None] | None:
    """`fetch_ahead`; None where this process reads nothing of any store."""
    return None if find_elsewhere() is None else fetch_ahead


def _open_remote(folder: str) -> ShardIndex:
    """The index of a folder in a store. Raises ShardError, RemoteError."""
    copies, place = find_copies(folder), f"{folder.rstrip('/')}/{FILE_NAME}"
    index = read_index(pa.BufferReader(copies.read(place)), place)
    sizes = {f"{folder.rstrip('/')}/{name}": size for name, size in index.about.shards}
    for path, found in look_up(list(sizes), copies.store).items():
        if isinstance(found, RemoteError):
            raise found
        check_shard_size(path, found and found.size, sizes[path])
    return index


def use_shards(folders: Sequence[str], roots: Sequence[str]) -> PackedScans | None:
    """Read what `--scan_shards` holds from there from now on; without any, scans are the files that the rows name.

    roots  the folders that the rows' scans lie in, one for each folder of shards

    Raises ShardError.
    """
    set_packed(None)
    if not folders:
        return None
    if len(folders) != len(roots):
        raise ShardError(
            f"--scan_shards: expected a folder of shards for each of {len(roots)} data folders, in their order, found "
            f"{len(folders)}"
        )
    opened = [
        ShardFolder(one if is_remote(one) else os.path.abspath(os.path.expanduser(one)), root)
        for one, root in zip(folders, roots, strict=True)
    ]
    packed = PackedScans(opened)
    set_packed(packed)
    return packed
