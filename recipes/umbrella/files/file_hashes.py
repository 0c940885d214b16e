"""sha256 of large files: the whole of each is read once, and again only when it has changed."""

import contextlib
import hashlib
import json
import re
import time
from pathlib import Path

from huggingface_hub import constants

from umbrella.files.contained_files import is_remote, open_file
from umbrella.files.json_files import write_json

# As git does with its index: within the clock's tick a file could change again and keep its time.
SETTLED_NS = 2 * 10**9


def hash_file(path: str | Path) -> str:
    """The file's sha256. One of the Hub's cache has the Hub's own for its name; others are kept by place, size, times
    and inode under HF_HOME, where that can be written. An object in a store is read."""
    if is_remote(path):
        with open_file(path) as file:
            return hashlib.sha256(file.read()).hexdigest()
    path = Path(path).resolve()
    if _is_blob(path):
        return path.name
    status = path.stat()
    state = [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
    kept = _cache_dir() / f"{hashlib.sha256(str(path).encode()).hexdigest()}.json"
    known = _read(kept)
    if known is not None and known["state"] == state:
        return known["sha256"]
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if time.time_ns() - max(status.st_mtime_ns, status.st_ctime_ns) > SETTLED_NS:
        _keep(kept, {"state": state, "sha256": digest})
    return digest


def _cache_dir() -> Path:
    return Path(constants.HF_HOME) / "umbrella" / "sha256"


def _is_blob(path: Path) -> bool:
    """Whether it is a large file in the Hub's cache, models--OWNER--NAME/blobs/SHA256; small ones have git's sha1."""
    in_cache = path.parent.name == "blobs" and (path.parents[1] / "snapshots").is_dir()
    return in_cache and re.fullmatch("[0-9a-f]{64}", path.name) is not None


def _read(path: Path) -> dict | None:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # none, or cut short: the file is read again
        return None


def _keep(path: Path, entry: dict) -> None:
    with contextlib.suppress(OSError):  # a home that cannot be written, or is by another, costs time, nothing else
        write_json(path, entry)
