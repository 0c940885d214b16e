"""Files of a model, in a folder or on the Hub."""

import hashlib
import re
from pathlib import Path

from transformers.utils import cached_file

from umbrella.files.file_hashes import hash_file
from umbrella.models.hub_names import find_repo
from umbrella.options.arguments import BUILT

WEIGHTS = ("*.safetensors", "pytorch_model*.bin")  # the second are read where there are none of the first


def find_model_file(model_name_or_path: str | Path, file_name: str, revision: str | None = None) -> Path | None:
    """The path of a file of a model, fetched from the Hub where the name is no folder; None where there is none,
    nor a model of that name."""
    folder = Path(model_name_or_path).expanduser()
    try:
        options = find_repo(model_name_or_path)
    except FileNotFoundError:  # said by whoever loads the model
        return None
    if folder.is_dir():
        return folder / file_name if (folder / file_name).is_file() else None
    # Private arguments: what is not there is no error here, and transformers has no public way to ask so.
    found = cached_file(
        str(model_name_or_path),
        file_name,
        revision=revision,
        **options,
        _raise_exceptions_for_gated_repo=False,
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=False,
    )
    return Path(found) if found else None


def find_model_folder(model_name_or_path: str | Path, revision: str | None = None) -> Path | None:
    """The folder itself, or the Hub's snapshot in the cache (its name is the commit); None where there is neither."""
    folder = Path(model_name_or_path).expanduser()
    if folder.is_dir():
        return folder
    config = find_model_file(model_name_or_path, "config.json", revision)
    config = config or find_model_file(model_name_or_path, "adapter_config.json", revision)
    return config.parent if config else None


def fingerprint_weights(folder: Path) -> str | None:
    """Tells one set of weights from another: sha256 of the names and the whole content of a folder's weight files;
    None where there are none."""
    files = next((found for pattern in WEIGHTS if (found := sorted(folder.glob(pattern)))), [])
    if not files:
        return None
    return hashlib.sha256("".join(f"{path.name} {hash_file(path)}\n" for path in files).encode()).hexdigest()


def fingerprint_model(model_name_or_path: str) -> str:
    """`fingerprint_weights` with "sha256:" in front, of a folder or of the Hub's snapshot; else the model's name."""
    folder = None if model_name_or_path in BUILT else find_model_folder(model_name_or_path)
    sha256 = folder and fingerprint_weights(folder)
    return f"sha256:{sha256}" if sha256 else str(model_name_or_path)


def is_sampled(fingerprint: str) -> bool:
    """Whether an older version has made it, of the ends of the files: it cannot be compared with newer ones."""
    return re.fullmatch("[0-9a-f]{64}", fingerprint) is not None
