"""Conversations about brain scans: JSON folders in, Arrow rows of text and scan paths out.

    load_dataset("./umbrella_dataset.py", data_dir="my_conversations", trust_remote_code=True)  # datasets < 4
    load_dataset("./umbrella_dataset.py", trust_remote_code=True)  # the generated sample data beside this script
    umbrella_dataset.load_umbrella("my_conversations", split="train")  # every version of datasets

A data folder holds `train/`, `validation/` and `test/` (those that exist) with one conversation per .json file, one
per line of a .jsonl file, or both mixed; sample_data/JSON_FORMAT_SPECIFICATION.md says it field by field. The format's
rules live here, once. Rows name scans, they hold no voxels.

Files are opened by `io.FileIO`: `datasets` replaces this module's `open` and `pathlib.Path` by slower ones.
"""

import contextlib
import dataclasses
import errno
import functools
import hashlib
import io
import itertools
import json
import math
import os
import re
import shlex
import signal
import stat
import threading
import time
import urllib.parse
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import datasets
import multiprocess
import pyarrow as pa
import pyarrow.parquet as pq
from datasets.naming import filenames_for_dataset_split

IMAGE_TOKEN = "<image>"
MODALITIES = ("sMRI", "dMRI", "fMRI")
# What else images are called, by BIDS' suffixes and folders among others.
MODALITY_OF = dict.fromkeys(("T1w", "T2w", "FLAIR", "PDw", "T1", "T2", "anat", "MRI"), "sMRI")
MODALITY_OF |= dict.fromkeys(("T1rho", "T2starw", "inplaneT1", "inplaneT2", "swi", "angio"), "sMRI")
MODALITY_OF |= {"dwi": "dMRI", "DTI": "dMRI", "bold": "fMRI", "func": "fMRI", "rest": "fMRI"}
SPLIT_FOLDERS = {
    "train": "train",
    "validation": "validation",
    "val": "validation",
    "valid": "validation",
    "dev": "validation",
    "test": "test",
}
METADATA_FIELDS = ("subject_id", "subject_label", "reference_id", "reference_label", "comparison_type", "task")
_METADATA_FIELDS = frozenset(METADATA_FIELDS)
_RECORD_FIELDS = frozenset(
    ("task_id", "task_type", "subject_ids", "modalities", "images", "conversations", "metadata")
)
ROOT_MARK = "/././"  # ROOT/././sub-01/x.nii is ROOT/sub-01/x.nii for everybody; readers hold it to ROOT
SCHEMES = ("s3", "gs", "https", "hf")  # of scans that lie in object stores
UNKNOWN_FIELDS_KEY = "_record"  # where `metadata.extra` keeps the keys of a record that the format does not know
CHARACTERS_PER_TOKEN = 4
TOKENS_PER_SCAN = 576  # a 336-pixel image in 14-pixel patches, as LLaVA-1.5 has them
MAX_RECORD_BYTES = 1 << 23  # of a record's JSON: Python holds up to a hundred times as much of it
MAX_DEPTH = 100  # of lists and objects in one another: how deep Python's own limit is, depends on who calls
MAX_PATH_CHARACTERS = 4096
MAX_CHARACTERS = 1 << 20  # of all texts of a conversation: a tokenizer holds 300 bytes for each token
MAX_PROBLEMS = 100  # of one record
ROWS_PER_TABLE = 1000
MIN_SHARDS = 64
SAMPLE_FOLDER = "sample_data/sex_comparison_conversations"  # beside this script
SAMPLE_GENERATOR = "sample_data/generate_sex_comparison_conversations.py"
MIGRATE = "validate_json_format.py --migrate OUT_DIR converts it"
MANIFEST = "generated.json"  # names every file that a generator wrote into a data folder
MANIFEST_WRITER = "a generator of Umbrella"

_LOGGER = datasets.logging.get_logger(__name__)
_TEXT = datasets.Value("string")
FEATURES = datasets.Features(
    {
        "task_id": _TEXT,
        "task_type": _TEXT,
        "subject_ids": [_TEXT],
        "modalities": [_TEXT],
        "images": [{"path": _TEXT, "token": _TEXT, "modality": _TEXT}],
        "conversations": [
            {"role": _TEXT, "content": [{"type": _TEXT, "text": _TEXT, "modality": _TEXT, "image_path": _TEXT}]}
        ],
        "metadata": dict.fromkeys((*METADATA_FIELDS, "extra"), _TEXT),
        "source": _TEXT,
        "length": datasets.Value("int64"),
    }
)


class FormatError(ValueError):
    """A data folder, a file or a record that is not as the format says."""


class Problem(NamedTuple):
    """One departure from the format. `kind` is a short name to count by, `field` the place: "images[0].token"."""

    kind: str
    field: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.field}: expected {self.expected}, found {self.found}"


# Files


def find_split_files(data_dir: str | os.PathLike[str]) -> dict[str, list[str]]:
    """Split → its sorted .json and .jsonl files, for the splits that exist, as `list_files` finds them.

    Raises FormatError where `data_dir` is no folder, has no split folder, two for one split, or one without a file,
    and where a file is missing that a generator wrote.
    """
    if not os.path.isdir(data_dir):
        advice = " (several are divided by spaces)" if "," in str(data_dir) else ""
        raise FormatError(
            f"{data_dir}: expected a data folder, found none. Check the path{advice}, or generate the sample data."
        )
    check_manifest(data_dir, tuple(SPLIT_FOLDERS))
    folders = {name: split for name, split in SPLIT_FOLDERS.items() if os.path.isdir(os.path.join(data_dir, name))}
    if not folders:
        raise FormatError(
            f"{data_dir}: expected a folder train, validation or test in it, found none. "
            "Give the folder above them, or move the files into train/."
        )
    split_files = {}
    for name, split in folders.items():
        folder = os.path.join(data_dir, name)
        if split in split_files:
            same = [other for other in folders if folders[other] == split]
            raise FormatError(f"{data_dir}: expected one folder for {split}, found {', '.join(same)}. Keep one.")
        split_files[split] = list_files(folder)
        if not split_files[split]:
            raise FormatError(f"{folder}: expected .json or .jsonl files, found none. Add some or remove the folder.")
    return split_files


_ALIKE = re.compile(r"\.(?:json|jsonl|ndjson)(?:\.(?:gz|bz2|xz|zst|zip))?$", re.IGNORECASE)


