"""A model's folder before libraries read it: their words on a file that is empty, cut short or another do not name it.

Read are the JSON and text files and the headers of the weights; of a large vocabulary that takes a second.
"""

import os
from pathlib import Path

from safetensors import SafetensorError, safe_open

from umbrella.files.json_files import parse_json, read_json

REMEDY = "Save or fetch the model again"
# File → keys without which no library takes it.
OBJECTS = {
    "config.json": ("model_type",),
    "generation_config.json": (),
    "adapter_config.json": ("peft_type",),
    "processor_config.json": (),
    "preprocessor_config.json": (),
    "image_processor_config.json": (),
    "video_preprocessor_config.json": (),
    "tokenizer.json": ("model",),
    "tokenizer_config.json": (),
    "special_tokens_map.json": (),
    "added_tokens.json": (),
    "vocab.json": (),
    "chat_template.json": (),
}
TEXTS = ("chat_template.jinja", "merges.txt", "vocab.txt")
OTHERS = (
    "tokenizer.model",
    "base_model.json",
    "umbrella_recipe.json",
    "umbrella_questions.json",
    "training_data.json",
)
WEIGHTS = "*.safetensors"
INDEX = "*.safetensors.index.json"
MOST_HEADER_BYTES = 100 * 10**6  # safetensors' own bound
ENTRY = {"dtype", "shape", "data_offsets"}  # what a header says of a tensor


def check_model_folder(folder: str | Path) -> None:
    """Raises ValueError for a file that is not what its name says; nothing for one that is absent, or no folder."""
    folder = Path(folder).expanduser()
    for path in [*map(folder.joinpath, (*OBJECTS, *TEXTS, *OTHERS)), *sorted(folder.glob(WEIGHTS))]:
        _check_is_file(path)
    for name, keys in OBJECTS.items():
        if (folder / name).is_file():
            read_json(folder / name, dict, keys, REMEDY, keys_twice=True)
    for path in sorted(folder.glob(INDEX)):
        weights = read_json(path, dict, ("weight_map",), REMEDY, keys_twice=True)["weight_map"]
        shards = sorted(set(map(str, weights.values()))) if isinstance(weights, dict) else [str(weights)]
        missing = [shard for shard in shards if not (folder / shard).is_file()]
        if missing:
            raise ValueError(f"{path}: expected the files that it names beside it, found no {missing[0]}. {REMEDY}")
    for path in map(folder.joinpath, TEXTS):
        if path.is_file():
            _check_text(path)
    for path in sorted(folder.glob(WEIGHTS)):
        read_header(path)


def _check_is_file(path: Path) -> None:
    """Raises ValueError for a folder, a pipe or a broken link in a file's place, of which libraries say that there is
    no such file, or nothing."""
    if os.path.lexists(path) and not path.is_file():
        found = "a folder" if path.is_dir() else "a pipe or a device" if path.exists() else "a link to nothing"
        raise ValueError(f"{path}: expected a file, found {found}. {REMEDY}")


def read_header(path: Path) -> dict:
    """The header of a safetensors file: name → {"dtype", "shape", "data_offsets"}, and "__metadata__".

    Format: 8 bytes with its length, JSON, then the tensors without a gap (huggingface.co/docs/safetensors). Raises
    ValueError for a file that is none or is not whole, and for one that holds anything else.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        data = file.read(min(length, MOST_HEADER_BYTES, size))
    try:
        header = parse_json(data.decode())
        ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
        expected = 8 + length + max(ends, default=0)
    except (ValueError, RecursionError, TypeError, KeyError, AttributeError, IndexError):
        found = "an empty file" if size == 0 else f"{size} bytes without its header"
        raise ValueError(f"{path}: expected weights as safetensors, found {found}. {REMEDY}") from None
    if size != expected:
        raise ValueError(f"{path}: expected {expected} bytes, as its header says, found {size}. {REMEDY}")
    more = [key for name, entry in header.items() if name != "__metadata__" for key in entry.keys() - ENTRY]
    if more:
        expected = ", ".join(sorted(ENTRY))
        raise ValueError(f"{path}: expected of each tensor {expected}, found {more[0]!r} too. {REMEDY}")
    try:
        with safe_open(path, "numpy"):  # which looks for gaps, and for a shape that does not fill its bytes
            return header
    except SafetensorError as error:
        raise ValueError(f"{path}: expected tensors one behind the other, found {error}. {REMEDY}") from None


def _check_text(path: Path) -> None:
    try:
        is_text = path.read_bytes().decode().strip(" \n\0") != ""
    except UnicodeDecodeError:
        is_text = False
    if not is_text:
        raise ValueError(f"{path}: expected a text in UTF-8, found none. {REMEDY}")
