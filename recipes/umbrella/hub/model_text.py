"""The text in a model's files, as it is searched for personal data before a push.

Not searched are the values of tensors, pixels, numbers that measure or count, hashes of training subjects, and single
words of a tokenizer's vocabulary (`umbrella.hub.vocabulary`).
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from umbrella.files.json_files import read_json
from umbrella.hub.page_text import read_page
from umbrella.hub.vocabulary import WORD_LISTS, WORDS, read_word_list, read_words
from umbrella.models.folder_check import read_header
from umbrella.privacy.search import Finding, to_findings, walk_json
from umbrella.records.training_data import FILE_NAME as TRAINING_DATA

TOKENIZER = "tokenizer.json"
_BETWEEN_LINES = ";\n"  # ends a sentence, a name and a number
# When a run started.
_TIME_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)?(?!\w)")
_HASH = re.compile(r"[0-9a-f]{32,64}")
# Keys of numbers that count something, however many digits they have.
_COUNTS = re.compile(
    r"(?:^|_)(?:size|length|len|flos|parameters|params|tokens|seed|bytes|rows|samples|steps?|n|num|total|max|min|"
    r"time|timestamp|runtime)(?:_|$)"
)
_LEAST_NUMBER = 90  # the first age that tells who somebody is; no number of a person is smaller


def find_in_lines(name: str, field: str, text: str) -> list[Finding]:
    """Findings in the lines of a text, each by itself, and in all of it with its white space folded; words of a
    vocabulary are no sentence."""
    text = _TIME_STAMP.sub("", text.replace("\0", ""))
    forms = [_BETWEEN_LINES.join(line.strip() for line in text.splitlines() if line.strip())]
    forms += [] if field == WORDS else [" ".join(text.split())]
    return [finding for form in dict.fromkeys(forms) if form for finding in to_findings(name, field, form)]


def read_model_text(path: Path) -> Iterator[tuple[str, str]]:
    """(field, text) of all text in a file. Raises ValueError for one that is not what its name says."""
    if path.name in WORD_LISTS:
        yield from read_word_list(path)
    elif path.suffix == ".safetensors":
        header = read_header(path)
        yield from _read_values(header.pop("__metadata__", {}))
        yield from (("tensor", name) for name in header)
    elif path.name == TOKENIZER:
        tokenizer = read_json(path, dict)
        for name in ("vocab", "merges"):
            words = tokenizer["model"].pop(name, None) if isinstance(tokenizer.get("model"), dict) else None
            yield from read_words(words, are_merges=name == "merges")
        yield from _read_values(tokenizer)
    elif path.suffix == ".json":
        value = read_json(path)
        yield from _read_values(_without_hashes(value) if path.name == TRAINING_DATA else value)
    elif path.suffix == ".html":
        yield from read_page(path.read_text(encoding="utf-8"))
    else:
        yield "text", path.read_text(encoding="utf-8")


def _read_values(value: Any) -> Iterator[tuple[str, str]]:
    """The texts in a JSON value, and its whole numbers with their keys."""
    return walk_json(_without_measurements(value), "json")


def _without_measurements(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        return {name: _without_measurements(inner, name) for name, inner in value.items()}
    if isinstance(value, list):
        return [_without_measurements(inner, key) for inner in value]
    if isinstance(value, str):
        return value
    is_whole = isinstance(value, int | float) and abs(value) >= _LEAST_NUMBER and value == value // 1
    return int(value) if is_whole and not _COUNTS.search(key) else None


def _without_hashes(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_hashes(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_without_hashes(inner) for inner in value]
    return None if isinstance(value, str) and _HASH.fullmatch(value) else value
