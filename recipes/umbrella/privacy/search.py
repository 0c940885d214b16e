"""Personal data in what is about to be published: conversations, their scans' headers, names of files, faces.

    find_in_text("Seen by Dr. Jane Roe on 2019-05-17")  → matches of kinds "name" and "date"
    find_in_row(row)     → findings in everything a row says
    find_in_scan(source) → findings in a scan's header, and "face" for a head with a nose

Searched is all text, in UTF-8, Latin-1, UTF-16 and UTF-32; not what voxels or pixels show, but for faces.

A finding shows where it is and what kind it is, and of the text only a masked excerpt. The search errs on the side of
reporting; `umbrella.privacy.scrub` writes clean copies, and `--allow KIND` of the recipe publishes a kind as it is.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from umbrella.files.contained_files import split_root
from umbrella.privacy.dates import FoundDate, find_dates
from umbrella.privacy.faces import shows_face
from umbrella.privacy.names import find_names, is_ordinary
from umbrella.privacy.national_ids import find_national_ids
from umbrella.privacy.patterns import ALLOWED, FILE_NAMES, ID_PATTERNS, PATTERNS
from umbrella.privacy.presidio_names import NameFinder
from umbrella.privacy.scan_text import DICOM_EXTENSION, read_scan_text

_BIRTH = re.compile(
    r"(?:\bD\.?O\.?B\.?|[Bb]orn|[Bb]irth|BIRTH|[Gg]eb(?:oren|\.)|[Nn]ée? le|[Nn]acid|[Nn]at[oa] il|"
    r"[Gg]eboorte)[^.;\n]{0,25}$"
)
_SUFFIX = re.compile(r"\.(?:nii|mgh)(?:\.gz)?$|\.mgz$|\.jsonl?(?::\d+)?$", re.IGNORECASE)
_BIRTH_BEFORE = 60  # how far before a date a word of birth is looked for
_ID_FIELDS = ("subject_ids", "metadata.subject_id", "metadata.reference_id", "path")
_MOST_SHOWN = 40
KINDS = sorted(
    {kind for kind, _ in (*PATTERNS, *ID_PATTERNS)}
    | {"name", "date", "birth date", "identity number", "DICOM header", "face"}
)


@dataclass(frozen=True)
class Match:
    """Personal data at text[start:end]; `date` tells how a date is written."""

    kind: str
    start: int
    end: int
    date: FoundDate | None = None


@dataclass(frozen=True)
class Finding:
    """Personal data in `field` of `file`; the excerpt is masked."""

    file: str
    field: str
    kind: str
    excerpt: str

    def __str__(self) -> str:
        return f"{self.file}: {self.field}: {self.kind}: {self.excerpt}"


def find_in_text(
    text: str, is_id: bool = False, is_path: bool = False, more_names: NameFinder | None = None
) -> list[Match]:
    """All personal data in a text, without overlaps (the longest match stays), in the text's order.

    Args:
        is_id: the text is an identifier by itself, so that a bare number may be a cohort's.
        is_path: the text names a file: words may be lower case and are joined by _, - and dots.
        more_names: finds further names in sentences, see `umbrella.privacy.presidio_names`.
    """
    # In a file's name _ joins what is apart, and .nii.gz is no part of an address. Characters keep their places.
    plain = _SUFFIX.sub(lambda found: " " * len(found[0]), text).replace("_", " ") if is_path else text
    allowed = _mark(ALLOWED, text)
    files = _mark(FILE_NAMES, plain)
    matches = [
        Match(kind, *found.span(found.lastindex or 0))
        for kind, pattern in (*PATTERNS, *(ID_PATTERNS if is_id or is_path else ()))
        for form in dict.fromkeys((text, plain))
        for found in pattern.finditer(form)
    ]
    matches += [Match("identity number", *span) for span in find_national_ids(plain)]
    matches += [Match("name", *span) for span in find_names(text, is_path)]
    if more_names is not None and not (is_id or is_path):
        matches += [Match("name", *span) for span in more_names(text) if not is_ordinary(text[slice(*span)])]
    for date in find_dates(plain):
        is_birth = _BIRTH.search(plain, max(0, date.start - _BIRTH_BEFORE), date.start)
        kind = "birth date" if is_birth else "date"
        matches.append(Match(kind, date.start, date.end, date))
    return _without_overlaps(
        [
            match
            for match in matches
            if not (match.kind in ("institution", "name") and 1 in allowed[match.start : match.end])
            and not (match.kind == "host name" and 1 in files[match.start : match.end])
        ]
    )


def _mark(pattern: re.Pattern, text: str) -> bytearray:
    """1 for each character that the pattern matches, 0 for the others."""
    marks = bytearray(len(text))
    for found in pattern.finditer(text):
        marks[found.start() : found.end()] = b"\1" * len(found[0])
    return marks


def _without_overlaps(matches: list[Match]) -> list[Match]:
    kept: list[Match] = []
    taken = bytearray(max((match.end for match in matches), default=0))  # 1 for a character of a match that is kept
    # A date inside a longer match (a path, a number) goes with it; of two as long, the date says more.
    for match in sorted(matches, key=lambda match: (match.start - match.end, match.date is None)):
        if not (taken[match.start] or taken[match.end - 1]):  # those kept are as long or longer: none lies between
            kept.append(match)
            taken[match.start : match.end] = b"\1" * (match.end - match.start)
    return sorted(kept, key=lambda match: match.start)


def mask(text: str) -> str:
    """The first character of each word, the rest as asterisks: "Jane Roe" → "J*** R**"."""
    masked = re.sub(r"(?<=\w)\w", "*", text)
    return masked if len(masked) <= _MOST_SHOWN else masked[: _MOST_SHOWN - 3] + "..."


def find_in_row(row: dict, more_names: NameFinder | None = None) -> list[Finding]:
    """Findings in all text of a published row: ids, names of scans, turns, metadata, and the row's own source."""
    findings = []
    for field, text in walk_row(row):
        findings += to_findings(row["source"], field, text, more_names)
    return findings


