"""One folder of shards with its index: where a scan lies in it, and its bytes."""

import os
import threading
from collections import OrderedDict
from collections.abc import Iterable
from io import FileIO
from pathlib import Path

import pyarrow as pa

from umbrella.files.contained_files import AbsentError, RemoteError, is_remote
from umbrella.files.remote.listing import look_up
from umbrella.files.shards.index import (
    FILE_NAME,
    VIEWS,
    Member,
    ShardIndex,
    check_digest,
    check_shard_size,
    describe_absence,
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


def _open_remote(folder: str) -> ShardIndex:
    """The index of a folder in a store. Raises ShardError, RemoteError."""
    copies, place = find_copies(folder), f"{folder.rstrip('/')}/{FILE_NAME}"
    try:
        index = read_index(pa.BufferReader(copies.read(place)), place)
    except AbsentError:
        raise describe_absence(place) from None
    sizes = {f"{folder.rstrip('/')}/{name}": size for name, size in index.about.shards}
    for path, found in look_up(list(sizes), copies.store).items():
        if isinstance(found, RemoteError):
            raise found
        check_shard_size(path, found and found.size, sizes[path])
    return index
