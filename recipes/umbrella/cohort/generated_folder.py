"""A data folder that a generator writes whole or not at all, and never over a user's own files."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from umbrella.files.whole_folder import write_folder
from umbrella_dataset import MANIFEST, MANIFEST_WRITER, FormatError, read_manifest


@contextmanager
def replace_folder(output_dir: Path) -> Iterator[Path]:
    """Gives a hidden folder beside `output_dir` (absolute) to write into; it takes `output_dir`'s place at the end.

    A second run leaves no stale file. A folder that holds anything that no generator wrote is refused
    (FileExistsError) before the work begins.
    """
    _refuse_foreign_files(output_dir)
    with write_folder(output_dir) as folder:
        yield folder
        write_manifest(folder)
        _refuse_foreign_files(output_dir)


def write_manifest(folder: Path) -> None:
    """Name every file of a data folder, and how many conversations each .jsonl file holds.

    So a later run replaces these files and never a user's own, and no reader takes a part of the folder for all of it.
    """
    files = _files_below(folder)
    counts = {name: _count_lines(folder / name) for name in files if name.endswith(".jsonl")}
    manifest = {"written_by": MANIFEST_WRITER, "files": files, "conversations": counts}
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")


def _files_below(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())


def _count_lines(path: Path) -> int:
    with path.open("rb") as file:
        return sum(1 for _ in file)


def _refuse_foreign_files(output_dir: Path) -> None:
    if not output_dir.exists():
        return
    if not output_dir.is_dir():
        raise FileExistsError(f"{output_dir}: expected a folder to write, found a file; choose another --output_dir")
    try:
        manifest = read_manifest(str(output_dir))
    except FormatError:  # then nothing is known to be ours
        manifest = None
    ours = {MANIFEST, *manifest.files} if manifest else set()
    foreign = [file for file in _files_below(output_dir) if file not in ours]
    if foreign:
        unknown = "" if manifest else f". {MANIFEST}, which says what a generator wrote, is not there or not whole"
        raise FileExistsError(
            f"{output_dir}: expected an empty folder or one that a generator wrote (it is replaced), found "
            f"{len(foreign)} other file(s), the first {foreign[0]}; move them away or choose another "
            f"--output_dir{unknown}"
        )
