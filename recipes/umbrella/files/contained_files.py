"""Opening files of scans: regular files only, and none outside the folder that its path is held to.

A row that was made with an `image_root`, or comes from a published folder, gives its scans as `ROOT/././sub-01/x.nii`
(`umbrella_dataset.hold_inside`). For every program that is the file ROOT/sub-01/x.nii; here what is opened must lie in
ROOT when it is opened, whatever has become of a folder or a link since the rows were made. So the promise travels with
the row, into caches, workers and other commands. `pathlib` drops the mark: hand paths of rows on as strings.

What cannot be known: whether a file inside has a second name outside (a hard link, a mount).

A path may also be the address of an object in a store, s3://bucket/x.nii: it is read where a command has allowed that,
by what `set_elsewhere` was given. The objects of a store have no links.
"""

import errno
import io
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BufferedIOBase
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from umbrella.files.data_format import ROOT_MARK, SCHEMES

if TYPE_CHECKING:  # flags are answered without it
    import numpy as np

ADDRESS = re.compile(rf"(?:{'|'.join(SCHEMES)})://")
# A secret of S3 may have slashes in it: what stands before its @ is none of the host.
_SHOWN = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*://)(?:[^/]*@|(?!arn:)[^/]*:(?!\d*(?:/|$))[^@]*@)?([^?#]*)", re.DOTALL)

UNANSWERED = ("busy", "stalled", "unreachable", "keys")  # kinds of a RemoteError that say nothing of the object


class RemoteError(OSError):
    """An object cannot be read. The text is a whole sentence that names it; `kind` is one of the words of
    `umbrella.files.remote.faults`."""

    def __init__(self, sentence: str, kind: str = "", url: str = "") -> None:  # torch hands on the sentence alone
        super().__init__(sentence)
        self.kind, self.url = kind, url

    def __reduce__(self) -> tuple:
        return type(self), (str(self), self.kind, self.url)


class AbsentError(RemoteError, FileNotFoundError):
    """There is no such object."""


class Elsewhere(Protocol):
    """Reads what lies in object stores: `umbrella.files.remote.copies`. Raises RemoteError."""

    def open(self, url: str) -> BufferedIOBase: ...

    def identify(self, url: str) -> tuple | None:
        """What tells an object from any other, and from itself after a change; None where there is none."""

    def find_size(self, url: str) -> int | None:
        """In bytes; None where there is none."""

    def find_version(self, url: str) -> str | None:
        """Its size, and its tag where the store has one; None where there is none."""

    def is_copied(self, url: str) -> bool:
        """Whether it can be read without a request."""


_elsewhere: Elsewhere | None = None


def set_elsewhere(files: Elsewhere | None) -> None:
    """From here on this process, and those that it forks, read addresses by `files`."""
    global _elsewhere
    _elsewhere = files


def find_elsewhere() -> Elsewhere | None:
    """What reads addresses; None: nothing does."""
    return _elsewhere


def is_remote(path: str | Path) -> bool:
    """Whether a path is the address of an object in a store."""
    return isinstance(path, str) and ADDRESS.match(path) is not None


def show_address(address: str | Path) -> str:
    """An address without what would be a key; any other path as it is."""
    found = _SHOWN.match(str(address))
    return found[1] + found[2] if found else str(address)


class Packed(Protocol):
    """Files that lie in shards, known by the path that they would have and the folder that it is held to, see
    `umbrella.files.shards.reading`."""

    def read(self, path: str | Path, root: str | None) -> bytes | memoryview | None:
        """The file's bytes; None for one that was not packed. Raises OSError."""

    def identify(self, path: str | Path, root: str | None) -> tuple | None:
        """What tells it from any other; None for one that was not packed."""

    def find_size(self, path: str | Path, root: str | None) -> int | None:
        """In bytes; None for one that was not packed."""

    def find_sizes(self, paths: Sequence[str]) -> "np.ndarray":
        """(n,) The same of very many paths as rows state them; -1 of those that were not packed."""

    def are_packed(self, paths: Sequence[str]) -> "np.ndarray":
        """(n,) bool, whether each of very many, or what is made of it, was packed."""

    def costs_a_request(self, path: str | Path, root: str | None) -> bool | None:
        """Whether to read it asks a store; None for one that was not packed."""


_packed: Packed | None = None


def find_packed() -> Packed | None:
    """The shards that this process reads; None: none."""
    return _packed


def set_packed(packed: Packed | None) -> None:
    """Let what `packed` holds be read from there from now on, in this process and in those that it forks."""
    global _packed
    _packed = packed


def split_root(path: str | Path) -> tuple[str | None, str]:
    """The folder that a path is held to (None: to none), and the path as one writes it. The mark stands behind an
    absolute folder: ././x.nii is a user's own spelling."""
    root, mark, rest = str(path).partition(ROOT_MARK)
    is_held = mark and (root == "" or os.path.isabs(root))
    return (root or "/", f"{root}/{rest}") if is_held else (None, str(path))


