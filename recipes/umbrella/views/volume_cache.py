"""A folder that keeps the views of scans, so that each scan is decoded once; for any number of processes at once.

    DIR/umbrella_views/CACHEDIR.TAG    the marker of a folder of ours (bford.info/cachedir): backups leave it out
    …/3f/3fa94c….view                  an entry: digest (8 bytes), shape and repeats (5 × uint32), float32 values

DIR may hold other files: nothing is written or removed outside of umbrella_views, nor there without the marker, nor
any file that has no name of ours.

An entry's name is a hash of the scan's identity, of every option and of the code that decides the result, so whatever
changes makes another entry; the old one is used no more and goes out as the least recently used. A scan's file is
known by its path, inode, size, and times of modification and of change: any write, rename or copy over it is seen, on
a file system that keeps the time of change, unless it comes within one tick of the clock. Where inodes do not last (a
few network mounts), or the scans move, they are decoded again.
"""

import functools
import os
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import xxhash

from umbrella.files.bounded_folder import BoundedFolder, Kind
from umbrella.files.contained_files import (
    RemoteError,
    find_packed,
    identify_object,
    is_inside,
    is_remote,
    split_root,
)
from umbrella.scans.gradients import GRADIENTS, gradients_path
from umbrella.scans.scan_files import refuse_object

DEFAULT_GB = 50.0
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
SHAPE = struct.Struct("<5I")  # images, stored channels, height, width, repeats of each channel
FOLDER = "umbrella_views"
PAIR_ENDS = (".hdr", ".hdr.gz", ".img", ".img.gz")


class VolumeCache(BoundedFolder):
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
        kind = Kind("view", "Views of scans", name, made)
        super().__init__(kind, Path(folder) / FOLDER, int(most_gb * 1e9), is_quiet)

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

    def holds(self, load_view: Callable, source: str | Path | bytes, **options: Any) -> bool:
        """Whether there is an entry, be it whole or not."""
        key = self.make_key(load_view, source, **options)
        return key is not None and self.entry_size(key) > 0

    def get(self, key: str) -> np.ndarray | None:
        """The entry's views; None where there is none, or none that is whole."""
        content = self.read(key)
        if content is None:
            return None
        return unpack_views(content)

    def put(self, key: str, views: np.ndarray) -> None:
        """Add or replace an entry; a reader sees the old one or the new one, never a part of it."""
        if self.is_writable:
            self.write(key, pack_views(views))


def open_volume_cache(folder: str | Path | None, most_gb: float = DEFAULT_GB) -> VolumeCache | None:
    """The cache that `--volume_cache` names; None without."""
    return None if folder is None else VolumeCache(folder, most_gb)


def identify_scan(source: str | Path | bytes) -> tuple | None:
    """What tells a scan from any other and from itself after a change: a hash of its bytes, or the real path, inode,
    size and times of its file, or files for an .hdr/.img pair and a .bval beside it; of an object in a store the
    address, size and tag. None where there is no file, and where one lies outside the folder that it is held to, see
    `umbrella.files.contained_files`. A scan in a shard is told by its bytes, as the index states them. Raises
    ScanError where a store refuses it, RemoteError where it gives no answer."""
    if isinstance(source, bytes):
        return len(source), xxhash.xxh3_128_hexdigest(source)
    root, path = split_root(source)
    if (packed := find_packed()) is not None and (identity := packed.identify(path, root)) is not None:
        return identity, packed.identify(gradients_path(path) or path, root)
    names = list_files(path)
    if is_remote(path):
        return _identify_objects(names)
    found = []
    for name in names:
        if name.endswith(GRADIENTS) and not found:
            continue
        with suppress(OSError):
            status = os.stat(name)
            if not is_inside(name, root):
                return None
            real = os.path.realpath(name)
            found.append((real, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns))
    return tuple(found) or None


def list_files(path: str) -> list[str]:
    """All that a scan may consist of: its file, or those of an .hdr/.img pair under each name they can have, and a
    .bval beside it, which chooses the frames of a diffusion series."""
    stem = path.removesuffix(".gz")
    names = [stem[:-4] + end for end in PAIR_ENDS] if stem.endswith((".hdr", ".img")) else [path]
    gradients = gradients_path(path)
    return names if gradients is None else [*names, gradients]


def _identify_objects(urls: list[str]) -> tuple | None:
    found = []
    for url in urls:
        if url.endswith(GRADIENTS) and not any(found):
            return None
        try:
            found.append(identify_object(url))
        except RemoteError as error:
            # Without the right to list, a store refuses what is not there. Who reads b-values is told.
            if not (error.kind == "forbidden" and url.endswith(GRADIENTS)):
                refuse_object(error)
    return tuple(filter(None, found)) or None


@functools.cache
def hash_code() -> str:
    """A hash of the source of every module that decides what a view looks like."""
    digest = xxhash.xxh3_128()
    for name in CODE:
        digest.update((Path(__file__).parents[1] / name).read_bytes())
    return digest.hexdigest()


def pack_views(views: np.ndarray) -> bytes:
    """The bytes of an entry."""
    # Of most views the three channels are the same: one is stored.
    repeats = 3 if views.shape[1] == 3 and (views == views[:, :1]).all() else 1
    stored = np.ascontiguousarray(views[:, : views.shape[1] // repeats], np.float32)
    return SHAPE.pack(*stored.shape, repeats) + stored.tobytes()


def unpack_views(content: bytes | memoryview) -> np.ndarray:
    """The inverse of `pack_views`."""
    *shape, repeats = SHAPE.unpack_from(content)
    return np.frombuffer(content, np.float32, offset=SHAPE.size).reshape(shape).repeat(repeats, axis=1)
