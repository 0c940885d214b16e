"""A folder that takes its place whole or not at all, whatever ends the program that writes it.

PARENT/NAME               the folder: the old one or the new one; for the instant between two renames none
PARENT/.NAME.writing/     new/, old/ and the lock that a living writer holds, which marks the folder as ours
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from umbrella.files.claimed_folder import claim


@contextmanager
def write_folder(output_dir: Path) -> Iterator[Path]:
    """Gives a hidden folder to write into; at the end it takes the place of `output_dir` (absolute, without links).

    What a killed run has left, the next one for the same place removes; an old folder that it had put aside already
    comes back first. Raises FileExistsError where another process writes the same folder.
    """
    workplace = output_dir.with_name(f".{output_dir.name}.writing")
    new, old = workplace / "new", workplace / "old"
    with claim(workplace, {new.name, old.name}, output_dir):
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