def list_files(folder: str) -> list[str]:
    """The sorted paths of a folder's .json and .jsonl files. Hidden files, files of other kinds and subfolders are not
    read.

    Raises FormatError for a folder that cannot be listed, a path that is no UTF-8, and a file that looks like
    conversations and would not be read: x.JSON, x.ndjson, x.json.gz.
    """
    try:
        names = sorted(name for name in os.listdir(folder) if name[0] != "." and _ALIKE.search(name))
    except OSError as error:
        raise FormatError(f"{folder}: expected a folder that can be read, found: {error.strerror}.") from error
    for name in names:
        check_path(folder + os.sep + name)
        if not name.endswith((".json", ".jsonl")):
            raise FormatError(
                f"{folder}{os.sep}{name}: expected conversations in .json or .jsonl files, found another ending. "
                "Rename the file (.ndjson is .jsonl), unpack one that is compressed, or take it out of the folder."
            )
    return [folder + os.sep + name for name in names]


def check_path(path: str) -> None:
    """Raises FormatError for a path that is no UTF-8, which no row could name."""
    try:
        path.encode()
    except UnicodeEncodeError:
        raise FormatError(f"{path!a}: expected a path in UTF-8, found other bytes in it. Rename it.") from None


class Manifest(NamedTuple):
    """What a generator wrote into a data folder: the names of all files, and of each .jsonl file its conversations."""

    files: list[str]
    conversations: dict[str, int]


def read_manifest(data_dir: str | os.PathLike[str]) -> Manifest | None:
    """The manifest of a data folder; None where there is none or another program's JSON of that name.

    Raises FormatError for one that is cut short, or is no JSON.
    """
    path = os.path.join(data_dir, MANIFEST)
    if not os.path.isfile(path):
        return None
    with io.FileIO(path) as file:
        content = parse_record(file.read())
    is_ours = isinstance(content, dict) and content.get("written_by") == MANIFEST_WRITER
    if not is_ours and not isinstance(content, Problem):
        return None
    files = content.get("files") if is_ours else None
    counts = content.get("conversations", {}) if is_ours else None
    if not isinstance(files, list) or not all(isinstance(name, str) for name in files) or not isinstance(counts, dict):
        found = content.found if isinstance(content, Problem) else "something else"
        raise FormatError(
            f"{path}: expected the list of files that a generator wrote, found {found}. Take the folder away and "
            "generate or copy it again, or delete this file if the folder is as it should be."
        )
    return Manifest(files, counts)


def check_manifest(data_dir: str | os.PathLike[str], folders: tuple[str, ...]) -> None:
    """Raises FormatError where a conversation file is missing that a generator wrote into one of these `folders` of
    `data_dir`: it was killed, or the folder was copied in part. Files that were added are the user's own matter."""
    manifest = read_manifest(data_dir)
    if manifest is None:
        return
    present: dict[str, set[str]] = {}
    missing = []
    for name in manifest.files:
        folder, _, file = name.rpartition("/")
        if folder not in folders:
            continue
        if folder not in present:
            path = os.path.join(data_dir, folder)
            present[folder] = set(os.listdir(path)) if os.path.isdir(path) else set()
        if file not in present[folder]:
            missing.append(name)
    if missing:
        raise FormatError(
            f"{data_dir}: expected all conversation files that {MANIFEST} lists, found {len(missing)} missing, the "
            f"first {missing[0]}. Generate or copy the folder again, or delete {MANIFEST} if they were taken out on "
            "purpose."
        )


def find_cut(file: str, folder: str, n_records: int, manifest: Manifest | None) -> Problem | None:
    """The problem of a .jsonl file of the data `folder` that holds fewer records than its generator wrote: a copy cut
    off at the end of a line is no JSON error."""
    expected = manifest.conversations.get(_name_file(file, folder)) if manifest else None
    if not isinstance(expected, int) or n_records >= expected:
        return None
    remedy = f"generate or copy the folder again, or delete {MANIFEST} if they were taken out on purpose"
    return Problem("missing", "file", f"{expected} conversations, as {MANIFEST} says", f"{n_records}; {remedy}")


def find_data_folder(file: str) -> str:
    """The folder, without links, that a file's relative scan paths count from: above its split folder, else the
    file's own."""
    parent = os.path.dirname(os.path.abspath(file))
    is_split = os.path.basename(parent) in (*SPLIT_FOLDERS, "samples")
    return os.path.realpath(os.path.dirname(parent) if is_split else parent)


def find_sample_folder(script_folder: str) -> str | None:
    """The sample data beside the script; None where a script stands alone. Raises FormatError with the command that
    generates them where there are none yet."""
    folder, generator = (
        os.path.abspath(os.path.join(script_folder, name)) for name in (SAMPLE_FOLDER, SAMPLE_GENERATOR)
    )
    if os.path.isdir(folder):
        return folder
    if not os.path.isfile(generator):
        return None
    raise FormatError(
        f'{folder}: expected the sample data (no data_dir="FOLDER" was given), found none. Generate them:\n'
        f"    python {shlex.quote(generator)}"
    )


def read_records(path: str, max_bytes: int | None = MAX_RECORD_BYTES) -> Iterator[tuple[int | None, Any]]:
    """(line number or None, record) of a file, or a Problem in place of a record that cannot be read. Lazy over lines.

    A .json file holds one record, a .jsonl file one a line; blank lines count but hold none. UTF-8 (a leading byte
    order mark is dropped); NaN, Infinity, numbers beyond float64 (1e999), a key twice in one object, lone surrogates,
    more than 100 lists and objects in one another and records above `max_bytes` (None: any size) are problems, as are
    a file without a record and what is no file: folders, pipes, sockets.
    """
    try:
        with io.FileIO(path, opener=_open_at_once) as raw:
            status = os.fstat(raw.fileno())
            if not stat.S_ISREG(status.st_mode):
                yield None, Problem("file", "file", "a regular file", "a pipe, a device or the like")
            elif path.endswith(".jsonl"):
                yield from _read_lines(io.BufferedReader(raw), max_bytes)
            elif max_bytes is not None and status.st_size > max_bytes:
                yield None, _too_large(max_bytes, f"{status.st_size}")
            else:
                yield None, parse_record(raw.readall())
    except OSError as error:
        yield None, Problem("file", "file", "a file that can be read", f"{error.strerror}")


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # a pipe would be waited for until somebody writes into it


def _read_lines(file: io.BufferedReader, max_bytes: int | None) -> Iterator[tuple[int | None, Any]]:
    is_empty, size = True, -1 if max_bytes is None else max_bytes + 1
    for number, line in enumerate(iter(lambda: file.readline(size), b""), 1):
        if len(line) == size:
            yield number, _too_large(max_bytes, "more; what follows was not read")
            return
        if not line.isspace():
            is_empty = False
            yield number, parse_record(line)
    if is_empty:
        yield None, Problem("empty", "file", "at least one conversation", "none")


def _too_large(max_bytes: int | None, found: str) -> Problem:
    return Problem("size", "file", f"records of at most {max_bytes} bytes (of a list of them: {MIGRATE})", found)


