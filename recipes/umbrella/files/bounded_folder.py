"""A folder that keeps entries of any bytes up to a bound in size, for any number of processes at once.

    FOLDER/CACHEDIR.TAG    the marker of a folder of ours (bford.info/cachedir): backups leave it out
    …/3f/3fa94c….END       an entry: digest (8 bytes), then its bytes
    …/size, …/lock         the bytes of all entries together, in digits, and the lock under which they are counted

Nothing is written or removed there without the marker, nor any file that has no name of ours.
"""

# Our own entries: a hit is as fast as from safetensors, which has no checksum, and from diskcache, whose SQLite is
# not safe on the network file systems of clusters (tests/benchmarks/caching.py).

import errno
import io
import multiprocessing
import os
import re
import shutil
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import NamedTuple

import xxhash
from filelock import FileLock, Timeout

KEPT_SHARE = 0.9  # of the bound, after the least recently used went out: a sweep must not follow at once
STALE_SECONDS = 3600  # temporary files older than this are left over from a process that was killed
DIGEST_BYTES = 8
SIZE_DIGITS = 20
MARKER = "CACHEDIR.TAG"
CACHE_TAG = "Signature: 8a477f597d28d172789f06886806bc55"
_PART = re.compile("[0-9a-f]{2}")
_TEMPORARY = re.compile(r"[0-9a-f]{32}\.[0-9a-f]{32}\.tmp")


class Kind(NamedTuple):
    """What a folder holds.

    end        of the names of its entries, as "view"
    holds      what the marker says that it holds, as "Views of scans"
    name       what it is called, as "volume cache"
    without    what becomes of what has no entry, as "decoded"
    """

    end: str
    holds: str
    name: str
    without: str

    @property
    def marker(self) -> bytes:
        return f"{CACHE_TAG}\n# {self.holds}, kept by Umbrella: safe to delete.\n".encode()


