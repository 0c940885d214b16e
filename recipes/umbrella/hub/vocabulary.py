"""What could be text about a person among a tokenizer's words: all of them but single words and pairs of merges.

A word alone says nothing of a person, and a vocabulary has tens of thousands: "Mayo", "Hospital", "Donald".
"""

import base64
import binascii
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tokenizers.decoders import ByteLevel

from umbrella.files.json_files import read_json
from umbrella.privacy.binary_text import decode, find_runs

WORD_LISTS = ("tokenizer.model", "vocab.json", "vocab.txt", "merges.txt")
_BYTE_LEVEL = ByteLevel()  # reads "ĠJosÃ©" as " José", and leaves words that are no bytes
_FEWEST_SIGNS = 3  # of a text: rulers and rows of zeros have fewer
_LEAST_NUMBER = 10**6  # no vocabulary has so many words: such a number is no word's place in it
WORDS = "words"  # their field


def read_word_list(path: Path) -> Iterator[tuple[str, str]]:
    """(field, text) of one of `WORD_LISTS`; one text for all, since to search each takes long."""
    if path.suffix == ".json":
        words = _flatten(read_json(path))
    elif path.suffix == ".txt":
        words = path.read_text(encoding="utf-8").splitlines()
    else:
        words = _read_model(path.read_bytes())
    return join_words(words, are_merges=path.name.startswith("merges"))


def read_words(value: Any, are_merges: bool) -> Iterator[tuple[str, str]]:
    """(field, text) of "vocab" or "merges" in a tokenizer.json."""
    return join_words(_flatten(value), are_merges)


def join_words(words: Iterator[str] | list[str], are_merges: bool) -> Iterator[tuple[str, str]]:
    """(place, text) of all words that can be read as more than a part of a word, a line each, if any can."""
    kept = [text for word in words if (text := _to_text(word, 2 if are_merges else 1))]
    if kept:
        yield WORDS, "\n".join(kept)


def _to_text(word: str, n_parts: int) -> str:
    """The word as it is read; "" for no more than so many parts of letters or signs, and for hardly any signs."""
    parts = " ".join(_BYTE_LEVEL.decode([part]) for part in word.split()).replace("▁", " ").split()
    is_plain = len(parts) <= n_parts and all(map(_is_plain, parts))
    return "" if is_plain or len(set("".join(parts))) < _FEWEST_SIGNS else " ".join(parts)


def _is_plain(part: str) -> bool:
    """Whether it is letters alone, or signs alone, or letters between signs."""
    letters = part.strip(string.punctuation)
    return not letters or letters.isalpha()


def _flatten(value: Any) -> Iterator[str]:
    """The texts in JSON: a list of texts inside another is one; a number stands for its key's place or likelihood."""
    if isinstance(value, dict):
        for key, inner in value.items():
            is_text = isinstance(inner, str) or (isinstance(inner, int) and abs(inner) >= _LEAST_NUMBER)
            yield f"{key}: {inner}" if is_text else key
            yield from _flatten(inner) if isinstance(inner, dict | list) else ()
    elif isinstance(value, list):
        for inner in value:
            is_merge = isinstance(inner, list) and all(isinstance(part, str) for part in inner)
            yield from [" ".join(inner)] if is_merge else _flatten(inner)
    elif isinstance(value, str):
        yield value


def _read_model(data: bytes) -> list[str]:
    """The words of a SentencePiece model (protobuf), or of tiktoken's table: a word in base64 and a number a line."""
    words = find_runs(data)
    for line in data.splitlines():
        try:
            words.append(decode(base64.b64decode(line.split()[0], validate=True)))
        except (binascii.Error, IndexError):
            continue
    return words