def parse_record(data: bytes) -> Any:
    """A record's JSON, or the Problem with it: see `read_records`."""
    try:
        text = data.decode("utf-8-sig")
        record = _DECODER.decode(text)
        if text.count("[") + text.count("{") > MAX_DEPTH and _is_too_deep(record):
            raise RecursionError
        if "\\ud" in text or "\\uD" in text:
            _ENCODER.encode(record).encode("utf-8")
        return record
    except UnicodeDecodeError as error:
        return Problem("encoding", "file", "UTF-8 text", f"byte 0x{data[error.start]:02x} at {error.start}")
    except UnicodeEncodeError as error:
        return Problem("encoding", "file", "whole characters", f"the lone surrogate {error.object[error.start]!a}")
    except RecursionError:
        return Problem("JSON", "file", f"at most {MAX_DEPTH} lists and objects in one another", "more")
    except ValueError as error:
        return Problem("JSON", "file", "one JSON object", str(error) if data.strip() else "an empty file")


def _is_too_deep(value: Any) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        nested = [inner for inner in level if isinstance(inner, (list, dict))]
        level = [value for inner in nested for value in (inner if isinstance(inner, list) else inner.values())]
    return bool(nested)


def _reject_constant(name: str) -> None:
    raise ValueError(f"{name}, which is not JSON")


def _parse_float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"the number {_shorten(text)}, which float64 cannot hold")
    return value


def _parse_int(text: str) -> int:
    if len(text) > 308:
        _parse_float(text)
    return int(text)


def _to_dict(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    unique = dict(pairs)
    if len(unique) != len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise ValueError(f"the key {_shorten(repr(twice))} twice in one object")
    return unique


_DECODER = json.JSONDecoder(
    object_pairs_hook=_to_dict, parse_constant=_reject_constant, parse_float=_parse_float, parse_int=_parse_int
)
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False)


# Rules


class _Enough(Exception):
    """A record has MAX_PROBLEMS problems: a list of a million wrong values is one mistake."""


class _Problems(list):
    def append(self, problem: Problem) -> None:
        super().append(problem)
        if len(self) == MAX_PROBLEMS:
            raise _Enough


def find_problems(record: Any) -> list[Problem]:
    """The structural problems of one record, the first hundred of them. A null value counts as an absent key."""
    problems = _Problems()
    with contextlib.suppress(_Enough):
        _check_record(record, problems)
    return problems


def _check_record(record: Any, problems: list[Problem]) -> None:
    if not isinstance(record, dict):
        problems.append(Problem("record", "record", f"one JSON object (of a list: {MIGRATE})", _show(record)))
        return
    if "conversation" in record and "conversations" not in record:
        expected = f'"conversations" (of version 1: {MIGRATE})'
        problems.append(Problem("version", "conversation", expected, '"conversation"'))
        return
    _check_text(record, "task_id", "", problems)
    _check_text(record, "task_type", "", problems)
    subject_ids = _check_list(record, "subject_ids", problems)
    for index, value in enumerate(subject_ids):
        if not isinstance(value, str) or not value.strip():
            problems.append(Problem("type", f"subject_ids[{index}]", "a non-empty string", _show(value)))
    modalities = _check_list(record, "modalities", problems)
    for index, value in enumerate(modalities):
        if value not in MODALITIES:
            problems.append(_unknown_modality(f"modalities[{index}]", value))
    images = _check_list(record, "images", problems)
    for index, image in enumerate(images):
        _check_image(image, f"images[{index}]", problems)
    if images and record.get("subject_ids") == []:
        problems.append(Problem("missing", "subject_ids", "the subjects of the scans", "an empty list"))
    turns = _check_list(record, "conversations", problems)
    scans: list[tuple[str, dict[str, Any]]] = []
    lengths: list[int] = []
    for index, turn in enumerate(turns):
        _check_turn(turn, f"conversations[{index}]", scans, lengths, problems)
    if sum(lengths) > MAX_CHARACTERS:
        expected = f"texts of at most {MAX_CHARACTERS} characters together"
        problems.append(Problem("size", "conversations", expected, f"{sum(lengths)}"))
    if isinstance(record.get("conversations"), list):
        _check_order(turns, problems)
    if isinstance(record.get("images"), list):
        _check_agreement(record, scans, problems)
    _check_metadata(record.get("metadata"), problems)


def _show(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, (list, dict)):
        return f"{'a list' if isinstance(value, list) else 'an object'} of {len(value)}"
    return _shorten(_ENCODER.encode(value))


