"""Files are written whole or not at all, and what goes wrong in writing is one sentence: the place, the reason, a way
out. The disk may be full at any write, the folder read-only at any open."""

import errno
import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from umbrella.files.claimed_folder import claim

NOT_WRITTEN: dict[int | None, str] = {
    errno.ENOSPC: "no space left on the disk",
    errno.EDQUOT: "a quota that is used up",
    errno.EFBIG: "no room for a file of this size",
    errno.EROFS: "a file system that is only read",
}
# Libraries that write by other means than Python's: Arrow's, safetensors' and torch's words.
_SAID = {
    errno.ENOSPC: re.compile(
        "No space left on device|Not enough disk space|os error 28|PytorchStreamWriter|inline_container"
    ),
    errno.EDQUOT: re.compile("Disk quota exceeded|os error 122"),
    errno.EFBIG: re.compile("File too large|os error 27"),
    errno.EROFS: re.compile("Read-only file system|os error 30"),
}
REMEDY = "choose another folder, and start again"
PARTIAL = ".umbrella.partial"


class WriteError(OSError):
    """A file or folder that could not be written; the message says where, why and what to do."""


@contextmanager
def writing(place: str | Path, remedy: str = REMEDY) -> Iterator[None]:
    """Within it, a full disk and a folder that is only read end in a WriteError that names `place`, or the file that
    the system names. `remedy`: what to do where no room can be made, without its full stop."""
    try:
        yield
    except Exception as error:
        explained = explain_failed_write(error, place, remedy)
        if explained is None:
            raise
        raise explained from error


def explain_failed_write(error: BaseException, place: str | Path | None, remedy: str = REMEDY) -> WriteError | None:
    """The WriteError for what an error, or the cause that it names, comes from; None where it is of another kind, or
    a ValueError, which says itself what is wrong.

    `place`: None takes what the system names, or "a file".
    """
    seen = []
    while error is not None and error not in seen and not isinstance(error, ValueError):
        if isinstance(error, WriteError):
            return error
        number, named = _find_reason(error)
        if number in NOT_WRITTEN:
            way = "Mount it for writing" if number == errno.EROFS else "Make room"
            said = f"expected to write it, found {NOT_WRITTEN[number]}. {way}, or {remedy}."
            return WriteError(f"{place or named or 'a file'}: {said}")
        if number in (errno.EACCES, errno.EPERM):
            said = "expected a file or folder that this user may read and write, found that it may not"
            return WriteError(f"{named or place or 'a file'}: {said}. Change its permissions, or {remedy}.")
        if number in (errno.ENOTDIR, errno.EEXIST) and (file := _find_file_above(named)):
            said = "expected a folder, found a file in its place. Move it away"
            return WriteError(f"{file}: {said}, or {remedy}.")
        if number == errno.EISDIR:
            said = "expected a file, found a folder in its place. Move it away"
            return WriteError(f"{named or place}: {said}, or choose another name, and start again.")
        seen.append(error)
        error = error.__cause__
    return None


def _find_file_above(path: str | None) -> Path | None:
    """What lies at a path, or highest above it, and is no folder."""
    places = [] if path is None else [*reversed(Path(path).parents), Path(path)]
    return next((place for place in places if place.exists() and not place.is_dir()), None)


def name_reason(error: BaseException) -> str:
    """Why a file could not be written, in words; of an error of another kind, its first line."""
    return NOT_WRITTEN.get(_find_reason(error)[0]) or str(error).splitlines()[0]


def _find_reason(error: BaseException) -> tuple[int | None, str | None]:
    """(errno, the file that the system names)."""
    if isinstance(error, OSError) and error.errno is not None:
        named = error.filename2 or error.filename
        return error.errno, None if named is None else str(named)
    said = str(error)
    return next((number for number, pattern in _SAID.items() if pattern.search(said)), None), None


def write_whole(path: Path, text: str) -> None:
    """Write a text as UTF-8, whole or not at all; its folder is made. Equal bytes are not written again."""
    data = text.encode()
    if path.exists() and not path.is_file():  # a pipe or a terminal: nothing is there to be replaced
        with writing(path):
            path.write_bytes(data)
    elif not path.exists() or path.read_bytes() != data:
        with replacing(path.resolve()) as partial:  # a link stays one
            partial.write_bytes(data)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives a hidden file beside `path` to write to, which takes its place at the end; nothing stays of one that
    fails.

    It is .NAME.partial, so that one write replaces what a killed one has left; while another process writes that, a
    name of its own. The folder is made. Raises WriteError.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with _claim_partial(path) as partial:
            try:
                yield partial
                partial.replace(path)
            except BaseException:
                with suppress(OSError):
                    partial.unlink()
                raise


@contextmanager
def _claim_partial(path: Path) -> Iterator[Path]:
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("ab") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_ours = os.path.samestat(os.fstat(held.fileno()), partial.stat())  # and not renamed meanwhile
        except OSError:  # another process has it, or it has just been renamed
            is_ours = False
        yield partial if is_ours else path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")


@contextmanager
def filling(folder: Path, last: str = "config.json") -> Iterator[Path]:
    """Gives a folder within an empty or new one, whose files move up at the end, `last` as the last: until then nobody
    takes it for a model. Nothing stays of one that fails. Raises WriteError, and FileExistsError for a folder that
    another process fills or has filled."""
    is_new, new, moved = not folder.exists(), folder / PARTIAL / "new", []
    with writing(folder, "choose another --output_dir"):
        try:
            with claim(new.parent, {new.name}, folder):
                if others := [path for path in folder.iterdir() if path.name != PARTIAL]:
                    raise FileExistsError(
                        f"{folder}: expected an empty or new folder, found {len(others)} files. Choose another"
                    )
                try:
                    if new.exists():  # of one that was killed
                        shutil.rmtree(new)
                    new.mkdir()
                    yield new
                    for path in sorted(new.iterdir(), key=lambda path: (path.name == last, path.name)):
                        path.rename(folder / path.name)
                        moved.append(folder / path.name)
                    new.rmdir()
                except BaseException:
                    for path in (new, *moved):
                        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
                    raise
        except BaseException:
            if is_new:
                with suppress(OSError):
                    folder.rmdir()
            raise
