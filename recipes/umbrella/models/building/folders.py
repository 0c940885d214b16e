"""The folder of a model that was put together: new, or one that was written so before; whole or not at all."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from umbrella.files.json_files import read_json, write_json
from umbrella.files.whole_folder import write_folder
from umbrella.files.written_files import writing
from umbrella.models.building.assembly import BuiltModel
from umbrella.options.build_arguments import BuildArguments

FILE_NAME = "build.json"
WRITER = "recipes/build_model.py"
REMEDY = "choose another --output_dir"


def check_output_dir(output_dir: str, overwrite: bool) -> Path:
    """The folder to write, absolute and without links.

    Raises ValueError for a file, and for a folder with anything in it; with `overwrite` only where something of it was
    not written by `write_model`.
    """
    path = Path(output_dir).expanduser().resolve()
    if path.exists() and not path.is_dir():
        raise ValueError(f"--output_dir {output_dir}: expected a folder to write, found a file. {REMEDY.capitalize()}")
    found = list_files(path)
    if found and not overwrite:
        raise ValueError(
            f"--output_dir {output_dir}: expected a new or empty folder, found {len(found)} files. Choose another, or "
            "replace one that this command wrote with --overwrite"
        )
    foreign = sorted(found - find_own(path))
    if foreign:
        raise ValueError(
            f"--output_dir {output_dir}: expected a folder that this command wrote, found files of others in it, as "
            f"{foreign[0]}. Move them away, or choose another --output_dir"
        )
    return path


def list_files(folder: Path) -> set[str]:
    """All files below a folder, by their paths in it."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}


def find_own(folder: Path) -> set[str]:
    """The files that `write_model` wrote into a folder; none where nothing says so."""
    if not (folder / FILE_NAME).is_file():
        return set()
    record = read_json(folder / FILE_NAME, dict)
    return {FILE_NAME, *map(str, record.get("files", ()))} if record.get("written_by") == WRITER else set()


@contextmanager
def write_model(output_dir: Path, args: BuildArguments, built: BuiltModel) -> Iterator[Path]:
    """Gives a hidden folder to write the model into, which takes the place of `output_dir` at the end, with
    `build.json`: the arguments, what it was made of, what was settled. Raises WriteError."""
    with writing(output_dir, REMEDY), write_folder(output_dir) as folder:
        yield folder
        record = {
            "written_by": WRITER,
            "arguments": asdict(args),
            "parts": built.parts,
            "notes": built.notes,
            "files": sorted(list_files(folder)),
        }
        write_json(folder / FILE_NAME, record)
