"""A folder that keeps the views of scans, so that each scan is decoded once; for any number of processes at once.

    DIR/umbrella_views/CACHEDIR.TAG    the marker of a folder of ours (bford.info/cachedir): backups leave it out
    …/3f/3fa94c….view                  an entry: digest (8 bytes), shape and repeats (5 × uint32), float32 values
    …/size, …/lock                     the bytes of all entries together, in digits, and the lock under which they are
                                       counted

DIR may hold other files: nothing is written or removed outside of umbrella_views, nor there without the marker, nor
any file that has no name of ours.

An entry's name is a hash of the scan's identity, of every option and of the code that decides the result, so whatever
changes makes another entry; the old one is used no more and goes out as the least recently used. A scan's file is
known by its path, inode, size, and times of modification and of change: any write, rename or copy over it is seen, on
a file system that keeps the time of change, unless it comes within one tick of the clock. Where inodes do not last (a
few network mounts), or the scans move, they are decoded again.
"""

# Our own entries: a hit is as fast as from safetensors, which has no checksum, and from diskcache, whose SQLite is
# not safe on the network file systems of clusters (tests/benchmarks/caching.py).

import errno
import functools
import io
import multiprocessing
import os
import re
import shutil
import struct
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
from filelock import FileLock, Timeout

from umbrella.files.contained_files import is_inside, split_root
from umbrella.scans.gradients import GRADIENTS, gradients_path

DEFAULT_GB = 50.0
KEPT_SHARE = 0.9  # of the bound, after the least recently used went out: a sweep must not follow at once
STALE_SECONDS = 3600  # temporary files older than this are left over from a process that was killed
CODE = (  # named, not imported: to tell what they hold takes their text
    "files/contained_files.py",
    "scans/scan_files.py",
    "scans/volumes.py",
    "scans/series.py",
    "scans/gradients.py",
    "scans/intensity.py",
    "scans/voxel_statistics.py",
    "scans/otsu.py",
    "views/planes.py",
    "views/frames.py",
    "views/head_box.py",
    "views/weights.py",
    "views/aligned.py",
    "views/oblique.py",
    "views/grid.py",
    "views/loading.py",
    "views/expectations.py",
    "views/intensity_steps.py",
)
DIGEST_BYTES = 8
SIZE_DIGITS = 20
SHAPE = struct.Struct("<5I")  # images, stored channels, height, width, repeats of each channel
FOLDER = "umbrella_views"
MARKER = "CACHEDIR.TAG"
SIGNATURE = b"Signature: 8a477f597d28d172789f06886806bc55\n# Views of scans, kept by Umbrella: safe to delete.\n"
_PART = re.compile("[0-9a-f]{2}")
_ENTRY = re.compile(r"[0-9a-f]{32}\.view")
_TEMPORARY = re.compile(r"[0-9a-f]{32}\.[0-9a-f]{32}\.tmp")
PAIR_ENDS = (".hdr", ".hdr.gz", ".img", ".img.gz")


class VolumeCache:
    """Keeps views (n_images, 3, H, W), float32, up to `most_gb` (10⁹ bytes); the least recently used go out first.

    Safe with many workers, ranks and jobs on one folder. A folder that cannot be written, or a full disk, costs one
    line on a machine, whichever worker meets it; then the cache is only read. An entry that is cut short or damaged
    counts as absent.

    Args:
        folder: DIR above, which is made; the entries lie in a folder of their own in it.
        is_quiet: says nothing; `fault` holds what would be said.
        name, made: what it is called, and what becomes of a scan without an entry, for what it says.

    Raises ValueError for a bound that is not above 0.
    """

    def __init__(
        self,
        folder: str | Path,
        most_gb: float = DEFAULT_GB,
        is_quiet: bool = False,
        name: str = "volume cache",
        made: str = "decoded",
    ) -> None:
        if not most_gb > 0:
            raise ValueError(f"volume_cache_gb: expected a size above 0, found {most_gb}")
        self.folder, self.most_bytes = Path(folder) / FOLDER, int(most_gb * 1e9)
        self.is_writable, self.is_readable = True, True
        self.fault: str | None = None
        self.is_quiet, self.name, self.made = is_quiet, name, made
        self._unsaid = multiprocessing.Semaphore(1)  # one for all workers that are forked
        try:
            _make_marked(self.folder)
            with self._lock():
                pass
        except Timeout:
            pass  # another process counts: so it can be written
        except FileExistsError as error:
            self.is_readable = False
            self._stop_writing(error)
        except (OSError, NotImplementedError) as error:  # the latter from file systems without locks
            self._stop_writing(error)

    def load(self, load_view: Callable[..., np.ndarray], source: str | Path | bytes, **options: Any) -> np.ndarray:
        """`load_view(source, **options)`, from the cache where it is there. Raises what `load_view` raises."""
        key = self.make_key(load_view, source, **options)
        if key is None:
            return load_view(source, **options)
        views = self.get(key)
        if views is None:
            views = load_view(source, **options)
            self.put(key, views)
        return views

    def make_key(self, load_view: Callable, source: str | Path | bytes, **options: Any) -> str | None:
        """The name of the entry; None for a scan that does not exist."""
        identity = identify_scan(source)
        if identity is None:
            return None
        parts = (hash_code(), load_view.__qualname__, identity, sorted(options.items()))
        return xxhash.xxh3_128_hexdigest(repr(parts).encode())

    def entry_size(self, key: str) -> int:
        """Bytes of an entry on disk; 0 where there is none."""
        try:
            return self._path(key).stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return 0

    def get(self, key: str) -> np.ndarray | None:
        """The entry's views; None where there is none, or none that is whole."""
        content = self.read(key)
        if content is None:
            return None
        *shape, repeats = SHAPE.unpack_from(content)
        return np.frombuffer(content, np.float32, offset=SHAPE.size).reshape(shape).repeat(repeats, axis=1)

    def put(self, key: str, views: np.ndarray) -> None:
        """Add or replace an entry; a reader sees the old one or the new one, never a part of it."""
        if self.is_writable:
            self.write(key, _pack(views))

    def read(self, key: str) -> memoryview | None:
        """The bytes of an entry; None as from `get`."""
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
            self._say(f"cannot be read ({_reason(error)})", f"the scan is {self.made} anew")
            return None
        content = memoryview(entry)[DIGEST_BYTES:]
        return content if entry[:DIGEST_BYTES] == _digest(key, content) else None

    def write(self, key: str, content: bytes) -> None:
        """Add or replace an entry of any bytes, as `put` does."""
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
        return self.folder / key[:2] / f"{key}.view"

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
                if _ENTRY.fullmatch(item.name):
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
        self._say(f"cannot be written ({_reason(error)})", f"what is not in it is {self.made} each time")

    def _say(self, fault: str, consequence: str) -> None:
        self.fault = fault
        if int(os.environ.get("LOCAL_RANK", "0")) <= 0 and not self.is_quiet and self._unsaid.acquire(block=False):
            print(f"warning: {self.name} {self.folder} {fault}: {consequence}", file=sys.stderr, flush=True)

    def __getstate__(self) -> dict:
        return {name: value for name, value in self.__dict__.items() if name != "_unsaid"}

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state, _unsaid=multiprocessing.Semaphore(1))


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def open_volume_cache(folder: str | Path | None, most_gb: float = DEFAULT_GB) -> VolumeCache | None:
    """The cache that `--volume_cache` names; None without."""
    return None if folder is None else VolumeCache(folder, most_gb)


