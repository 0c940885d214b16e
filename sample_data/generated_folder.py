"""A folder that a generator writes whole or not at all, and never over a user's own files."""

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Names every file that a generator wrote, so that a later run replaces those and never a user's own data.
MANIFEST = "generated.json"


@contextmanager
def replace_folder(output_dir: Path) -> Iterator[Path]:
    """Gives a hidden folder beside `output_dir` (absolute) to write into; it takes `output_dir`'s place at the end.

    An interrupted run leaves nothing behind, a second run leaves no stale file. A folder that holds anything that no
    generator wrote is refused (FileExistsError) before the work begins.
    """
    _refuse_foreign_files(output_dir)
    output_dir.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{output_dir.name}.", dir=output_dir.parent) as temporary:
        folder = Path(temporary) / output_dir.name
        folder.mkdir()
        yield folder
        _write_manifest(folder)
        _refuse_foreign_files(output_dir)
        if output_dir.exists():
            shutil.rmtree(output_dir)
        folder.rename(output_dir)


def _files_below(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())


def _write_manifest(folder: Path) -> None:
    text = json.dumps({"written_by": "a generator of Umbrella", "files": _files_below(folder)}, indent=1)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def _refuse_foreign_files(output_dir: Path) -> None:
    if not output_dir.exists():
        return
    if not output_dir.is_dir():
        raise FileExistsError(f"{output_dir}: expected a folder to write, found a file; choose another --output_dir")
    manifest = output_dir / MANIFEST
    ours = {MANIFEST, *json.loads(manifest.read_text(encoding="utf-8"))["files"]} if manifest.exists() else set()
    foreign = [file for file in _files_below(output_dir) if file not in ours]
    if foreign:
        raise FileExistsError(
            f"{output_dir}: expected an empty folder or one that a generator wrote (it is replaced), found "
            f"{len(foreign)} other file(s), the first {foreign[0]}; move them away or choose another --output_dir"
        )
