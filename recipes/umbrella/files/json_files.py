"""JSON records beside models: written whole or not at all, read with the file's name in what goes wrong."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from umbrella.files.written_files import write_whole

MOST_SHOWN = 60  # characters of what was found
RESTORE = "Restore the file from a copy"


def write_json(path: Path, value: Any, indent: int = 1) -> None:
    """Write a value; one that is killed meanwhile leaves the file as it was. Equal bytes are not written again."""
    write_whole(path, json.dumps(value, indent=indent) + "\n")


def read_json(
    path: Path,
    expected: type | None = None,
    names: tuple[str, ...] = (),
    remedy: str = RESTORE,
    keys_twice: bool = False,
) -> Any:
    """The value in a JSON file.

    Args:
        expected: dict or list; None takes any value.
        names: keys that the object must have.
        remedy: the end of the sentence, without its full stop.
        keys_twice: take a key that comes twice in one object, as libraries do: the last one counts. For what others
            wrote and only libraries read; never where a text could hide in the first one.

    Raises ValueError that names the file, what was expected and what was found.
    """
    try:
        value = (json.loads if keys_twice else parse_json)(path.read_bytes().decode())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: expected JSON, found {_describe_bytes(path, error)}. {remedy}") from error
    kinds: dict[type | None, str] = {dict: "a JSON object", list: "a JSON list", None: "JSON"}
    kind = kinds[expected]
    if expected is not None and not isinstance(value, expected):
        raise ValueError(f"{path}: expected {kind}, found {show_json(value)}. {remedy}")
    missing = [name for name in names if name not in value]
    if missing:
        raise ValueError(f"{path}: expected {kind} with {', '.join(missing)}, found {show_json(value)}. {remedy}")
    return value


def parse_json(text: str) -> Any:
    """json.loads, which of two equal keys would keep the last without a word: ValueError here."""
    return json.loads(text, object_pairs_hook=_to_dict)


def _to_dict(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise ValueError(f"the key {twice!r} twice in one object")
    return found


def build_record(path: Path, build: Callable[[], Any], remedy: str = RESTORE) -> Any:
    """`build()`, which takes the parts of what was read from `path`. Raises ValueError that names the file where these
    are not what it expects."""
    try:
        return build()
    except (TypeError, KeyError, AttributeError, IndexError, ValueError) as error:
        said = f"{type(error).__name__}: {error}"
        raise ValueError(
            f"{path}: expected what Umbrella writes there, found other fields ({said}). {remedy}"
        ) from error


def show_json(value: Any) -> str:
    """A JSON value, its start where it is long."""
    text = json.dumps(value)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."


def _describe_bytes(path: Path, error: Exception) -> str:
    data = path.read_bytes()
    if not data.strip():
        return "an empty file"
    if not data.strip(b"\0"):
        return f"{len(data)} zero bytes"
    if isinstance(error, UnicodeDecodeError):
        return f"a byte 0x{data[error.start]:02x} at {error.start}, which is not UTF-8"
    return f"something else ({error})"
