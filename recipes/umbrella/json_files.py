"""JSON records beside models: written whole or not at all, read with the file's name in what goes wrong."""

import json
from pathlib import Path


def write_json(path: Path, value) -> None:
    """Write a value; one that is killed meanwhile leaves the file as it was. Equal bytes are not written again."""
    text = json.dumps(value, indent=1) + "\n"
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def read_json(path: Path):
    """Raises ValueError that names the file where it is no JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: expected JSON, found something else ({error}). Restore the file") from error