def open_inside(path: str | Path, root: str | None) -> BufferedIOBase:
    """Open a regular file to read. Raises OSError, also for one that lies outside `root` now.

    Compared is the file that was opened, so a link that is changed meanwhile cannot lead out. What lies in shards is
    taken from them.
    """
    if _packed is not None and (content := _packed.read(path, root)) is not None:
        return io.BytesIO(content)
    if is_remote(path):
        return _reach(str(path)).open(str(path))
    try:
        file = open(path, "rb", opener=_open_at_once)  # noqa: SIM115 - handed on open
    except ValueError as error:  # it holds a NUL, or half of a surrogate pair
        raise OSError(errno.EINVAL, f"a path that no file can have ({error})") from error
    try:
        opened = os.fstat(file.fileno())
        if not stat.S_ISREG(opened.st_mode):
            raise OSError(errno.EINVAL, "no regular file, but a pipe, a device or the like", str(path))
        if root is not None:
            place = os.path.realpath(path)
            if not is_inside(place, root):
                raise PermissionError(
                    errno.EACCES, f"a link that leads out of {root}, which no scan may leave", str(path)
                )
            if not os.path.samestat(opened, os.lstat(place)):
                raise OSError(errno.ESTALE, "a file that was replaced while it was opened", str(path))
    except BaseException:
        file.close()
        raise
    return file


def open_file(path: str | Path) -> BufferedIOBase:
    """`open_inside` the folder that the path itself is held to."""
    root, name = split_root(path)
    return open_inside(name, root)


def find_size(path: str | Path) -> int | None:
    """Of a file or an object, in bytes; None where there is none. Raises RemoteError where a store does not say."""
    root, name = split_root(path)
    if _packed is not None and (size := _packed.find_size(name, root)) is not None:
        return size
    if is_remote(name):
        return _reach(name).find_size(name)
    return os.path.getsize(name) if os.path.isfile(name) else None


def find_packed_sizes(paths: Sequence[str]) -> list[int | None]:
    """Of very many paths the bytes of those that lie in shards; None of all others."""
    if _packed is None:
        return [None] * len(paths)
    return [None if size < 0 else size for size in _packed.find_sizes(paths).tolist()]


def find_version(path: str | Path) -> int | str | None:
    """What tells a file from itself after a change, wherever it lies: its size, of an object also its tag. None where
    there is none. Raises RemoteError where a store does not say."""
    root, name = split_root(path)
    is_object = is_remote(name) and (_packed is None or _packed.find_size(name, root) is None)
    return _reach(name).find_version(name) if is_object else find_size(path)


@contextmanager
def on_disk(path: str | Path) -> Iterator[str]:
    """The name of a file for libraries that read none but those: an object is written there for as long. Raises
    RemoteError where there is none."""
    if not is_remote(path):
        yield str(path)
        return
    with tempfile.TemporaryDirectory(prefix="umbrella-object-") as folder:
        place = os.path.join(folder, os.path.basename(str(path)))
        with open_file(path) as file, open(place, "wb") as written:
            shutil.copyfileobj(file, written)
        yield place


def identify_object(url: str) -> tuple | None:
    """What tells an object from any other and from itself after a change; None where there is none. Raises
    RemoteError where its store does not say."""
    return _reach(url).identify(url)


def costs_a_request(path: str) -> bool:
    """Whether to read a scan asks a store for it, which sends the whole. Raises RemoteError where there is none."""
    root, name = split_root(path)
    if _packed is not None and (costs := _packed.costs_a_request(name, root)) is not None:
        return costs
    return is_remote(name) and not _reach(name).is_copied(name)


def _reach(url: str) -> Elsewhere:
    if _elsewhere is None:
        shown = show_address(url)
        raise RemoteError(
            f"{shown}: expected a scan on this machine, found an address: allow it by --remote_roots with the "
            "beginning of the addresses that are meant, as s3://bucket/study",
            "not allowed",
            shown,
        )
    return _elsewhere


def is_inside(path: str | Path, root: str | None) -> bool:
    """Whether a file lies in a folder (None: anywhere) now, links followed.

    A snapshot in the Hub's cache holds links to the files of its repository, which lie in blobs/ beside the snapshots.
    """
    if root is None:
        return True
    place, folders = os.path.realpath(path), [os.path.realpath(root)]
    above, name = os.path.split(os.path.dirname(root))
    if name == "snapshots":
        folders.append(os.path.join(os.path.realpath(above), "blobs"))
    return any(os.path.commonpath((place, folder)) == folder for folder in folders)


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # a pipe would be waited for until somebody writes into it