def _shorten(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."


def _check_text(parent: dict, key: str, place: str, problems: list[Problem]) -> None:
    value = parent.get(key)
    if not isinstance(value, str) or not value.strip():
        kind = "missing" if value is None else "type"
        problems.append(Problem(kind, f"{place}.{key}" if place else key, "a non-empty string", _show(value)))


def _check_scan_path(parent: dict, key: str, place: str, problems: list[Problem]) -> None:
    _check_text(parent, key, place, problems)
    path = parent.get(key)
    if isinstance(path, str) and ("\0" in path or len(path) > MAX_PATH_CHARACTERS):
        expected = f"a path of at most {MAX_PATH_CHARACTERS} characters, none of them NUL"
        problems.append(Problem("path", f"{place}.{key}", expected, _show(path)))


def _check_list(record: dict, key: str, problems: list[Problem]) -> list:
    value = record.get(key)
    if isinstance(value, list):
        return value
    problems.append(Problem("missing" if value is None else "type", key, "a list", _show(value)))
    return []


def _check_keys(value: Any, place: str, known: frozenset[str], problems: list[Problem]) -> bool:
    """Whether `value` is an object. A key that the format does not know would be lost, so it is a problem."""
    if not isinstance(value, dict):
        problems.append(Problem("type", place, "an object", _show(value)))
        return False
    if not known.issuperset(value):
        for key in value:
            if key not in known and value[key] is not None:
                expected = f"no key but {', '.join(sorted(known))} (metadata takes any)"
                problems.append(Problem("unknown key", place, expected, _show(key)))
    return True


def _unknown_modality(field: str, value: Any) -> Problem:
    return Problem("modality", field, f"one of {', '.join(MODALITIES)}", _show(value) + explain_modality(value))


def explain_modality(value: Any) -> str:
    """Of which modality an image of that name is, as the end of a sentence that has named it; "" where not known."""
    by_name = {name.casefold(): modality for name, modality in MODALITY_OF.items()}
    by_name |= {modality.casefold(): modality for modality in MODALITIES}
    modality = by_name.get(value.casefold()) if isinstance(value, str) else None
    return f", which is {modality}" if modality else ""


_ROLES = ("system", "user", "assistant")
_IMAGE_KEYS = frozenset(("path", "token", "modality"))
_TURN_KEYS = frozenset(("role", "content"))
_ITEM_KEYS = {"text": frozenset(("type", "text")), "image": frozenset(("type", "modality", "image_path"))}


def _check_image(image: Any, place: str, problems: list[Problem]) -> None:
    if _check_keys(image, place, _IMAGE_KEYS, problems):
        _check_scan_path(image, "path", place, problems)
        if image.get("token") != IMAGE_TOKEN:
            problems.append(Problem("token", f"{place}.token", f'"{IMAGE_TOKEN}"', _show(image.get("token"))))
        if image.get("modality") not in MODALITIES:
            problems.append(_unknown_modality(f"{place}.modality", image.get("modality")))


def _check_turn(turn: Any, place: str, scans: list, lengths: list[int], problems: list[Problem]) -> None:
    """Checks one turn, adds its image items to `scans` as (place, item) and its texts' lengths to `lengths`."""
    if not _check_keys(turn, place, _TURN_KEYS, problems):
        return
    role, content = turn.get("role"), turn.get("content")
    if role not in _ROLES:
        problems.append(Problem("role", f"{place}.role", f"one of {', '.join(_ROLES)}", _show(role)))
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    if not isinstance(content, list) or not content:
        expected = "a string or a non-empty list of items"
        found = "an empty list" if content == [] else _show(content)
        problems.append(Problem("missing" if content is None else "type", f"{place}.content", expected, found))
        return
    has_text = False
    for index, item in enumerate(content):
        has_text |= _check_item(item, role, f"{place}.content[{index}]", scans, lengths, problems)
    if role == "assistant" and not has_text:
        problems.append(Problem("no answer", f"{place}.content", "an assistant's text", "none"))


def _check_item(item: Any, role: Any, place: str, scans: list, lengths: list[int], problems: list[Problem]) -> bool:
    """Whether the item has text."""
    kind = item.get("type") if isinstance(item, dict) else None
    if kind not in ("text", "image"):
        problems.append(Problem("content type", f"{place}.type", '"text" or "image"', _show(kind)))
        return False
    _check_keys(item, place, _ITEM_KEYS[kind], problems)
    if kind == "image":
        scans.append((place, item))
        _check_scan_path(item, "image_path", place, problems)
        if item.get("modality") not in MODALITIES:
            problems.append(_unknown_modality(f"{place}.modality", item.get("modality")))
        if role in ("system", "assistant"):
            problems.append(Problem("content type", place, "image items in user turns only", f"one of {_show(role)}"))
        return False
    text = item.get("text")
    if not isinstance(text, str):
        problems.append(Problem("type", f"{place}.text", "a string", _show(text)))
        return False
    lengths.append(len(text))
    if IMAGE_TOKEN in text:
        problems.append(Problem("token", f"{place}.text", f"an image item for a scan, no {IMAGE_TOKEN}", _show(text)))
    return bool(text.strip())


def _check_order(turns: list, problems: list[Problem]) -> None:
    """An optional system turn, then user and assistant in alternation, an assistant's turn last."""
    roles = [turn.get("role") if isinstance(turn, dict) else None for turn in turns]
    start = 1 if roles[:1] == ["system"] else 0
    for index in range(start, len(roles)):
        expected = ("user", "assistant")[(index - start) % 2]
        if roles[index] != expected:
            if roles[index] in _ROLES:  # another word was reported with its turn
                found = _show(roles[index])
                problems.append(Problem("turn order", f"conversations[{index}].role", f'"{expected}"', found))
            break  # every later role would be off by this one
    if len(roles) == start or roles[-1] != "assistant":
        found = _show(roles[-1]) if roles else "no turn"
        problems.append(Problem("no answer", "conversations", "an assistant's turn as the last", found))


def _check_agreement(record: dict, scans: list, problems: list[Problem]) -> None:
    """`modalities`, `images` and the image items of the turns name the same scans in the same order."""
    images = record["images"]
    modalities = record.get("modalities")
    expected = f"{len(images)} (one for each of images)"
    if isinstance(modalities, list):
        if len(modalities) != len(images):
            problems.append(Problem("count", "modalities", expected, str(len(modalities))))
        for index, (image, modality) in enumerate(zip(images, modalities, strict=False)):
            if isinstance(image, dict) and image.get("modality") != modality:
                as_image = f"{_show(image.get('modality'))} as in images[{index}]"
                problems.append(Problem("modality", f"modalities[{index}]", as_image, _show(modality)))
    if record.get("conversations") and len(scans) != len(images):
        problems.append(Problem("count", "conversations", f"image items: {expected}", str(len(scans))))
    for index, (image, (place, item)) in enumerate(zip(images, scans, strict=False)):
        if isinstance(image, dict):
            pairs = (("image_path", image.get("path")), ("modality", image.get("modality")))
            for name, value in pairs:
                if item.get(name) != value:
                    as_image = f"{_show(value)} as in images[{index}]"
                    problems.append(Problem("image item", f"{place}.{name}", as_image, _show(item.get(name))))


def _check_metadata(metadata: Any, problems: list[Problem]) -> None:
    if metadata is None:
        return
    if not isinstance(metadata, dict):
        problems.append(Problem("type", "metadata", "an object", _show(metadata)))
        return
    for name in METADATA_FIELDS:
        value = metadata.get(name)
        if value is not None and not isinstance(value, str):
            problems.append(Problem("type", f"metadata.{name}", "a string (numbers in quotes)", _show(value)))
    if UNKNOWN_FIELDS_KEY in metadata:
        problems.append(Problem("unknown key", "metadata", f"no reserved key {UNKNOWN_FIELDS_KEY}", "it"))


# Records that come twice


class Duplicate(NamedTuple):
    """A task_id that a split has twice, and the sources of its two records."""

    task_id: str
    first: str
    again: str
    is_equal: bool  # whether they are the same conversation


def find_place(source: str) -> str:
    """What a source is counted with: its .jsonl file, or all .json files of its folder ("train/*.json")."""
    lines = re.fullmatch(r"(.*\.jsonl):\d+", source, re.DOTALL)
    return lines[1] if lines else f"{source.rpartition('/')[0] or '.'}/*.json"


def describe_duplicates(split: str, duplicates: list[Duplicate], n_records: Counter[str]) -> list[tuple[str, Problem]]:
    """(source, problem) for each two places that share task_ids: said once, with the count and what to do.

    `n_records` counts all records of each place (see `find_place`); empty where that is not known.
    """
    of_places: dict[tuple[str, str], list[Duplicate]] = {}
    for duplicate in duplicates:
        of_places.setdefault((find_place(duplicate.first), find_place(duplicate.again)), []).append(duplicate)
    described = []
    for (first, again), shared in of_places.items():
        task_id, first_source, source, is_equal = shared[0]
        found = f'"{task_id}" in {first_source} too'
        if len(shared) == 1:
            remedy = "Delete one of them" if is_equal else "Another conversation: give it another task_id"
            described.append((source, Problem("duplicate", "task_id", f"it once in {split}", f"{found}. {remedy}")))
            continue
        n_equal = sum(duplicate.is_equal for duplicate in shared)
        what = "the same conversations" if n_equal == len(shared) else f"{n_equal} of them the same conversations"
        of = f"{len(shared)} of {again}" if again == first else f"{len(shared)} that are in {first} too"
        found = f'{of}, {what} (the first: "{task_id}" in {first_source} and in {source})'
        remedy = _find_remedy(first, again, shared, n_records)
        described.append((again, Problem("duplicate", "task_id", f"each once in {split}", f"{found}. {remedy}")))
    return described


def _find_remedy(first: str, again: str, shared: list[Duplicate], n_records: Counter[str]) -> str:
    if not all(duplicate.is_equal for duplicate in shared):
        return "Keep the right one of each two, or give one of them another task_id"
    if first == again:
        return f"Delete one {'line' if first.endswith('.jsonl') else 'file'} of each two"
    if len(shared) == n_records[again]:
        return f"Keep {first} and move {again} out of the folder: all that it holds is in both"
    if len({duplicate.task_id for duplicate in shared}) == n_records[first]:
        return f"Keep {again} and move {first} out of the folder: all that it holds is in both"
    return f"Delete what {again} has of {first}"


# Rows


def to_row(
    record: dict[str, Any],
    source: str,
    folder: str,
    image_root: str | None = None,
    remote_roots: Sequence[str] | None = None,
) -> dict[str, Any]:
    """The row of a record without problems (see `find_problems`); scan paths come out absolute.

    `length` estimates the row's tokens: characters / 4 + 576 a scan. `metadata.extra` is the JSON text of the other
    metadata keys, with the record's unknown keys under "_record". Raises FormatError for a path outside `image_root`.
    """
    columns = _Columns()
    columns.add(record, source, folder, image_root, remote_roots)
    return columns.to_table().to_pylist()[0]


class _Columns:
    """Rows as flat lists of strings, as Arrow keeps them: nested dicts of all rows cost the garbage collector more
    than the parsing."""

    def __init__(self) -> None:
        self.rows = 0
        self.plain: dict[str, list] = {name: [] for name in ("task_id", "task_type", "source", "length")}
        self.metadata: dict[str, list] = {name: [] for name in (*METADATA_FIELDS, "extra")}
        self.subject_ids, self.modalities, self.paths, self.image_modalities = [], [], [], []
        self.roles, self.types, self.texts, self.item_modalities, self.item_paths = [], [], [], [], []
        # Where the lists of each row (of each turn for items) begin and end.
        self.subjects_end, self.modalities_end, self.images_end, self.turns_end, self.items_end = (
            [0],
            [0],
            [0],
            [0],
            [0],
        )

    def add(
        self,
        record: dict[str, Any],
        source: str,
        folder: str,
        image_root: str | None,
        remote_roots: Sequence[str] | None,
    ) -> None:
        images = record["images"]
        try:
            paths = [resolve_path(image["path"], folder, image_root, remote_roots) for image in images]
        except FormatError as error:
            raise FormatError(f"{source}: images: {error}") from None
        self.rows += 1
        self.subject_ids += record["subject_ids"]
        self.subjects_end.append(len(self.subject_ids))
        self.modalities += record["modalities"]
        self.modalities_end.append(len(self.modalities))
        self.paths += paths
        self.image_modalities += [image["modality"] for image in images]
        self.images_end.append(len(self.paths))
        characters = self._add_turns(record["conversations"], iter(paths))
        plain = self.plain
        plain["task_id"].append(record["task_id"])
        plain["task_type"].append(record["task_type"])
        plain["source"].append(source)
        plain["length"].append(characters // CHARACTERS_PER_TOKEN + TOKENS_PER_SCAN * len(paths))
        self._add_metadata(record)

    def _add_turns(self, turns: list, paths: Iterator[str]) -> int:
        """The number of characters in the turns."""
        characters = 0
        for turn in turns:
            self.roles.append(turn["role"])
            content = turn["content"]
            for item in ({"type": "text", "text": content},) if isinstance(content, str) else content:
                self.types.append(item["type"])
                text = item.get("text")
                self.texts.append(text)
                self.item_modalities.append(item.get("modality"))
                if text is None:
                    self.item_paths.append(next(paths))
                else:
                    self.item_paths.append(None)
                    characters += len(text)
            self.items_end.append(len(self.types))
        self.turns_end.append(len(self.roles))
        return characters

    def _add_metadata(self, record: dict[str, Any]) -> None:
        metadata = record.get("metadata") or {}
        for name in METADATA_FIELDS:
            self.metadata[name].append(metadata.get(name))
        extra = {key: value for key, value in metadata.items() if key not in _METADATA_FIELDS}
        if not _RECORD_FIELDS.issuperset(record):
            extra[UNKNOWN_FIELDS_KEY] = {key: value for key, value in record.items() if key not in _RECORD_FIELDS}
        self.metadata["extra"].append(_ENCODER.encode(extra) if extra else "{}")

    def to_table(self) -> pa.Table:
        items = _to_struct(type=self.types, text=self.texts, modality=self.item_modalities, image_path=self.item_paths)
        turns = pa.StructArray.from_arrays(
            [pa.array(self.roles, pa.string()), _to_lists(self.items_end, items)], ["role", "content"]
        )
        images = _to_struct(path=self.paths, token=[IMAGE_TOKEN] * len(self.paths), modality=self.image_modalities)
        columns = {
            "task_id": pa.array(self.plain["task_id"], pa.string()),
            "task_type": pa.array(self.plain["task_type"], pa.string()),
            "subject_ids": _to_lists(self.subjects_end, pa.array(self.subject_ids, pa.string())),
            "modalities": _to_lists(self.modalities_end, pa.array(self.modalities, pa.string())),
            "images": _to_lists(self.images_end, images),
            "conversations": _to_lists(self.turns_end, turns),
            "metadata": _to_struct(**self.metadata),
            "source": pa.array(self.plain["source"], pa.string()),
            "length": pa.array(self.plain["length"], pa.int64()),
        }
        return pa.table(columns, schema=FEATURES.arrow_schema)


def _to_struct(**columns: list[str | None]) -> pa.StructArray:
    return pa.StructArray.from_arrays([pa.array(values, pa.string()) for values in columns.values()], list(columns))


def _to_lists(ends: list[int], values: pa.Array) -> pa.ListArray:
    return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), values)


