"""Scans as the viewer loads them: NIfTI files, not compressed, in a folder that goes when the process ends."""

import tempfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from nibabel import Nifti1Header

from umbrella.report.demo.own_folders import make_own_folder

MOST_FILES, MOST_BYTES = 64, 8 * 1024**3  # that are kept; the oldest go first
KEPT_TYPES = ("u1", "i1", "u2", "i2", "i4", "f4")  # that browsers have arrays of; others are written as float32


@lru_cache(maxsize=1)
def find_folder() -> Path:
    """The folder of this process."""
    return make_own_folder("shown")


def keep_file(write: Callable[[Path], None]) -> Path:
    """A new file that `write` fills. The oldest go where there are too many."""
    with tempfile.NamedTemporaryFile(dir=find_folder(), suffix=".nii", delete=False) as file:
        path = Path(file.name)
    try:
        write(path)
    except BaseException:
        path.unlink()
        raise
    _drop_old(path)
    return path


def drop_files(value: dict[str, Any]) -> None:
    """Remove the files of what a viewer showed, see `umbrella.report.demo.viewer.show_scan`."""
    for shown in (value, *value["overlays"]):
        Path(shown["url"]).unlink(missing_ok=True)


def _drop_old(kept: Path) -> None:
    newest_first = sorted(find_folder().glob("*.nii"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    n_bytes = 0
    for number, path in enumerate(newest_first):
        n_bytes += path.stat().st_size
        if path != kept and (number >= MOST_FILES or n_bytes > MOST_BYTES):
            path.unlink(missing_ok=True)


def write_nifti(path: Path, frames: np.ndarray, affine: np.ndarray, slope: float = 1.0, inter: float = 0.0) -> None:
    """Write stored numbers, (T, X, Y, Z), whose scaled values are slope * number + inter, as one NIfTI-1 file.

    affine  (4, 4), indices along X, Y, Z to mm
    """
    is_kept = frames.dtype.newbyteorder("=").str[1:] in KEPT_TYPES
    kind = frames.dtype.newbyteorder("<") if is_kept else np.dtype("<f4")
    header = Nifti1Header(endianness="<")
    header.set_data_dtype(kind)
    header.set_data_shape((*frames.shape[1:], len(frames)) if len(frames) > 1 else frames.shape[1:])
    header.set_sform(affine, 1)
    header.set_zooms([*np.linalg.norm(affine[:3, :3], axis=0), *([1.0] if len(frames) > 1 else [])])
    header.set_xyzt_units("mm", "sec")
    header["vox_offset"] = header.single_vox_offset
    header["magic"] = header.single_magic
    header["scl_slope"], header["scl_inter"] = (slope, inter) if is_kept else (1.0, 0.0)
    with path.open("wb") as file:
        file.write(header.binaryblock + bytes(header.single_vox_offset - len(header.binaryblock)))
        for frame in frames:
            scaled = frame if is_kept else slope * frame.astype(np.float64) + inter
            file.write(scaled.astype(kind).tobytes(order="F"))
