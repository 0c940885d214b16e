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
    """Raises ValueError that names the file where it is no JSON, or has a key twice in one object."""
    try:
        return parse_json(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: expected JSON, found something else ({error}). Restore the file") from error


def parse_json(text: str):
    """json.loads, which of two equal keys would keep the last without a word: ValueError here."""
    return json.loads(text, object_pairs_hook=_to_dict)


def _to_dict(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for i, key in enumerate(keys) if key in keys[:i])
        raise ValueError(f"the key {twice!r} twice in one object")
    return found