class BoundedFolder:
    """Keeps entries up to `most_bytes`; the least recently used go out first.

    Safe with many workers, ranks and jobs on one folder. A folder that cannot be written, or a full disk, costs one
    line on a machine, whichever worker meets it; then the folder is only read. An entry that is cut short or damaged
    counts as absent.

    Args:
        kind: what it holds, and what it is called in what it says.
        folder: is made, with the marker in it.
        most_bytes: of all entries together.
        is_quiet: says nothing; `fault` holds what would be said.
    """

    def __init__(self, kind: Kind, folder: Path, most_bytes: int, is_quiet: bool = False) -> None:
        self.kind, self.folder, self.most_bytes, self.is_quiet = kind, folder, most_bytes, is_quiet
        self._entry = re.compile(rf"[0-9a-f]{{32}}\.{kind.end}")
        self.is_writable, self.is_readable = True, True
        self.fault: str | None = None
        self._unsaid = multiprocessing.Semaphore(1)  # one for all workers that are forked
        try:
            _make_marked(self.folder, self.kind.marker)
            with self._lock():
                pass
        except Timeout:
            pass  # another process counts: so it can be written
        except FileExistsError as error:
            self.is_readable = False
            self._stop_writing(error)
        except (OSError, NotImplementedError) as error:  # the latter from file systems without locks
            self._stop_writing(error)

    def entry_size(self, key: str) -> int:
        """Bytes of an entry on disk; 0 where there is none."""
        try:
            return self._path(key).stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return 0

    def read(self, key: str) -> memoryview | None:
        """The bytes of an entry; None where there is none, or none that is whole."""
        if not self.is_readable:
            return None
        try:
            with io.FileIO(self._path(key)) as file:
                entry = file.readall()
                with suppress(OSError):  # of a folder that is only read, the owner keeps the order
                    os.utime(file.fileno(), ns=(time.time_ns(),) * 2)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            self._say(f"cannot be read ({_reason(error)})", f"the scan is {self.kind.without} anew")
            return None
        content = memoryview(entry)[DIGEST_BYTES:]
        return content if entry[:DIGEST_BYTES] == _digest(key, content) else None

    def write(self, key: str, content: bytes) -> None:
        """Add or replace an entry; a reader sees the old one or the new one, never a part of it."""
        if not self.is_writable:
            return
        path = self._path(key)
        temporary = path.with_name(f"{key}.{uuid.uuid4().hex}.tmp")
        entry = _digest(key, content) + content
        try:
            path.parent.mkdir(exist_ok=True)
            with open(temporary, "xb") as file:
                file.write(entry)
                file.flush()
                os.utime(file.fileno(), ns=(time.time_ns(),) * 2)
            replaced = self.entry_size(key)
            os.replace(temporary, path)
            self._count(len(entry) - replaced)
        except (OSError, NotImplementedError) as error:
            for half_done in (temporary, path):  # an entry that is not counted would stay above the bound
                with suppress(OSError):
                    half_done.unlink(missing_ok=True)
            self._stop_writing(error)

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.{self.kind.end}"

    def _lock(self) -> AbstractContextManager:
        # Held for microseconds, or for the length of a sweep: for that nobody waits.
        return FileLock(self.folder / "lock", timeout=0.2, poll_interval=0.002).acquire()

    def _count(self, n_bytes: int) -> None:
        """Add to the size of all entries; above the bound, take the least recently used out."""
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
            with self._lock(), open(os.open(self.folder / "size", flags, 0o666), "r+b", 0) as file:
                counted = file.read(SIZE_DIGITS)
                # Without a count (new, or cut short by a full disk) it is taken from the entries.
                is_whole = len(counted) == SIZE_DIGITS and counted.isdigit()
                total = int(counted) + n_bytes if is_whole else self._sweep()
                if total > self.most_bytes:
                    total = self._sweep()
                # In place: a file that is truncated first takes milliseconds on ext4, which then flushes it.
                file.seek(0)
                file.write(b"%0*d" % (SIZE_DIGITS, total))
        except Timeout:
            pass  # another process sweeps, and counts all entries anyway

    def _sweep(self) -> int:
        """Take out what is over the bound and what killed processes left; returns the size of what stays."""
        entries = []
        for item in _list_files(self.folder):
            with suppress(FileNotFoundError):  # taken out or renamed by another process meanwhile
                status = item.stat(follow_symlinks=False)
                if self._entry.fullmatch(item.name):
                    entries.append((status.st_mtime_ns, status.st_size, item.path))
                elif _TEMPORARY.fullmatch(item.name) and status.st_mtime < time.time() - STALE_SECONDS:
                    os.unlink(item.path)
        total = sum(size for _, size, _ in entries)
        if total > self.most_bytes:
            for _, size, path in sorted(entries):
                if total <= KEPT_SHARE * self.most_bytes:
                    break
                with suppress(FileNotFoundError):
                    os.unlink(path)
                total -= size
        return total

    def _stop_writing(self, error: Exception) -> None:
        self.is_writable = False
        self._say(f"cannot be written ({_reason(error)})", f"what is not in it is {self.kind.without} each time")

    def _say(self, fault: str, consequence: str) -> None:
        self.fault = fault
        if int(os.environ.get("LOCAL_RANK", "0")) <= 0 and not self.is_quiet and self._unsaid.acquire(block=False):
            print(f"warning: {self.kind.name} {self.folder} {fault}: {consequence}", file=sys.stderr, flush=True)

    def __getstate__(self) -> dict:
        return {name: value for name, value in self.__dict__.items() if name != "_unsaid"}

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state, _unsaid=multiprocessing.Semaphore(1))


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _digest(key: str, content: bytes | memoryview) -> bytes:
    """Seeded by the key, so that an entry under another's name does not count as whole."""
    return xxhash.xxh3_64_digest(content, seed=int(key[:16], 16))


def _list_files(folder: Path) -> Iterator[os.DirEntry]:
    """Regular files in the folders of entries."""
    for part in os.scandir(folder):
        if _PART.fullmatch(part.name) and part.is_dir(follow_symlinks=False):
            yield from (item for item in os.scandir(part) if item.is_file(follow_symlinks=False))


def _make_marked(folder: Path, signature: bytes) -> None:
    """Make the folder with its marker in it, in one step: who finds it without one knows that it is no cache.

    Raises FileExistsError where it is none.
    """
    if not os.path.lexists(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        unnamed = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
        try:
            unnamed.mkdir()
            (unnamed / MARKER).write_bytes(signature)
            with suppress(FileExistsError, NotADirectoryError):  # another process was first
                _rename_new(unnamed, folder)
        finally:
            shutil.rmtree(unnamed, ignore_errors=True)
    marker = folder / MARKER
    if folder.is_symlink() or not marker.is_file() or marker.read_bytes() != signature:
        raise FileExistsError(f"{folder} is in use by something else: expected {MARKER} of this cache in it")


def _rename_new(source: Path, target: Path) -> None:
    """Rename a folder; FileExistsError where the target holds anything."""
    try:
        source.rename(target)
    except OSError as error:
        if error.errno == errno.ENOTEMPTY:
            raise FileExistsError(target) from error
        raise
