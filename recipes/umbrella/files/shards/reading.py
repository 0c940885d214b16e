"""Scans in shards, read one by one in any order, in the place of the files that the rows name.

The rows stay as they are: `use_shards` lets `umbrella.files.contained_files` look here first.
"""

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from umbrella.files.contained_files import (
    find_elsewhere,
    find_packed,
    is_remote,
    set_packed,
    split_root,
)
from umbrella.files.data_format import MODALITIES
from umbrella.files.remote.copies import fetch_ahead as fetch_objects
from umbrella.files.shards.index import (
    Member,
    ShardError,
    name_scan,
    name_view,
)
from umbrella.files.shards.shard_folder import ShardFolder


class Found(NamedTuple):
    """Where a scan, or its view, lies."""

    folder: ShardFolder
    member: Member


def _is_within(path: str | Path, folder: ShardFolder) -> bool:
    return str(path).startswith(folder.root.rstrip("/") + "/")


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
        that was not packed. Raises ShardError where it lies beside two folders, and each holds another by its path."""
        found = [
            Found(folder, member)
            for folder in self.folders
            if self._may_hold(folder, path, root) and (member := folder.find(path, root, modality)) is not None
        ]
        if len({one.member.digest for one in found}) > 1 and not _is_within(path, found[0].folder):
            raise ShardError(
                f"{' and '.join(one.folder.index.place for one in found)}: expected one scan by the path {path}, "
                "found one in each, which differ. Pack anew those that were packed before it was changed, or elsewhere"
            )
        return found[0] if found else None

    def _may_hold(self, folder: ShardFolder, path: str | Path, root: str | None) -> bool:
        """A path that is held to a root is named from there, as those of other roots are: it is this folder's only if
        it lies within. Any other is named by its way from the folder, which leads to that path alone."""
        return len(self.folders) == 1 or root is None or _is_within(path, folder)

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
            own = [i for i, (root, path) in enumerate(split) if self._may_hold(folder, path, root)]
            spelled = [name_scan(split[i][1], split[i][0] or folder.root) for i in own]
            for spelling in range(max(map(len, spelled), default=0)):
                names = [one[min(spelling, len(one) - 1)] for one in spelled]
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