def to_findings(file: str, field: str, text: str, more_names: NameFinder | None = None) -> list[Finding]:
    """Findings in one field; the field's name tells whether it is an identifier or names a file."""
    last = field.rpartition(".")[2]
    is_path = last in ("path", "image_path", "source", "file name", "task_id")
    is_id = field.partition("[")[0] in _ID_FIELDS
    return [
        Finding(file, field, match.kind, mask(text[match.start : match.end]))
        for match in find_in_text(text, is_id, is_path, more_names)
    ]


def walk_row(row: dict) -> Iterator[tuple[str, str]]:
    """(field, text) of everything that a row says. Other metadata come as "key: value", so that a key gives a value
    its meaning ("mrn: 0045123")."""
    yield "task_id", row["task_id"]
    yield "task_type", row["task_type"]
    for i, subject in enumerate(row["subject_ids"]):
        yield f"subject_ids[{i}]", subject
    for i, image in enumerate(row["images"]):
        yield f"images[{i}].path", image["path"]
    for i, turn in enumerate(row["conversations"]):
        for j, item in enumerate(turn["content"]):
            if item["text"] is not None:
                yield f"conversations[{i}].content[{j}].text", item["text"]
    for key, value in row["metadata"].items():
        if key != "extra" and value is not None:
            yield f"metadata.{key}", value
    yield from walk_json(json.loads(row["metadata"]["extra"] or "{}"), "metadata")
    yield "source", row["source"]


def walk_json(value: Any, place: str, key: str = "") -> Iterator[tuple[str, str]]:
    """(place, "key: value") of all keys and values of a JSON value, and the keys of objects, lists and nulls."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if inner is None or isinstance(inner, dict | list):
                yield f"{place}.{name}", name
            yield from walk_json(inner, f"{place}.{name}", name)
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from walk_json(inner, f"{place}[{i}]", key)
    elif value is not None:
        yield place, f"{key}: {value}" if key else str(value)


def find_in_scan(
    source: str | Path | bytes, file: str, modality: str | None = None, more_names: NameFinder | None = None
) -> list[Finding]:
    """Findings in a scan's header, extensions and footer, and in its picture: a face.

    Args:
        file: how findings name the scan.
        modality: faces are looked for in sMRI; None leaves them out.

    Raises ScanError for a scan that cannot be read.
    """
    findings, file = [], split_root(file)[1]
    for field, text in read_scan_text(source):
        if field == DICOM_EXTENSION:
            findings.append(Finding(file, "extension", "DICOM header", f"{len(text)} characters of text"))
        findings += to_findings(file, field, text, more_names)
    if modality == "sMRI" and shows_face(source):
        findings.append(Finding(file, "voxels", "face", "a nose stands out of the head"))
    return findings
