"""All text in a scan's file but its voxels: the header, all between it and the voxels, all behind them, gzip's own."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from umbrella.privacy.binary_text import decode, find_narrow_runs, find_runs, find_wide_runs
from umbrella.privacy.scan_parts import open_parts

DICOM_EXTENSION = "extension (DICOM)"
_EXTENSION_NAMES = {2: DICOM_EXTENSION, 4: "extension (AFNI)", 6: "extension (comment)"}
_LEAST_RUN_AMONG_NUMBERS = 5  # characters in a row that count as text there
_BETWEEN_RUNS = ";\n"  # ends a sentence, a name and a number
_HIGHEST_CODE = 1000  # nifti1_io.h has given out less than 50
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
    """(field, text) of each piece of text in a scan's file, or in both of a pair: in all bytes but the voxels.

    Raises ScanError for a scan that cannot be read, see `open_parts`.
    """
    with open_parts(source) as parts:
        for _ in parts.read_voxels():
            pass
        tail = parts.read_tail()
        of_gzip = {}
        for field, text in parts.gzip_texts:
            of_gzip.setdefault(field, []).extend(find_runs(text))
    for field, texts in of_gzip.items():
        yield from ((field, text) for text in _join(texts))
    fields = TEXT_FIELDS[len(parts.block)]
    for name, (start, length) in fields.items():
        yield from ((name, run) for run in find_runs(parts.block[start : start + length]))
    yield from (("header", text) for text in _join(_find_runs_beside(parts.block, list(fields.values()))))
    yield from _read_extensions(parts.gap)
    yield from (("footer", text) for text in _join(find_runs(tail)))


def _read_extensions(gap: bytes) -> Iterator[tuple[str, str]]:
    """The text between header and voxels: 4 bytes, then extensions of (size, code, content) each; one text for all
    extensions of a code, and one for what is none."""
    found, position = {}, 4
    others = find_runs(gap[:4])
    while position + 8 <= len(gap):
        size = int.from_bytes(gap[position : position + 4], "little")
        order: Literal["little", "big"] = "little" if 8 <= size <= len(gap) - position else "big"
        size = int.from_bytes(gap[position : position + 4], order)
        code = int.from_bytes(gap[position + 4 : position + 8], order)
        if not 8 <= size <= len(gap) - position:
            break
        name = _EXTENSION_NAMES.get(code)
        if name is None:
            name = "extension (unknown code)" if code > _HIGHEST_CODE else f"extension (code {code})"
            others += find_runs(gap[position : position + 8])
        runs = find_runs(gap[position + 8 : position + size])
        # DICOM's labels and values are runs of their own: they are told from one another by line alone.
        found.setdefault(name, []).extend(["\n".join(runs)] if code == 2 else runs)
        position += size
    others += find_runs(gap[position:])
    for name, runs in [*found.items(), ("before the voxels", others)]:
        yield from ((name, text) for text in _join(runs))


def _join(runs: list[str]) -> list[str]:
    """One text of many: to search each costs as much as to search a thousand characters."""
    return [_BETWEEN_RUNS.join(runs)] if runs else []


def _find_runs_beside(block: bytes, fields: list[tuple[int, int]]) -> list[str]:
    """The runs in a header that lie among its numbers, or go on from a text field there."""
    runs = [(*run.span(), run[0]) for run in find_narrow_runs(block)]
    runs += [(start, end, block[start:end].decode(encoding)) for start, end, encoding in find_wide_runs(block)]
    return [
        decode(run) if isinstance(run, bytes) else run
        for start, end, run in runs
        if len(run) >= _LEAST_RUN_AMONG_NUMBERS
        and not any(first <= start and end <= first + length for first, length in fields)
    ]
