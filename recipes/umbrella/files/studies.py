"""A study: all sequences of a visit in one turn. How each is worded, by whoever makes or changes such a turn.

text   "T1w:", then its scan
text   "FLAIR: not available." in place of one that is not there
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from umbrella.files.data_format import MODALITIES, MODALITY_OF

_ABSENT = re.compile(r"(\S+): not available\.\n")
_WORD_NAMED = re.compile(r"(\w+)=")
_NAMED = re.compile(rf"(?<![^\s,])({'|'.join(sorted((*MODALITIES, *MODALITY_OF), key=len, reverse=True))})=")


def word_sequence(name: str) -> str:
    """What stands in front of the scan of a sequence."""
    return f"{name}:"


def word_absent(name: str) -> str:
    """What stands in place of a sequence that is not there; whether it was acquired is not known. The line ends, since
    chat templates join texts as they are."""
    return f"{name}: not available.\n"


def find_named(text: str) -> str | None:
    """The sequence that a text in front of a scan names; None for any other text."""
    name = text[:-1]
    return name if text.endswith(":") and find_modality(name) is not None else None


def explain_suffixes(suffixes: object, turns: Sequence[Mapping[str, Any]]) -> tuple[str, str] | None:
    """(expected, found) where `suffixes` are not the sequences of a conversation's scans, in their order: another
    number, no texts, or another name than the text in front of a scan says; None where they fit."""
    named: list[str | None] = []
    for turn in turns:
        before = ""
        for item in turn["content"]:
            if item["type"] == "image":
                named.append(find_named(before))
            before = item.get("text") or ""
    if not isinstance(suffixes, list) or len(suffixes) != len(named):
        number = len(suffixes) if isinstance(suffixes, list) else type(suffixes).__name__
        return f"a list of {len(named)}, the sequence of each scan", f"{number}"
    for place, (suffix, name) in enumerate(zip(suffixes, named, strict=True), 1):
        if not isinstance(suffix, str) or not suffix.strip():
            return f"the name of scan {place}", repr(suffix)[:60]
        if name is not None and name not in (suffix, find_modality(suffix)):
            return f"{name} of scan {place}, as the text in front of it says", repr(suffix)[:60]
    return None


def find_absent(text: str) -> str | None:
    """The sequence that a text says is not there; None for any other text."""
    found = _ABSENT.fullmatch(text)
    return found[1] if found else None


def find_modality(name: str) -> str | None:
    """Of which modality a sequence is, by the name that BIDS gives it; None for other names."""
    return name if name in MODALITIES else MODALITY_OF.get(name)


def read_named(text: str) -> dict[str, str]:
    """ "T1w=a.nii FLAIR=b.nii", as flags and tables name the scans of a study → name → scan; none of a text that does
    not begin with a name, which is one scan's. Raises ValueError for a name or a scan twice, and for a name alone."""
    first, *parts = _NAMED.split(text.strip())
    if first.strip(" ,") or not parts:
        return {}
    names, last = parts[::2], parts.pop().strip()
    scans = [*(part.strip().rstrip(" ,") for part in parts[1::2]), last]
    if len(set(names)) < len(names) or len(set(scans)) < len(scans) or not all(scans):
        raise ValueError(f"expected each sequence and each scan once, as NAME=SCAN, found {text!r}")
    return dict(zip(names, scans, strict=True))


def find_unknown_names(words: Sequence[str]) -> list[str]:
    """Of words as "T1w=a.nii flair=b.nii", of which one at least begins with a known name, the names that are none."""
    names = [found[1] for word in words if (found := _WORD_NAMED.match(word))]
    unknown = [name for name in names if find_modality(name) is None]
    return unknown if len(unknown) < len(names) else []


def write_named(scans: dict[str, str]) -> str:
    """The text that `read_named` reads."""
    return " ".join(f"{name}={scan}" for name, scan in scans.items())


def describe_sequences() -> str:
    """The names whose modality is known."""
    return ", ".join([*MODALITIES, *MODALITY_OF])
