"""The list of a push's files, `.umbrella_push.json` beside them: the next push knows by it which files are its own,
and whoever loads a table whether it is whole."""

import json
from pathlib import Path

from umbrella.files.json_files import parse_json

MANIFEST = ".umbrella_push.json"


def write_manifest(folder: Path) -> None:
    """Beside what is to be pushed, the list of it."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    text = json.dumps({"files": [name for name in names if name != MANIFEST]}, indent=1)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def parse_manifest(data: bytes) -> set[str] | None:
    """The files that a push lists; None for a list that no push wrote."""
    try:
        found = parse_json(data.decode())
    except (ValueError, RecursionError):
        return None
    files = found.get("files") if isinstance(found, dict) else None
    return set(files) if isinstance(files, list) and all(isinstance(name, str) for name in files) else None
