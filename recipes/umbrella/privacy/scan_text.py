"""All text in a scan's file but its voxels: header fields, header extensions, what follows the voxels, gzip's name."""

import io
import re
from collections.abc import Iterator
from pathlib import Path

from umbrella.inflate import GZIP_ERRORS, GzipFile
from umbrella.scan_files import GZIP_MAGIC, ScanError, open_scan, read_file

DICOM_EXTENSION = "extension (DICOM)"
_EXTENSION_NAMES = {2: DICOM_EXTENSION, 4: "extension (AFNI)", 6: "extension (comment)"}
_LEAST_RUN = 2  # printable bytes in a row that count as text in binary data
_RUNS = re.compile(rb"[\x20-\x7e\x80-\xff\t]{%d,}" % _LEAST_RUN)
# (start, length) of the text fields; NIfTI-1 by nifti1.h, NIfTI-2 by nifti2.h, MGH: the header's unused rest.
NIFTI1_TEXT = {
    "data_type": (4, 10),
    "db_name": (14, 18),
    "descrip": (148, 80),
    "aux_file": (228, 24),
    "intent_name": (328, 16),
}
NIFTI2_TEXT = {"descrip": (240, 80), "aux_file": (320, 24), "intent_name": (508, 16), "unused_str": (525, 15)}
MGH_TEXT = {"unused": (90, 194)}
TEXT_FIELDS = {348: NIFTI1_TEXT, 540: NIFTI2_TEXT, 284: MGH_TEXT}


def read_scan_text(source: str | Path | bytes) -> Iterator[tuple[str, str]]:
    """(field, text) of each piece of text in a scan's file. Raises ScanError for a scan that cannot be read."""
    data = source if isinstance(source, bytes) else read_file(source)
    if data[:2] == GZIP_MAGIC:
        yield from _read_gzip_names(data)
        data = inflate(data, str(source) if not isinstance(source, bytes) else "scan")
    with open_scan(source) as (header, _):
        size = header_size(data)
        end = header.offset + header.n_bytes
    for name, (start, length) in TEXT_FIELDS[size].items():
        yield from ((name, run) for run in _find_runs(data[start : start + length]))
    if size == 284:
        yield from (("footer", run) for run in _find_runs(data[end:]))
    else:
        yield from _read_extensions(data[size : header.offset])


def header_size(data: bytes) -> int:
    """348 and 540 for NIfTI-1 and -2, 284 for FreeSurfer's MGH."""
    return next(
        (n for n in (348, 540) if n in (int.from_bytes(data[:4], "little"), int.from_bytes(data[:4], "big"))), 284
    )


def inflate(data: bytes, name: str) -> bytes:
    """The bytes in a gzip file. Raises ScanError for one that is cut short."""
    try:
        with GzipFile(fileobj=io.BytesIO(data)) as stream:
            return stream.read()
    except GZIP_ERRORS as error:
        raise ScanError(f"{name}: expected a whole gzip file, found one cut short or corrupt ({error})") from error


def _read_gzip_names(data: bytes) -> Iterator[tuple[str, str]]:
    """The file name and comment in gzip's own header (RFC 1952)."""
    flags, position = data[3], 10
    if flags & 4:
        position += 2 + int.from_bytes(data[position : position + 2], "little")
    for bit, field in ((8, "gzip.path"), (16, "gzip comment")):
        if flags & bit:
            end = data.index(b"\0", position)
            yield field, _decode(data[position:end])
            position = end + 1


def _read_extensions(block: bytes) -> Iterator[tuple[str, str]]:
    """The text of the extensions between header and voxels: 4 bytes, then (size, code, content) each."""
    position = 4
    while position + 8 <= len(block):
        size = int.from_bytes(block[position : position + 4], "little")
        order = "little" if 0 < size <= len(block) else "big"
        size = int.from_bytes(block[position : position + 4], order)
        code = int.from_bytes(block[position + 4 : position + 8], order)
        if size < 8 or block[position:].count(0) == len(block) - position:
            break
        content = block[position + 8 : position + size]
        name = _EXTENSION_NAMES.get(code, f"extension (code {code})")
        if code == 2:
            yield name, "\n".join(_find_runs(content))
        else:
            yield from ((name, run) for run in _find_runs(content))
        position += size


def _find_runs(data: bytes) -> list[str]:
    return [_decode(run[0]).strip() for run in _RUNS.finditer(data) if run[0].strip()]


def _decode(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")