def resolve_path(
    path: str, folder: str, image_root: str | None = None, remote_roots: Sequence[str] | None = None
) -> str:
    """`path` against `image_root`, marked as `hold_inside` says, else against the data `folder`; the address of an
    object in a store as it is. Raises FormatError if it leaves `image_root`, and for an address that `remote_roots`
    does not allow."""
    if "://" in path and _SCHEME.match(path):
        return check_address(path, remote_roots)
    if image_root is not None and _SCHEME.match(image_root):
        if path.startswith("/"):
            raise FormatError(f'expected a path inside image_root {image_root}, found "{path}"')
        if ".." in path.split("/"):
            raise FormatError(
                f'expected a path from image_root on, found "{path}", which leads out of it. With --image_root '
                "FOLDER generate_conversations.py writes paths from FOLDER on"
            )
        return check_address(f"{image_root.rstrip('/')}/{path}", remote_roots)
    full = path if os.path.isabs(path) else f"{image_root or folder}/{path}"
    if "/." in full or "//" in full:
        full = os.path.normpath(full)
    if image_root is not None:
        directory, _, name = full.rpartition("/")
        links = _find_links(directory, image_root)
        if links is None or (name in links and not _is_inside(full, image_root)):
            raise FormatError(f'expected a path inside image_root {image_root}, found "{path}"')
        return hold_inside(full, image_root)
    return full


