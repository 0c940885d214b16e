"""Scans in shards, read one by one in any order, in the place of the files that the rows name.

The rows stay as they are: `use_shards` lets `umbrella.files.contained_files` look here first.
"""

import os
import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from io import FileIO
from pathlib import Path
from typing import NamedTuple

import xxhash

from umbrella.files.contained_files import find_packed, set_packed
from umbrella.files.data_format import MODALITIES
from umbrella.files.shards.index import VIEWS, Member, ShardError, ShardIndex, name_scan, name_view, open_index

MOST_OPEN = 64  # shards at once, of a process


class ShardFolder:
    """One folder of shards.

    Args:
        folder: of the shards and their index.
        root: the folder that the rows' scans lie in, which need not exist here.

    Raises ShardError.
    """

    def __init__(self, folder: str, root: str) -> None:
        self.folder, self.root = folder, root
        self._open()

    def _open(self) -> None:
        self.index: ShardIndex = open_index(self.folder)
        self._files: OrderedDict[int, FileIO] = OrderedDict()
        self._pid, self._lock = os.getpid(), threading.Lock()

    def __getstate__(self) -> dict:
        return {"folder": self.folder, "root": self.root}

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)
        self._open()

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
        return os.path.join(self.folder, self.index.about.shards[member.shard][0])

    def is_here(self, member: Member) -> bool:
        """Whether it can be read without a request."""
        return True

    def read(self, member: Member) -> bytes:
        """Its bytes. Raises ShardError where they are not those that were packed."""
        file = self._open_shard(member)
        pieces, place, end = [], member.offset, member.offset + member.size
        while place < end and (piece := os.pread(file.fileno(), end - place, place)):
            pieces.append(piece)  # Linux gives at most 2 GB at once
            place += len(piece)
        content = b"".join(pieces)
        if xxhash.xxh3_64_intdigest(content) != member.digest:
            raise ShardError(
                f"{self.name_shard(member)}: expected the {member.size:,} bytes that were packed at byte "
                f"{member.offset:,}, found others: copy the shard anew, and the index with it"
            )
        return content

    def _open_shard(self, member: Member) -> FileIO:
        """Of a process its own, opened when it is first read. One that goes is closed when no thread reads it."""
        with self._lock:
            if self._pid != os.getpid():
                self._files, self._pid = OrderedDict(), os.getpid()
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

    def find(self, path: str | Path, root: str | None, modality: str | None = None) -> Found | None:
        """Where a scan, or its view as this modality, lies: two data folders may have scans of one name. None for one
        that was not packed."""
        for folder in self.folders:
            is_its_own = len(self.folders) == 1 or str(path).startswith(folder.root.rstrip("/") + "/")
            if is_its_own and (member := folder.find(path, root, modality)) is not None:
                return Found(folder, member)
        return None

    def find_any(self, path: str | Path, root: str | None) -> Found | None:
        """Where a scan or one of its views lies."""
        found = self.find(path, root)
        views = (self.find(path, root, modality) for modality in MODALITIES if self.holds_views)
        return found or next(filter(None, views), None)

    @property
    def holds_views(self) -> bool:
        """Whether some of the folders hold views of scans."""
        return any(folder.holds_views for folder in self.folders)

    def read(self, path: str | Path, root: str | None) -> bytes | None:
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


def check_fits(packed: PackedScans, paths: Iterable[tuple[str, str | None]]) -> None:
    """Raise ShardError where shards were made of other scans than these, some of the rows': (path, root) of each.

    What can be told: none is there by its name, or a file lies in its own place that is not as long as the one that
    was packed.
    """
    paths, missing = list(paths), []
    for path, root in paths:
        if (found := packed.find_any(path, root)) is None:
            missing.append(path)
            continue
        folder, member = found
        if not folder.holds_views and os.path.isfile(path) and os.path.getsize(path) != member.size:
            raise ShardError(
                f"{folder.index.place}: expected the {os.path.getsize(path):,} bytes of {path}, found a scan of "
                f"{member.size:,} bytes by its name: it was packed from other data, or before the scan was changed. "
                "Pack the scans anew, into another folder, or choose other --scan_shards"
            )
    if missing and len(missing) == len(paths):
        known = " and ".join(f"{one.index.place} (with scans as {one.index.names[0]})" for one in packed.folders)
        raise ShardError(
            f"{known}: expected the rows' scans, as {missing[0]}, found none of {len(missing)}: give --json_dir and "
            "--image_root as pack_scans.py had them, or choose other --scan_shards"
        )


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
        ShardFolder(os.path.abspath(os.path.expanduser(one)), root) for one, root in zip(folders, roots, strict=True)
    ]
    packed = PackedScans(opened)
    set_packed(packed)
    return packed
