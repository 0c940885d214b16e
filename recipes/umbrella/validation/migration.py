"""Convert older conversation files to the format of JSON_FORMAT_SPECIFICATION.md. `validate_json_format.py --migrate`.

Version 1: the key `conversation`, roles human and gpt, `<image_sMRI>` tokens, items of type `image_sMRI`,
`subject_sex`, `reference_sex`, `same_sex`, `different_sex`. Plain LLaVA: a list of {id, image, conversations: [{from,
value}]} with `<image>` in the values. What is in the new format already stays as it is.

Keys that the format does not know are kept: those of a record at its top level (rows keep them in `metadata.extra`),
those of an image, a turn or an item under `metadata.migrated`, each with its place.
"""

import json
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePath
from typing import Any

from umbrella.files.contained_files import is_remote
from umbrella.files.whole_folder import write_folder
from umbrella.files.written_files import writing
from umbrella_dataset import IMAGE_TOKEN, METADATA_FIELDS, FormatError, Problem, read_records, resolve_path

ROLES = {"human": "user", "gpt": "assistant"}
METADATA_NAMES = {"subject_sex": "subject_label", "reference_sex": "reference_label"}
COMPARISON_TYPES = {"same_sex": "same", "different_sex": "different"}
OLD_TOKEN = re.compile(r"<image(?:_(\w+))?>")
DEFAULT_TASK_TYPE = "conversation"


def migrate(
    files: Iterable[tuple[str, str | None, str]], out_dir: str, image_root: str | None, split: str, modality: str
) -> int:
    """Write the converted files into `out_dir`/<split>/, whole or not at all, and return the number of conversations.

    files     (file, split or None, the data folder that its scan paths count from); a None becomes `split`, but
              samples/ stays samples/
    modality  of scans that name none

    Relative scan paths are rewritten to count from `out_dir`; with `image_root` they stay, and every later command
    needs the same `image_root`. A .json file with a list becomes a .jsonl file. The originals are only read. Raises
    FormatError for what cannot be converted and for an `out_dir` that holds anything, FileExistsError where another
    process writes it.
    """
    out = Path(out_dir).expanduser().resolve()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise FormatError(f"{out}: expected a new or empty folder to migrate into, found one in use. Choose another.")
    n_written, seen = 0, set()
    with writing(out, "choose another --migrate"), write_folder(out) as result:
        for file, file_split, folder in files:
            is_sample = PurePath(file).parent.name == "samples"
            target = result / (file_split or ("samples" if is_sample else split)) / PurePath(file).name
            contents = list(_read_contents(file))
            if any(isinstance(content, list) for _, content in contents):
                target = target.with_suffix(".jsonl")
            records = []
            for number, (source, record) in enumerate(_flatten(contents)):
                new = convert_record(record, source, f"{target.stem}_{number}", modality)
                new["task_id"] = _make_unique(new["task_id"], target.parent, seen)
                if image_root is None:
                    _move_paths(new, folder, out)
                records.append(new)
            _write(target, records)
            n_written += len(records)
    return n_written


def convert_record(record: dict, source: str, task_id: str, modality: str) -> dict:
    """The record in the new format; `task_id` is used where it has none, `modality` for scans that name none.

    Raises FormatError, naming `source`, where the record has no turns, or other placeholders than images.
    """
    _check_shape(record, source)
    old = dict(record)
    notes: list[dict] = []
    images = [_convert_image(image, f"images[{i}]", modality, notes) for i, image in enumerate(_pop_images(old))]
    turns = _convert_turns(old.pop("conversation", None) or old.pop("conversations", None) or [], notes)
    images = _fill_items(turns, images, source, modality)
    metadata = _convert_metadata(old.pop("metadata", None) or {})
    if notes:
        metadata["migrated"] = notes
    subject_ids = [str(subject) for subject in old.pop("subject_ids", None) or _find_subjects(metadata, images)]
    number = old.pop("id", None)
    old.pop("modalities", None)
    return {
        "task_id": str(old.pop("task_id", None) or (task_id if number is None else number)),
        "task_type": str(old.pop("task_type", None) or DEFAULT_TASK_TYPE),
        "subject_ids": subject_ids,
        "modalities": [image["modality"] for image in images],
        "images": images,
        "conversations": turns,
        "metadata": metadata,
        **old,
    }