_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_KEYS = re.compile(r"\?(?:.*&)?(?:X-Amz-|AWSAccessKeyId|versionId=)", re.IGNORECASE)


def find_address_fault(address: str) -> str | None:
    """Why the address of an object is refused, as the end of a sentence; None for one that is well formed. Refused are
    what holds keys (user:password@, a query) and what could lead out of a root (. and .., also as %2e)."""
    scheme, _, place = address.partition("://")
    host, _, key = place.partition("/")
    if scheme not in SCHEMES:
        return f"no address by {', '.join(f'{name}://' for name in SCHEMES)}"
    if not host:
        return "no bucket or host"
    _, colon, port = host.rpartition(":")  # of a password with a slash in it the @ stands further behind
    is_port = scheme == "https" and (port.isdigit() or host.endswith("]"))
    if "@" in host or (colon and not is_port and not host.startswith("arn:")):
        return "a user or password in it; keys come from the environment alone"
    if scheme != "s3" and ("?" in key or "#" in key):
        return "a query (? or #), which would hold keys; they come from the environment alone"
    if scheme == "s3" and _KEYS.search(key):
        return "a presigned query, which holds keys; they come from the environment alone"
    if scheme == "https" and re.search(r"[\x00-\x1f\x7f]", key):
        return "a sign in it that is none to be read, and that a client leaves out"
    readings = {key, urllib.parse.unquote(key).replace("\\", "/")} if scheme == "https" else {key}
    if any(part in (".", "..") for reading in readings for part in reading.split("/")):
        return "the part . or .. in it"
    return None


def check_address(address: str, roots: Sequence[str] | None, what: str = "a path") -> str:
    """The address, where it is well formed and under one of the roots. Raises FormatError, which shows no key."""
    shown = re.sub(r"//(?:[^/]*@|(?!arn:)[^/]*:(?!\d*(?:/|$))[^@]*@)", "//", address, count=1).partition("?")[0]
    if (fault := find_address_fault(address)) is not None:
        raise FormatError(f'expected {what} or an address as s3://bucket/key, found "{shown}": {fault}')
    if not any(address == root or address.startswith(root.rstrip("/") + "/") for root in roots or ()):
        allowed = f"under --remote_roots {' '.join(roots)}" if roots else "on this machine"
        raise FormatError(
            f'expected {what} {allowed}, found "{shown}": add the root of its address to --remote_roots (remote_roots '
            "in Python) if it is meant"
        )
    return address


def hold_inside(path: str, root: str) -> str:
    """The path of a file in `root`, written so that whoever opens it knows that it must not leave `root`: a link may
    be put there later."""
    if not root.startswith("/"):  # readers take the mark for one behind an absolute path only
        root, path = os.path.abspath(root), os.path.abspath(path)
    root = root.rstrip("/")
    if not path.startswith(f"{root}/"):
        path = f"{root}/{os.path.relpath(os.path.realpath(path), os.path.realpath(root or '/'))}"
    return root + ROOT_MARK + path[len(root) + 1 :]


def _is_inside(path: str, root: str) -> bool:
    real_root = os.path.realpath(root)
    return os.path.commonpath((os.path.realpath(path), real_root)) == real_root


@functools.lru_cache(maxsize=65536)
def _find_links(directory: str, root: str) -> frozenset[str] | None:
    """The symlinks in a directory, None for one outside `root`: a system call a directory, none a scan."""
    if not _is_inside(directory, root):
        return None
    if not os.path.isdir(directory):
        return frozenset()
    with os.scandir(directory) as entries:
        return frozenset(entry.name for entry in entries if entry.is_symlink())


# Builder