def identify_scan(source: str | Path | bytes) -> tuple | None:
    """What tells a scan from any other and from itself after a change: a hash of its bytes, or the real path, inode,
    size and times of its file, or files for an .hdr/.img pair and a .bval beside it. None where there is no file, and
    where one lies outside the folder that it is held to, see `umbrella.files.contained_files`."""
    if isinstance(source, bytes):
        return len(source), xxhash.xxh3_128_hexdigest(source)
    root, path = split_root(source)
    stem = path.removesuffix(".gz")
    is_pair = stem.endswith((".hdr", ".img"))
    found = []
    names = [stem[:-4] + end for end in PAIR_ENDS] if is_pair else [path]
    for name in [*names, gradients_path(path)]:  # the latter chooses the frames of a diffusion series
        if name is None or (name.endswith(GRADIENTS) and not found):
            continue
        with suppress(OSError):
            status = os.stat(name)
            if not is_inside(name, root):
                return None
            real = os.path.realpath(name)
            found.append((real, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns))
    return tuple(found) or None


@functools.cache
def hash_code() -> str:
    """A hash of the source of every module that decides what a view looks like."""
    digest = xxhash.xxh3_128()
    for name in CODE:
        digest.update((Path(__file__).parents[1] / name).read_bytes())
    return digest.hexdigest()


def _pack(views: np.ndarray) -> bytes:
    # Of most views the three channels are the same: one is stored.
    repeats = 3 if views.shape[1] == 3 and (views == views[:, :1]).all() else 1
    stored = np.ascontiguousarray(views[:, : views.shape[1] // repeats], np.float32)
    return SHAPE.pack(*stored.shape, repeats) + stored.tobytes()


def _digest(key: str, content: bytes | memoryview) -> bytes:
    """Seeded by the key, so that an entry under another's name does not count as whole."""
    return xxhash.xxh3_64_digest(content, seed=int(key[:16], 16))


def _list_files(folder: Path) -> Iterator[os.DirEntry]:
    """Regular files in the folders of entries."""
    for part in os.scandir(folder):
        if _PART.fullmatch(part.name) and part.is_dir(follow_symlinks=False):
            yield from (item for item in os.scandir(part) if item.is_file(follow_symlinks=False))


def _make_marked(folder: Path) -> None:
    """Make the folder with its marker in it, in one step: who finds it without one knows that it is no cache.

    Raises FileExistsError where it is none.
    """
    if not os.path.lexists(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        unnamed = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
        try:
            unnamed.mkdir()
            (unnamed / MARKER).write_bytes(SIGNATURE)
            with suppress(FileExistsError, NotADirectoryError):  # another process was first
                _rename_new(unnamed, folder)
        finally:
            shutil.rmtree(unnamed, ignore_errors=True)
    marker = folder / MARKER
    if folder.is_symlink() or not marker.is_file() or marker.read_bytes() != SIGNATURE:
        raise FileExistsError(f"{folder} is in use by something else: expected {MARKER} of this cache in it")


def _rename_new(source: Path, target: Path) -> None:
    """Rename a folder; FileExistsError where the target holds anything."""
    try:
        source.rename(target)
    except OSError as error:
        if error.errno == errno.ENOTEMPTY:
            raise FileExistsError(target) from error
        raise
