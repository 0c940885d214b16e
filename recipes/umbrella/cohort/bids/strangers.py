"""Why a participants' table and a tree do not belong together, and the way to read such a tree all the same."""

import os
import shlex
from pathlib import Path

from umbrella.cohort.shared.visits import Exclusions, NoScansError
from umbrella.cohort.tables.image_template import IMAGES
from umbrella.cohort.tables.table_rows import Table
from umbrella.records.cohort import NO_ROW

_MOST_FOLDERS = 200  # that are looked into for an example of a scan


def refuse_strangers(
    bids_dir: Path, table: Path, id_column: str, keys: list[str], folders: dict[str, str], exclusions: Exclusions
) -> NoScansError:
    """No participant of the table has a folder `sub-*`: all of them, and all folders, are counted as left out."""
    for key in keys:
        exclusions.add("no scan", f"no folder sub-{key}", key)
    for key, folder in sorted(folders.items()):
        exclusions.add(NO_ROW, f"{folder}: no row in {table}", f"sub-{key}")
    there = f"the tree has {', '.join(list(folders)[:3])}" if folders else "the tree has no sub-* folder"
    template = suggest_template(bids_dir, table.parent, keys, id_column)
    if template is not None:
        flags = shlex.join(["--participants", str(table), "--id_column", id_column, "--image_template", template])
        remedy = f"Its folders have no names of BIDS; in place of --bids_dir: {flags}"
    elif folders:
        remedy = "Write the ids as the folders do, or name their column with --id_column"
    else:
        remedy = "Name another --bids_dir, or in its place --participants and --image_template"
    return NoScansError(
        f"{bids_dir}: expected a folder for the participants of {table}, found none of them: the table has "
        f"{', '.join(keys[:3])}, {there}. {remedy}"
    )


def refuse_sessions(
    table: Path, column: str, participants: Table, there: list[str], exclusions: Exclusions
) -> NoScansError:
    """No row belongs to a session folder."""
    values = list(dict.fromkeys(row[column] for row in participants.rows)) if column in participants.columns else []
    if not (values and there):
        return NoScansError(f"{table}: expected visits, found none: {exclusions.summarise()}")
    shown = f"{', '.join(values[:3])}{', ...' if len(values) > 3 else ''}"
    folders = f"{', '.join(f'ses-{name}' for name in there[:3])}{', ...' if len(there) > 3 else ''}"
    return NoScansError(
        f"{table}: --session_column: expected a column that names the tree's session folders ({folders}), found "
        f"{column} with {shown}. Name another column, or leave it out"
    )


def suggest_template(root: Path, table_folder: Path, names: list[str], id_column: str) -> str | None:
    """An --image_template for the first image in a folder of `root` that is named as a participant."""
    for name in names[:_MOST_FOLDERS]:
        images = _list_images(root / name) if name and os.path.basename(name) == name else []
        if images:
            image = min(images, key=lambda path: ("T1" not in os.path.basename(path), path.count(os.sep), path))
            base = os.path.relpath(root, table_folder)
            path = os.path.relpath(image, root).replace("{", "{{").replace("}", "}}")
            path = path.replace(name, f"{{{id_column}}}")
            return os.path.normpath(os.path.join(base.replace("{", "{{").replace("}", "}}"), path))
    return None


def _list_images(folder: Path) -> list[str]:
    return sorted(
        os.path.join(place, name)
        for place, _, names in os.walk(folder)
        for name in names
        if name.lower().endswith(IMAGES) and not name.startswith(".")
    )


def find_empty(folder: str | Path) -> str | None:
    """What an empty folder is, with the remedy where it may be a part of a DataLad dataset; None: it is not empty."""
    folder = Path(folder)
    if not folder.is_dir() or any(folder.iterdir()):
        return None
    if any((parent / ".gitmodules").is_file() for parent in folder.absolute().parents):
        return (
            f"an empty folder, a DataLad subdataset that is not installed: datalad get -n {shlex.quote(str(folder))}"
        )
    return "an empty folder: copy its data, or name another"