@dataclasses.dataclass
class UmbrellaConfig(datasets.BuilderConfig):
    """What to read. `data_dir` is the data folder; `data_files` ({"train": [...]}) takes its place for single files.

    Args:
        image_root: the folder that relative scan paths count from, and that no scan may leave. None: the data folder.
            It may be an address, s3://bucket/study, under one of `remote_roots`.
        remote_roots: beginnings of the addresses that scans may have (s3://, gs://, https://, hf://). None: no scan
            has one.
        task_types: keep the rows of these types. None: all.
        modalities: keep the rows whose scans are all of these modalities. None: all.
    """

    image_root: str | None = None
    task_types: list[str] | None = None
    modalities: list[str] | None = None
    remote_roots: list[str] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.remote_roots = [self.remote_roots] if isinstance(self.remote_roots, str) else self.remote_roots
        self.task_types = [self.task_types] if isinstance(self.task_types, str) else self.task_types
        self.modalities = [self.modalities] if isinstance(self.modalities, str) else self.modalities
        for modality in self.modalities or ():
            if modality not in MODALITIES:
                found = f'"{modality}"{explain_modality(modality)}'
                raise FormatError(f"modalities: expected some of {', '.join(MODALITIES)}, found {found}")
        if self.data_dir is not None:
            # Its real place: `..` in a scan's path goes up from there, as for the system.
            self.data_dir = os.path.realpath(os.path.expanduser(self.data_dir))
        if isinstance(self.image_root, str) and _SCHEME.match(self.image_root):
            check_address(self.image_root, self.remote_roots, "image_root: a folder")
        elif self.image_root is not None:
            self.image_root = os.path.realpath(os.path.expanduser(self.image_root))
            if not os.path.isdir(self.image_root):
                raise FormatError(
                    f"image_root: expected a folder, found none at {self.image_root}. Correct it; where all scans lie "
                    "in --scan_shards, an empty folder will do"
                )
            check_path(self.image_root)

    def create_config_id(self, config_kwargs: dict, custom_features: datasets.Features | None = None) -> str:
        """The cache key: place, inode, size and times of every file. `datasets` would take the folder's name alone and
        return stale rows after an edit. A file whose time was set back has another time of change; what is copied to
        another place or machine is read anew."""
        self.split_files = self._find_files()
        content = hashlib.sha256()
        for split, files in self.split_files.items():
            for file in files:
                try:
                    status = os.stat(file)
                except OSError as error:
                    raise FormatError(f"{file}: expected a file that can be read, found: {error.strerror}.") from error
                state = (split, file, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
                content.update("".join(f"{part}\0" for part in state).encode())
        key = {name: value for name, value in config_kwargs.items() if name != "data_files"}
        key |= {"content": content.hexdigest(), "data_dir": self.data_dir or "", "image_root": self.image_root or ""}
        return super().create_config_id(key, custom_features)

    def _find_files(self) -> dict[str, list[str]]:
        if self.data_files is None:
            if self.data_dir is None:
                raise FormatError('expected data_dir="FOLDER" or data_files={"train": FILES}, found neither')
            return find_split_files(self.data_dir)
        split_files: dict[str, list[str]] = {}
        for name, files in self.data_files.items():
            split_files.setdefault(SPLIT_FOLDERS.get(str(name), str(name)), []).extend(str(file) for file in files)
        for file in itertools.chain.from_iterable(split_files.values()):
            check_path(file)
        return {split: sorted(files) for split, files in split_files.items()}


class UmbrellaDataset(datasets.ArrowBasedBuilder):
    """Arrow tables straight from parsed records: no value is encoded in Python twice."""

    VERSION = datasets.Version("1.0.0")
    BUILDER_CONFIG_CLASS = UmbrellaConfig

    def _create_builder_config(self, *arguments: Any, **config_kwargs: Any) -> tuple[UmbrellaConfig, str]:
        # Private: ahead of the cache's key.
        # `base_path` is the folder of the script that `load_dataset` was given; this module is a copy in its cache.
        is_script = self.base_path is not None and os.path.isdir(self.base_path)
        if is_script and config_kwargs.get("data_dir") is None and config_kwargs.get("data_files") is None:
            config_kwargs["data_dir"] = find_sample_folder(self.base_path)
            if config_kwargs["data_dir"] is not None:
                _LOGGER.warning(f'no data_dir="FOLDER" was given: reading {config_kwargs["data_dir"]}')
        return super()._create_builder_config(*arguments, **config_kwargs)

    def _info(self) -> datasets.DatasetInfo:
        return datasets.DatasetInfo(description="Conversations about brain scans", features=FEATURES)

    def _split_generators(self, dl_manager: Any) -> list[datasets.SplitGenerator]:
        return [
            datasets.SplitGenerator(name=split, gen_kwargs={"files": _group(files)})
            for split, files in self.config.split_files.items()
        ]

    def _generate_tables(self, files: list[tuple[str, ...]]) -> Iterator[tuple[int, pa.Table]]:
        _find_links.cache_clear()  # what is a link may have changed since the last build in this process
        columns, index = _Columns(), 0
        for record, source, folder in self._read_valid(itertools.chain.from_iterable(files)):
            columns.add(record, source, folder, self.config.image_root, self.config.remote_roots)
            if columns.rows == ROWS_PER_TABLE:
                yield index, columns.to_table()
                columns, index = _Columns(), index + 1
        if columns.rows:
            yield index, columns.to_table()

    def _read_valid(self, files: Iterator[str]) -> Iterator[tuple[dict[str, Any], str, str]]:
        """(record, source, data folder) of the records that the filters keep; FormatError at the first invalid one."""
        config = self.config
        modalities = set(config.modalities or MODALITIES)
        manifests: dict[str, Manifest | None] = {}
        for file in files:
            folder = config.data_dir or find_data_folder(file)
            name = _name_file(file, folder)
            if folder not in manifests:
                manifests[folder] = read_manifest(folder)
            n_records = 0
            for line, record in read_records(file):
                n_records += 1
                source = name if line is None else f"{name}:{line}"
                problems = [record] if isinstance(record, Problem) else find_problems(record)
                if problems:
                    listed = "\n".join(f"{source}: {problem}" for problem in problems)
                    raise FormatError(f"{listed}\n(in {folder}; validate_json_format.py checks all files in one pass)")
                if config.task_types is not None and record["task_type"] not in config.task_types:
                    continue
                if modalities.issuperset(record["modalities"]):
                    yield record, source, folder
            if cut := find_cut(file, folder, n_records, manifests[folder]):
                raise FormatError(f"{name}: {cut}\n(in {folder})")

    def as_streaming_dataset(self, *arguments: Any, **options: Any) -> Any:
        for name, files in self.config.split_files.items():
            self._check_first_records(name, files)
        return super().as_streaming_dataset(*arguments, **options)

    def _check_first_records(self, split: str, files: list[str]) -> None:
        """Raises FormatError where two .jsonl files begin with one task_id, or a .json file is named for it and has
        it. A stream never sees all rows at once; a file that repeats others can be told by this much."""
        found = {os.path.basename(file): file for file in files if file.endswith(".json")}
        for file in files:
            task_id = _read_first_id(file) if file.endswith(".jsonl") else None
            twin = file if task_id is None else found.setdefault(f"{task_id}.json", file)
            if twin != file and _read_first_id(twin) == task_id:
                first, again = (
                    _name_file(name, self.config.data_dir or find_data_folder(name)) for name in (twin, file)
                )
                raise FormatError(
                    f'{again}: task_id: expected it once in {split}, found "{task_id}" in {first} too. Keep one '
                    "of the two, or load without streaming to see all that they share"
                )

    def download_and_prepare(self, *arguments: Any, num_proc: int | None = None, **options: Any) -> None:
        with _workers_end_with_this_process() if num_proc else contextlib.nullcontext():
            super().download_and_prepare(*arguments, num_proc=num_proc, **options)

    def _download_and_prepare(self, *arguments: Any, **options: Any) -> None:
        # Private: under the lock and before the first split. A build that was killed has left tables here; those of
        # more workers than this one has would come into the cache with its own.
        for path in self._fs.ls(self._output_dir, detail=False):
            self._fs.rm(path)
        super()._download_and_prepare(*arguments, **options)

    def _prepare_split_single(self, **kwargs: Any) -> Iterator[tuple]:
        try:  # private: in the worker
            yield from super()._prepare_split_single(**kwargs)
            return
        except datasets.exceptions.DatasetGenerationError as error:
            # A worker process sends the error to the parent without its cause, which is the part that helps.
            cause = error.__cause__
            if getattr(cause, "errno", None) in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS):
                sentence = f"expected to write the table there, found: {cause}. Make room, or set HF_DATASETS_CACHE"
                cause = OSError(cause.errno, f"{sentence} to another folder", self._cache_dir)
            elif not isinstance(cause, FormatError):
                raise
        raise cause  # out here: in the handler it would get the error that it caused as its context, a circle

    def _prepare_split(
        self, split_generator: datasets.SplitGenerator, file_format: str | None = None, **kwargs: Any
    ) -> None:
        # Private: in the parent, when all workers have written a split and before it counts as built.
        super()._prepare_split(split_generator, file_format=file_format, **kwargs)
        info = split_generator.split_info
        if not info.num_examples:
            filters = f" with task_types={self.config.task_types}, modalities={self.config.modalities}"
            raise FormatError(
                f"{info.name}: expected at least one row, found none{filters}. Widen the filters or add rows."
            )
        shards = filenames_for_dataset_split(
            self._output_dir, self.dataset_name, info.name, file_format or "arrow", info.shard_lengths
        )
        self._check_task_ids(info.name, shards)

    def _check_task_ids(self, split: str, shards: list[str]) -> None:
        """Raises FormatError for task_ids twice in a split. Reads the written tables: workers see only their part."""
        seen: set[int] = set()
        suspects: set[int] = set()  # hashes of 8 bytes keep the memory flat; equal ones are compared as text below
        for batch in self._read_batches(shards):
            for task_id in batch["task_id"].to_pylist():
                key = hash(task_id)
                (suspects if key in seen else seen).add(key)
        if not suspects:
            return
        first: dict[str, tuple[str, int]] = {}
        duplicates: list[Duplicate] = []
        n_records: Counter[str] = Counter()
        for batch in self._read_batches(shards):
            for row in batch.to_pylist():
                source = row.pop("source")
                n_records[find_place(source)] += 1
                if hash(row["task_id"]) in suspects:
                    found = (source, hash(_ENCODER.encode(row)))
                    before = first.setdefault(row["task_id"], found)
                    if before is not found:
                        duplicates.append(Duplicate(row["task_id"], before[0], source, before[1] == found[1]))
        if self.config.task_types is not None or self.config.modalities is not None:
            n_records.clear()  # the tables lack what the filters left out
        if duplicates:
            described = describe_duplicates(split, duplicates, n_records)
            raise FormatError("\n".join(f"{source}: {problem}" for source, problem in described))

    def _read_batches(self, shards: list[str]) -> Iterator[pa.RecordBatch]:
        for shard in shards:
            with self._fs.open(shard) as file:
                yield from (
                    pq.ParquetFile(file).iter_batches() if shard.endswith(".parquet") else pa.ipc.open_stream(file)
                )


