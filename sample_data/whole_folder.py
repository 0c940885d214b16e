"""A folder that takes its place whole or not at all, whatever ends the program that writes it.

PARENT/NAME               the folder: the old one or the new one; for the instant between two renames none
PARENT/.NAME.writing/     new/, old/ and the lock that a living writer holds, which marks the folder as ours
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

_LOCK = "lock"
_PARTS = {_LOCK, "new", "old"}
_PATIENCE_S = 5  # for the child processes of a writer that was killed: they hold its lock until they have ended


@contextmanager
def write_folder(output_dir: Path) -> Iterator[Path]:
    """Gives a hidden folder to write into; at the end it takes the place of `output_dir` (absolute, without links).

    What a killed run has left, the next one for the same place removes; an old folder that it had put aside already
    comes back first. Raises FileExistsError where another process writes the same folder.
    """
    workplace = output_dir.with_name(f".{output_dir.name}.writing")
    new, old = workplace / "new", workplace / "old"
    with _claim(workplace, output_dir):
        try:
            _clear(new, old, output_dir)
            new.mkdir()
            yield new
            if output_dir.exists():
                output_dir.rename(old)
            new.rename(output_dir)
        finally:
            _clear(new, old, output_dir)


def _clear(new: Path, old: Path, output_dir: Path) -> None:
    if old.exists() and not output_dir.exists():
        old.rename(output_dir)
    for folder in (new, old):
        if folder.exists():
            shutil.rmtree(folder)


@contextmanager
def _claim(workplace: Path, output_dir: Path) -> Iterator[None]:
    workplace.mkdir(parents=True, exist_ok=True)
    found = set(os.listdir(workplace))
    if not found <= _PARTS or (found and _LOCK not in found):
        raise FileExistsError(
            f"{workplace}: expected no such folder or what a killed run left in it, found other files, as "
            f"{min(found - {_LOCK})}; move it away or choose another output folder"
        )
    lock = FileLock(workplace / _LOCK, timeout=_PATIENCE_S)
    try:
        lock.acquire()
    except Timeout:
        raise FileExistsError(
            f"{output_dir}: expected no other process that writes this folder, found one; wait until it has ended, "
            "or choose another output folder"
        ) from None
    try:
        yield
    finally:
        is_empty = os.listdir(workplace) == [_LOCK]  # unless it was interrupted while it cleared
        if is_empty:
            (workplace / _LOCK).unlink()
        lock.release()
        if is_empty:
            with suppress(OSError):  # the next writer has come in already
                workplace.rmdir()
