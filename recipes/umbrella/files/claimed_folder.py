"""A hidden folder in which one process at a time prepares what is to take its place when it is done.

The lock that a living process holds in it also marks the folder as ours: what a killed one has left may be removed.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

LOCK = "lock"
PATIENCE_S = 5  # for the child processes of a writer that was killed: they hold its lock until they have ended


@contextmanager
def claim(workplace: Path, parts: set[str], output_dir: Path) -> Iterator[None]:
    """Within it this process alone has `workplace`, where nothing lies but `parts`, which the caller removes.

    Raises FileExistsError, which names `output_dir`, where another process has it; and where it holds other files.
    """
    try:
        lock = _lock(workplace, parts)
    except Timeout:
        raise FileExistsError(
            f"{output_dir}: expected no other process that writes this folder, found one; wait until it has ended, "
            "or choose another output folder"
        ) from None
    try:
        yield
    finally:
        is_empty = os.listdir(workplace) == [LOCK]  # unless it was interrupted while it cleared
        if is_empty:
            (workplace / LOCK).unlink()
        lock.release()
        if is_empty:
            with suppress(OSError):  # the next writer has come in already
                workplace.rmdir()


def _lock(workplace: Path, parts: set[str]) -> FileLock:
    """The lock, which is held. Raises Timeout, OSError."""
    lock = FileLock(workplace / LOCK, timeout=PATIENCE_S)
    while True:
        try:
            workplace.mkdir(parents=True)
        except FileExistsError:
            if workplace.is_symlink():  # to nothing it would be waited for without end
                workplace.stat()
        with suppress(FileNotFoundError):  # gone since
            found = set(os.listdir(workplace))
            if not found <= {LOCK, *parts} or (found and LOCK not in found):
                raise FileExistsError(
                    f"{workplace}: expected no such folder or what a killed run left in it, found other files, as "
                    f"{min(found - {LOCK})}; move it away or choose another output folder"
                )
            # A writer that ends takes the folder with it: then filelock finds none, or pathlib stumbles within it.
            with suppress(FileExistsError):
                lock.acquire()
                return lock
