"""Files of a model, in a folder or on the Hub."""

import hashlib
from pathlib import Path

from transformers.utils import cached_file

from umbrella.hub_names import find_repo

SAMPLED_BYTES = 1024**2


def find_model_file(model_name_or_path: str | Path, file_name: str, revision: str | None = None) -> Path | None:
    """The path of a file of a model, fetched from the Hub where the name is no folder; None where there is none.

    Raises FileNotFoundError for a name that is neither a folder nor a model of the Hub.
    """
    folder = Path(model_name_or_path).expanduser()
    options = find_repo(model_name_or_path)
    if folder.is_dir():
        return folder / file_name if (folder / file_name).is_file() else None
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


def fingerprint_model(model_name_or_path: str) -> str:
    """Tells one set of weights from another: sha256 of names, sizes and first and last megabyte of the weight files.

    A model that is not a folder has its name.
    """
    files = sorted(Path(model_name_or_path).glob("*.safetensors")) if Path(model_name_or_path).is_dir() else []
    if not files:
        return str(model_name_or_path)
    digest = hashlib.sha256()
    for path in files:
        size = path.stat().st_size
        digest.update(f"{path.name} {size}".encode())
        with open(path, "rb") as file:
            digest.update(file.read(SAMPLED_BYTES))
            file.seek(max(0, size - SAMPLED_BYTES))
            digest.update(file.read())
    return digest.hexdigest()
