"""What lies in a scan's place and is none: a pointer to data that was not fetched, a web page, an archive.

The remedy for these is to fetch or unpack the data, never to convert the file. Told from its first bytes; the formats
of pointers are those of git-annex (https://git-annex.branchable.com/internals/pointer_file/) and of Git LFS
(https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md).
"""

import codecs
import os
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

ABSENT = ": expected a scan, found no such file"  # what `umbrella.scans.scan_files` says of a path
LEAST_JOINED = 4
GZIP_MAGIC = b"\x1f\x8b"
N_BYTES = 512  # of a file's start: enough to tell; a tar's mark lies at byte 257

_LFS = b"version https://git-lfs.github.com/spec/"
_ANNEX = re.compile(rb"(?<![./\\])[./\\]++(?:git[/\\])?annex[/\\]objects[/\\]")
_PAGE = re.compile(rb"<(?:!doctype html|html|head|body|\?xml|error)", re.IGNORECASE)
_ANSWER = re.compile(rb'[{\[]\s*+["{\[}\]]')
_ARCHIVES = (
    (b"PK\x03\x04", "a zip archive", "unzip"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "7z x"),
    (b"Rar!", "a RAR archive", "unrar x"),
    (b"BZh", "a file compressed by bzip2", "bunzip2"),
    (b"\xfd7zXZ\0", "a file compressed by xz", "unxz"),
    (b"\x28\xb5\x2f\xfd", "a file compressed by zstd", "unzstd"),
    (GZIP_MAGIC, "a gzip file within a gzip file", "gunzip"),
)


NOT_FETCHED, NOT_A_SCAN, PACKED = "not fetched", "not a scan", "packed"


class Foreign(NamedTuple):
    """What lies in a scan's place: a short name to count by, and what it is, with the remedy."""

    kind: str
    found: str


def find_unfetched(path: str | Path, what: str) -> str | None:
    """What lies in the place of a table or of another text, `what`, that was not fetched, with the remedy; None: it is
    there, or nothing is."""
    if not os.path.isfile(path):
        return find_broken_link(path)
    with open(path, "rb") as file:
        stand_in = _find_stand_in(file.read(N_BYTES), str(path), what)
    return stand_in and stand_in.found


def find_foreign(start: bytes, name: str) -> Foreign | None:
    """What a file's first bytes (inflated where it is a gzip file) say that it is, with the remedy; None: none of
    these. `name` is its path, which the commands take."""
    stand_in = _find_stand_in(start, name, "scan")
    if stand_in is not None:
        return stand_in
    path = shlex.quote(name)
    if _ANSWER.match(start.removeprefix(codecs.BOM_UTF8).lstrip()):
        found = "a JSON text, as a server's answer to a download that failed or a sidecar: download the scan again"
        return Foreign(NOT_A_SCAN, found)
    for magic, kind, command in _ARCHIVES:
        if start.startswith(magic):
            return Foreign(PACKED, f"{kind}: unpack it ({command} {path}) and name the scan that it holds")
    if start[257:262] == b"ustar":
        return Foreign(PACKED, f"a tar archive: unpack it (tar -xf {path}) and name the scan that it holds")
    if _is_text(start):
        return Foreign(NOT_A_SCAN, f"a file that starts with {start[:4]!r}, a text: fetch or download the scan again")
    return None


def _find_stand_in(start: bytes, name: str, what: str) -> Foreign | None:
    """A pointer or a web page."""
    if start.startswith(_LFS):
        folder, file = (shlex.quote(part or ".") for part in os.path.split(name))
        found = f"a Git LFS pointer, whose data was not fetched: git -C {folder} lfs pull --include {file}"
        return Foreign(NOT_FETCHED, found)
    if _ANNEX.match(start):
        found = f"a git-annex pointer, whose data was not fetched: {_fetch(shlex.quote(name))}"
        return Foreign(NOT_FETCHED, found)
    if _PAGE.match(start.removeprefix(codecs.BOM_UTF8).lstrip()):
        found = f"a web page or XML text, as a server sends it that asks for a login: download the {what} again"
        return Foreign(NOT_A_SCAN, found)
    return None


def _is_text(start: bytes) -> bool:
    """Whether these are characters alone. The formats of images that begin with text (NRRD, VTK) are not meant."""
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):  # UTF-16, as Windows PowerShell writes it
        return True
    is_image = start.startswith((b"NRRD", b"# vtk", b"ObjectType", b"#INRIMAGE"))
    return bool(start) and not is_image and all(byte >= 32 or byte in b"\t\r\n" for byte in start) and _decodes(start)


def _decodes(start: bytes) -> bool:
    try:
        start.decode()
    except UnicodeDecodeError as error:
        return error.start > len(start) - 4  # a character that the bytes break off in
    return True


def describe_foreign(start: bytes, name: str) -> str:
    """The same as the end of a sentence about a file whose first bytes are those of no scan."""
    foreign = find_foreign(start, name)
    if foreign is None and start[128:132] == b"DICM":
        return "a DICOM file: convert its folder by generate_conversations.py --dicom_dir, or with dcm2niix"
    return foreign.found if foreign else f"a file that starts with {start[:4]!r}: convert it with dcm2niix or nibabel"


def find_broken_link(path: str | Path) -> str | None:
    """What a link is that leads nowhere, with the remedy; None where `path` is none."""
    if not os.path.islink(path) or os.path.exists(path):
        return None
    target = os.readlink(path)
    if _ANNEX.search(os.fsencode(target)):
        return f"a git-annex link, whose data was not fetched: {_fetch(shlex.quote(str(path)))}"
    return f"a link to {target}, which is not there: mount or copy what it leads to"


def describe_absence(path: str | Path) -> str:
    """What is in the place of a scan that cannot be opened because there is no such file."""
    return find_broken_link(path) or "no such file: check the path and image_root"


def _fetch(path: str) -> str:
    return f"datalad get {path} (or git annex get)"


def join_absent(found: Sequence[tuple[str, str]]) -> list[str]:
    """(where a scan is named, what is wrong with it) → a line each; but one for all that are not there, where
    these are many: then it is the data or the scans that were moved."""
    absent = [(place, path) for place, what in found for path, mark, _ in [what.partition(ABSENT)] if mark]
    if len(absent) < LEAST_JOINED or not all(os.path.isabs(path) for _, path in absent):
        return [f"{place}: {what}" for place, what in found]
    folder = os.path.commonpath([os.path.dirname(path) for _, path in absent])
    place, path = absent[0]
    line = (
        f"{len(absent)} scans below {folder}: expected scans, found no such files, the first {path} ({place}). Were "
        "the data or the scans moved? Check --image_root, or make the data anew where the scans are now"
    )
    return [line, *(f"{place}: {what}" for place, what in found if ABSENT not in what)]
