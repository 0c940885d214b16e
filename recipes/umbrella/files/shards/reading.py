"""Scans in shards, read one by one in any order, in the place of the files that the rows name.

The rows stay as they are: `use_shards` lets `umbrella.files.contained_files` look here first.
"""

import os
import threading
from collections import OrderedDict
from collections.abc import Iterable
from io import FileIO
from pathlib import Path

import xxhash

from umbrella.files.contained_files import find_packed, set_packed
from umbrella.files.shards.index import Member, ShardError, ShardIndex, name_scan, open_index

MOST_OPEN = 64  # shards at once, of a process


class PackedScans:
    """The scans in a folder of shards.

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
        if find_packed() is None:  # in a worker that was not forked
            set_packed(self)

    def find(self, path: str | Path) -> Member | None:
        """Where a scan lies; None for one that was not packed."""
        for name in name_scan(path, self.root):
            if (member := self.index.find(name)) is not None:
                return member
        return None

    def identify(self, path: str | Path) -> tuple | None:
        """What tells a scan from any other, wherever the shards lie; None for one that was not packed."""
        member = self.find(path)
        return None if member is None else ("packed", self.index.about.what, member.size, member.digest)

    def read(self, path: str | Path) -> bytes | None:
        """A scan's bytes; None for one that was not packed. Raises ShardError where they are not those that were."""
        member = self.find(path)
        if member is None:
            return None
        content = self._read_member(member)
        name = self.index.about.shards[member.shard][0]
        if xxhash.xxh3_64_intdigest(content) != member.digest:
            raise ShardError(
                f"{os.path.join(self.folder, name)}: expected the {member.size:,} bytes of {Path(path).name} that "
                f"were packed at byte {member.offset:,}, found others: copy the shard anew, and the index with it"
            )
        return content

    def check_fits(self, paths: Iterable[str]) -> None:
        """Raise ShardError where none of these scans, some of the rows', was packed."""
        names = [name_scan(path, self.root)[0] for path in paths]
        if names and not any(map(self.index.find, names)):
            raise ShardError(
                f"{self.index.place}: expected shards of these rows' scans, as {names[0]}, found none of {len(names)} "
                f"in it, but such as {self.index.names[0]}. Name scans from the same folder as pack_scans.py did, by "
                "--json_dir or --image_root, or choose other --scan_shards"
            )

    def _read_member(self, member: Member) -> bytes:
        file = self._open_shard(member.shard)
        pieces, place, end = [], member.offset, member.offset + member.size
        while place < end and (piece := os.pread(file.fileno(), end - place, place)):
            pieces.append(piece)  # Linux gives at most 2 GB at once
            place += len(piece)
        return b"".join(pieces)

    def _open_shard(self, number: int) -> FileIO:
        """Of a process its own, opened when it is first read. One that goes is closed when no thread reads it."""
        with self._lock:
            if self._pid != os.getpid():
                self._files, self._pid = OrderedDict(), os.getpid()
            if number not in self._files:
                self._files[number] = FileIO(os.path.join(self.folder, self.index.about.shards[number][0]))
            self._files.move_to_end(number)
            while len(self._files) > MOST_OPEN:
                self._files.popitem(last=False)
            return self._files[number]


def use_shards(folder: str | None, root: str) -> PackedScans | None:
    """Read what `--scan_shards` holds from there from now on; None: scans are the files that the rows name.

    Raises ShardError.
    """
    packed = None if folder is None else PackedScans(os.path.abspath(folder), os.path.abspath(root))
    set_packed(packed)
    return packed
