"""A folder that keeps the views of scans, so that each scan is decoded once; for any number of processes at once.

    DIR/3f/3fa94c….view    an entry: digest (8 bytes), shape and repeats (5 × uint32), float32 values
    DIR/size, DIR/lock     the bytes of all entries together, in digits, and the lock under which they are counted

An entry's name is a hash of the scan's identity, of every option and of the code that decides the result, so whatever
changes makes another entry; the old one is used no more and goes out as the least recently used.
"""

# Our own entries: a hit is as fast as from safetensors, which has no checksum, and from diskcache, whose SQLite is
# not safe on the network file systems of clusters (tests/benchmarks/caching.py).

import functools
import io
import os
import struct
import time
import uuid
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import xxhash
from filelock import FileLock, Timeout

from umbrella.contained_files import is_inside, split_root

DEFAULT_GB = 50.0
KEPT_SHARE = 0.9  # of the bound, after the least recently used went out: a sweep must not follow at once
STALE_SECONDS = 3600  # temporary files older than this are left over from a process that was killed
CODE = (
    "scan_files.py",
    "contained_files.py",
    "volumes.py",
    "intensity.py",
    "voxel_statistics.py",
    "views.py",
    "transform.py",
)
DIGEST_BYTES = 8
SIZE_DIGITS = 20
SHAPE = struct.Struct("<5I")  # images, stored channels, height, width, repeats of each channel
PAIR_ENDS = (".hdr", ".hdr.gz", ".img", ".img.gz")


class VolumeCache:
    """Keeps views (n_images, 3, H, W), float32, up to `most_gb` (10⁹ bytes); the least recently used go out first.

    Safe with many workers, ranks and jobs on one folder. A folder that cannot be written, or a full disk, costs one
    warning; then the cache is only read. An entry that is cut short or damaged counts as absent.

    Raises ValueError for a bound that is not above 0.
    """

    def __init__(self, folder: str | Path, most_gb: float = DEFAULT_GB):
        if not most_gb > 0:
            raise ValueError(f"volume_cache_gb: expected a size above 0, found {most_gb}")
        self.folder, self.most_bytes = Path(folder), int(most_gb * 1e9)
        self.is_writable, self.has_warned = True, False
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with self._lock():
                pass
        except Timeout:
            pass  # another process counts: so it can be written
        except (OSError, NotImplementedError) as error:  # the latter from file systems without locks
            self._stop_writing(error)

    def load(self, load_view: Callable[..., np.ndarray], source: str | Path | bytes, **options) -> np.ndarray:
        """`load_view(source, **options)`, from the cache where it is there. Raises what `load_view` raises."""
        key = self.make_key(load_view, source, **options)
        if key is None:
            return load_view(source, **options)
        views = self.get(key)
        if views is None:
            views = load_view(source, **options)
            self.put(key, views)
        return views

    def make_key(self, load_view: Callable, source: str | Path | bytes, **options) -> str | None:
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
        try:
            with io.FileIO(self._path(key)) as file:
                entry = file.readall()
                with suppress(OSError):  # of a folder that is only read, the owner keeps the order
                    os.utime(file.fileno(), ns=(time.time_ns(),) * 2)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            self._warn(f"cannot be read ({error}): the scan is decoded anew")
            return None
        content = memoryview(entry)[DIGEST_BYTES:]
        if entry[:DIGEST_BYTES] != _digest(key, content):
            return None
        *shape, repeats = SHAPE.unpack_from(content)
        return np.frombuffer(content, np.float32, offset=SHAPE.size).reshape(shape).repeat(repeats, axis=1)

    def put(self, key: str, views: np.ndarray) -> None:
        """Add or replace an entry; a reader sees the old one or the new one, never a part of it."""
        if not self.is_writable:
            return
        path = self._path(key)
        temporary = path.with_name(f"{key}.{uuid.uuid4().hex}.tmp")
        entry = _to_entry(key, views)
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
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            self._stop_writing(error)

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.view"

    def _lock(self) -> FileLock:
        # Held for microseconds, or for the length of a sweep: for that nobody waits.
        return FileLock(self.folder / "lock", timeout=0.2, poll_interval=0.002).acquire()

    def _count(self, n_bytes: int) -> None:
        """Add to the size of all entries; above the bound, take the least recently used out."""
        try:
            with self._lock(), open(os.open(self.folder / "size", os.O_RDWR | os.O_CREAT, 0o666), "r+b", 0) as file:
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
                status = item.stat()
                if item.name.endswith(".view"):
                    entries.append((status.st_mtime_ns, status.st_size, item.path))
                elif item.name.endswith(".tmp") and status.st_mtime < time.time() - STALE_SECONDS:
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
        self._warn(f"cannot be written ({error}): what is not in it is decoded each time")

    def _warn(self, what: str) -> None:
        if not self.has_warned:
            warnings.warn(f"volume cache {self.folder} {what}", stacklevel=3)
        self.has_warned = True


def open_volume_cache(folder: str | Path | None, most_gb: float = DEFAULT_GB) -> VolumeCache | None:
    """The cache that `--volume_cache` names; None without."""
    return None if folder is None else VolumeCache(folder, most_gb)


def identify_scan(source: str | Path | bytes) -> tuple | None:
    """What tells a scan from any other and from itself after a change: a hash of its bytes, or the resolved path, size
    and time of change of its file, or files for an .hdr/.img pair. None where there is no file, and where one lies
    outside the folder that it is held to, see `umbrella.contained_files`."""
    if isinstance(source, bytes):
        return len(source), xxhash.xxh3_128_hexdigest(source)
    root, path = split_root(source)
    stem = path.removesuffix(".gz")
    is_pair = stem.endswith((".hdr", ".img"))
    found = []
    for name in [stem[:-4] + end for end in PAIR_ENDS] if is_pair else [path]:
        with suppress(OSError):
            status = os.stat(name)
            if not is_inside(name, root):
                return None
            found.append((os.path.realpath(name), status.st_size, status.st_mtime_ns))
    return tuple(found) or None


@functools.cache
def hash_code() -> str:
    """A hash of the source of every module that decides what a view looks like."""
    digest = xxhash.xxh3_128()
    for name in CODE:
        digest.update(Path(__file__).with_name(name).read_bytes())
    return digest.hexdigest()


def _to_entry(key: str, views: np.ndarray) -> bytes:
    # Of most views the three channels are the same: one is stored.
    repeats = 3 if views.shape[1] == 3 and (views == views[:, :1]).all() else 1
    stored = np.ascontiguousarray(views[:, : views.shape[1] // repeats], np.float32)
    content = SHAPE.pack(*stored.shape, repeats) + stored.tobytes()
    return _digest(key, content) + content


def _digest(key: str, content: bytes | memoryview) -> bytes:
    """Seeded by the key, so that an entry under another's name does not count as whole."""
    return xxhash.xxh3_64_digest(content, seed=int(key[:16], 16))


def _list_files(folder: Path) -> Iterator[os.DirEntry]:
    for part in os.scandir(folder):
        if part.is_dir():
            yield from os.scandir(part)