# Processes of a build with num_proc

WORKER_KILLED = (
    "expected the worker processes to do all work, found one killed, as the system does when memory is short. %s."
)
_builder_pid: int | None = None  # of this process, while it builds: read by those that are forked meanwhile


@contextlib.contextmanager
def _workers_end_with_this_process() -> Iterator[None]:
    """Within the block, forked processes (the workers of `datasets` and their queue's) end when this one does, also
    when it is killed. Raises ChildProcessError where a worker was killed, and what stopped this process as it was."""
    global _builder_pid
    _register_fork()
    _builder_pid = os.getpid()
    try:
        yield
    except (RuntimeError, multiprocess.TimeoutError) as error:
        cause = _find_cause(error)
    else:
        return
    finally:
        _builder_pid = None
    if isinstance(cause, RuntimeError) and "abruptly died" in str(cause):  # the words of `datasets`
        raise ChildProcessError(WORKER_KILLED % "Load with a lower num_proc, or without it") from None
    raise cause


def _find_cause(error: BaseException) -> BaseException:
    """What stopped a build: `datasets` closes its queue then, and a TimeoutError for work that will not be done any
    more takes the place of the cause."""
    while isinstance(error, (multiprocess.TimeoutError, GeneratorExit)) and error.__context__ is not None:
        error = error.__context__
    return error


@functools.cache
def _register_fork() -> None:
    os.register_at_fork(after_in_child=_watch_builder)


def _watch_builder() -> None:
    global _builder_pid
    builder, _builder_pid = _builder_pid, None
    if builder is not None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; the builder ends its workers
        end_with(builder)


def end_with(parent: int) -> None:
    """Let this process end when its parent has ended. A worker that waits for work would else wait for ever."""

    def wait() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _read_first_id(file: str) -> str | None:
    """The task_id of a file's first record; None where it cannot be told (the error comes with the rows)."""
    _, record = next(read_records(file), (None, None))
    task_id = record.get("task_id") if isinstance(record, dict) else None
    return task_id if isinstance(task_id, str) else None


def _name_file(file: str, folder: str) -> str:
    """ "train/x.json" for a file in the data folder, the whole path for any other."""
    if file.startswith(folder + os.sep):
        return file[len(folder) + 1 :].replace(os.sep, "/")
    parent, name = os.path.split(os.path.abspath(file))
    above, split = os.path.split(parent)
    return f"{split}/{name}" if os.path.realpath(above) == folder else file  # through a link


def _group(files: list[str]) -> list[tuple[str, ...]]:
    """Runs of files, at least 64 runs where there are as many files: streaming makes one table of each."""
    size = max(1, len(files) // MIN_SHARDS)
    return [tuple(files[start : start + size]) for start in range(0, len(files), size)]


def load_umbrella(
    data_dir: str | os.PathLike[str] | None,
    split: str | None = None,
    streaming: bool = False,
    num_proc: int | None = None,
    **config: Any,
) -> Any:
    """The data folder as a Dataset (`split` given) or a DatasetDict, on every version of `datasets`.

    `config` takes the fields of UmbrellaConfig and `cache_dir`. Raises FormatError for invalid data; when
    `streaming`, a split without rows is not seen, and a `task_id` twice in a split only where a .jsonl file begins
    with it.
    """
    with io.FileIO(__file__) as code:
        code_hash = hashlib.sha256(code.read()).hexdigest()
    builder = UmbrellaDataset(data_dir=data_dir, hash=code_hash, **config)
    if streaming:
        return builder.as_streaming_dataset(split=split)
    builder.download_and_prepare(num_proc=num_proc)
    return builder.as_dataset(split=split)