def _read_contents(file: str) -> Iterator[tuple[str, Any]]:
    for line, content in read_records(file, max_bytes=None):
        source = file if line is None else f"{file}:{line}"
        if isinstance(content, Problem):
            raise FormatError(f"{source}: {content}")
        yield source, content


def _flatten(contents: list[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    """(source, record) of each record, those of a list one by one."""
    for source, content in contents:
        if isinstance(content, list):
            yield from ((f"{source}[{index}]", record) for index, record in enumerate(content))
        else:
            yield source, content


def _check_shape(record: Any, source: str) -> None:
    """What the conversion itself relies on; the validator sees to the rest."""
    if not isinstance(record, dict):
        raise FormatError(f"{source}: expected a JSON object, found a {type(record).__name__}")
    if not isinstance(record.get("metadata") or {}, dict):
        raise FormatError(f"{source}: metadata: expected an object, found a {type(record['metadata']).__name__}")
    if not isinstance(record.get("subject_ids") or [], list):
        raise FormatError(f"{source}: subject_ids: expected a list, found {record['subject_ids']!r:.60}")
    _check_texts(record.get("metadata") or {}, ("comparison_type",), f"{source}: metadata")
    for image in _pop_images(dict(record)):
        if not isinstance(image, str):
            _check_texts(image, ("path", "token", "modality"), f"{source}: images")
    turns = record.get("conversation") or record.get("conversations")
    if not isinstance(turns, list):
        raise FormatError(f"{source}: conversations: expected a list of turns, found {turns!r:.60}")
    for turn in turns:
        _check_texts(turn, ("role", "from"), f"{source}: conversations")
        content = turn.get("content", turn.get("value"))
        if not isinstance(content, str | list):
            raise FormatError(f"{source}: conversations: expected a text or a list of items, found {content!r:.60}")
        for item in [] if isinstance(content, str) else content:
            _check_texts(item, ("type", "text", "modality", "image_path", "path"), f"{source}: conversations")


def _check_texts(value: Any, keys: tuple[str, ...], place: str) -> None:
    """Raises FormatError for what is no object, and for a value under one of the keys that is no text."""
    if not isinstance(value, dict):
        raise FormatError(f"{place}: expected an object, found {value!r:.60}")
    for key in keys:
        if not isinstance(value.get(key), str | None):
            raise FormatError(f"{place}: {key}: expected a text, found {value[key]!r:.60}")


def _pop_images(old: dict) -> list:
    images = old.pop("images", None) or old.pop("image", None) or []
    return images if isinstance(images, list) else [images]


def _name_modality(name: str | None, default: str) -> str:
    """ "image_sMRI" → "sMRI", "sMRI" → "sMRI", None or "image" → the default."""
    name = (name or "").removeprefix("image").removeprefix("_")
    return name or default


def _convert_image(image: str | dict, place: str, modality: str, notes: list[dict]) -> dict:
    if isinstance(image, str):
        image = {"path": image}
    named = OLD_TOKEN.fullmatch(image.get("token") or "")
    token_modality = named.group(1) if named else None
    _note_others(image, ("path", "token", "modality"), place, notes)
    return {
        "path": image.get("path"),
        "token": IMAGE_TOKEN,
        "modality": _name_modality(image.get("modality") or token_modality, modality),
    }


def _convert_turns(turns: list, notes: list[dict]) -> list[dict]:
    """Roles and items in the new names; image items get their path and modality in `_fill_items`."""
    converted = []
    for index, turn in enumerate(turns):
        _note_others(turn, ("role", "from", "content", "value"), f"conversations[{index}]", notes)
        role = turn.get("role", turn.get("from"))
        content = turn.get("content", turn.get("value"))
        items = []
        for number, item in enumerate([{"type": "text", "text": content}] if isinstance(content, str) else content):
            place = f"conversations[{index}].content[{number}]"
            _note_others(item, ("type", "text", "image_path", "path", "modality"), place, notes)
            if item.get("type") == "text":
                items += _split_text(item.get("text") or "")
            else:
                modality = item.get("modality") or _name_modality(item.get("type"), "")
                items.append(
                    {"type": "image", "modality": modality, "image_path": item.get("image_path", item.get("path"))}
                )
        converted.append({"role": ROLES.get(role, role), "content": items})
    return converted


def _split_text(text: str) -> list[dict]:
    """Text items, and an image item (from a token, so marked) for each placeholder in the text."""
    items, end = [], 0
    for match in OLD_TOKEN.finditer(text):
        items.append({"type": "text", "text": text[end : match.start()].strip()})
        items.append({"type": "token", "modality": match.group(1)})
        end = match.end()
    items.append({"type": "text", "text": text[end:].strip() if end else text})
    return [item for item in items if item["type"] == "token" or item["text"]]


def _fill_items(turns: list[dict], images: list[dict], source: str, modality: str) -> list[dict]:
    """Give each image item its scan, in order, and return the images. A token in a text stands for a scan only where
    there are no image items; LLaVA's rule for none of both: the images come first in the first user turn."""
    has_items = any(item["type"] == "image" for turn in turns for item in turn["content"])
    for turn in turns:
        if has_items:
            turn["content"] = [item for item in turn["content"] if item["type"] != "token"]
        for item in turn["content"]:
            item["type"] = "image" if item["type"] == "token" else item["type"]
    items = [item for turn in turns for item in turn["content"] if item["type"] == "image"]
    if not images:
        images = [
            {"path": item.get("image_path"), "token": IMAGE_TOKEN, "modality": item["modality"] or modality}
            for item in items
        ]
    if images and not items:
        items = [{"type": "image"} for _ in images]
        first = next((turn for turn in turns if turn["role"] == "user"), None)
        if first is None:
            raise FormatError(f"{source}: conversations: expected a user's turn that shows the images, found none")
        first["content"] = items + first["content"]
    if len(items) != len(images):
        raise FormatError(f"{source}: expected {len(images)} placeholders, one an image, found {len(items)}")
    for item, image in zip(items, images, strict=True):
        if not isinstance(image["path"], str):
            raise FormatError(f"{source}: images: expected the path of every scan, found {image['path']!r}")
        item |= {"modality": image["modality"], "image_path": image["path"]}
    return images


def _convert_metadata(metadata: dict) -> dict:
    new = {METADATA_NAMES.get(key, key): value for key, value in metadata.items()}
    if new.get("comparison_type") in COMPARISON_TYPES:
        new["comparison_type"] = COMPARISON_TYPES[new["comparison_type"]]
    return {key: str(value) if key in METADATA_FIELDS and value is not None else value for key, value in new.items()}


def _find_subjects(metadata: dict, images: list[dict]) -> list[str]:
    """The BIDS subject in each scan's path ("sub-01"), else the file's name without its endings."""
    subjects = []
    for image in images:
        named = re.search(r"(?:^|/)(sub-[A-Za-z0-9]+)", image["path"] or "")
        subjects.append(named.group(1) if named else PurePath(image["path"] or "").name.split(".")[0])
    return subjects or [metadata[key] for key in ("reference_id", "subject_id") if metadata.get(key)]


def _note_others(value: dict, known: tuple[str, ...], place: str, notes: list[dict]) -> None:
    others = {key: value[key] for key in value if key not in known and value[key] is not None}
    if others:
        notes.append({"place": place, **others})


def _make_unique(task_id: str, folder: Path, seen: set) -> str:
    unique, number = task_id, 1
    while (folder, unique) in seen:
        number += 1
        unique = f"{task_id}_{number}"
    seen.add((folder, unique))
    return unique


def _move_paths(record: dict, folder: str, out: Path) -> None:
    """Absolute paths stay; relative ones go from counting from `folder` to counting from `out`."""
    items = [item for turn in record["conversations"] for item in turn["content"] if item["type"] == "image"]
    for image, item in zip(record["images"], items, strict=True):
        if not os.path.isabs(image["path"]) and not is_remote(image["path"]):
            moved = os.path.relpath(resolve_path(image["path"], folder), out)
            image["path"] = item["image_path"] = PurePath(moved).as_posix()


def _write(target: Path, records: list[dict]) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        raise FormatError(f"{target}: expected one source for it, found two. Rename one of them.")
    with target.open("w", encoding="utf-8", newline="\n") as file:
        for record in records:
            file.write(json.dumps(record, ensure_ascii=False, indent=2 if target.suffix == ".json" else None) + "\n")
