"""From a scan's file to a volume: float32, (X, Y, Z), RAS+. Knows no view and no tokenizer.

X runs from left to Right, Y from posterior to Anterior, Z from inferior to Superior; axes are permuted and flipped,
never resampled, so an oblique scan keeps its own grid.
"""

import math
import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path
from typing import Literal

import numpy as np
from nibabel.affines import voxel_sizes
from nibabel.orientations import apply_orientation, io_orientation

from umbrella.files.data_format import MODALITIES
from umbrella.scans.intensity import IntensityMap, fit_intensity_map
from umbrella.scans.scan_files import ScanError, ScanHeader, check_end, check_size, open_scan, read_pieces
from umbrella.scans.voxel_statistics import CountedVoxels, PlainVoxels, make_statistics, voxel_statistics

MAX_VOXELS = 1024**3  # of one volume; the environment variable UMBRELLA_MAX_VOXELS sets another bound
# From microscopy within a cell to a scanner's whole bore: what no head, whole or cut, human or not, lies beyond. The
# time that a view takes grows with the number of the thinnest voxels that lie along the longest side.
LEAST_VOXEL_MM, MOST_VOXEL_MM, MOST_FIELD_OF_VIEW_MM, MOST_THIN_VOXELS = 0.0001, 100.0, 2000.0, 100_000

__all__ = ["MAX_VOXELS", "MODALITIES", "ScanError", "check_header", "load_image", "load_volume", "read_scan"]


def load_image(
    source: str | Path | bytes, modality: str = "sMRI", normalize: bool = True, standardize: bool = True
) -> np.ndarray:
    """Load a scan as `load_volume` does, without the spacing."""
    return load_volume(source, modality, normalize, standardize)[0]


def load_volume(
    source: str | Path | bytes, modality: str = "sMRI", normalize: bool = True, standardize: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Load a scan: NIfTI-1 or -2 (.nii, .nii.gz, .hdr/.img) or FreeSurfer (.mgh, .mgz), a path or the file's bytes.

    modality     "sMRI": one 3-D volume. "dMRI", "fMRI": a 4-D series, of which the mean over time is taken; a 3-D
                 volume counts as a series of one (a mean that was made before).
    normalize    clip to the 1st and 99th percentile of the whole volume (numpy's linear one), then min-max to [0, 1]
    standardize  then zero mean and unit variance over the whole volume (population standard deviation)

    Returns the volume, float32 (X, Y, Z) in RAS+, and its spacing, float32 (3,), in mm along X, Y, Z. NaN and infinite
    values count as 0, in a series before the mean. A header without an orientation is taken as RAS, with a warning.
    Raises ScanError, which names the file, when the scan does not exist, is cut short, corrupt, empty, constant, of
    another kind than `modality`, larger than a head can be, of values that float32 cannot hold, or of more voxels than
    there is memory for or the environment variable UMBRELLA_MAX_VOXELS allows (1024³ a volume unless it is set).
    """
    scan = read_scan(source, modality, normalize, standardize)
    return scan.volume(), scan.spacing_mm


def check_header(source: str | Path | bytes, modality: str | None = None) -> None:
    """Check, without reading the voxels, that a scan exists, that its header is valid and fits `modality` (any when
    None), and, where it is not compressed, that the file is as long as the header says. Raises ScanError.

    What it refuses `load_volume` refuses too; what it passes can still be corrupt, or constant.
    """
    with open_scan(source) as (header, stream):
        check_volume(header, modality)
        find_orientation(header)
        check_size(stream, header)


class Scratch(threading.local):
    """Memory for one volume a thread, used again and again: fresh memory costs about a tenth of reading a scan."""

    MOST_BYTES = 1 << 27  # larger volumes get memory of their own, which goes when they go

    def __init__(self) -> None:
        self._memory = np.empty(0, np.uint8)

    def empty(self, shape: tuple[int, ...], dtype: np.dtype, order: Literal["C", "F"]) -> np.ndarray:
        """As numpy.empty; what it returned before loses its content."""
        n_bytes = math.prod(shape) * np.dtype(dtype).itemsize
        if n_bytes > self.MOST_BYTES:
            return np.empty(shape, dtype, order)
        if n_bytes > len(self._memory):
            self._memory = np.empty(n_bytes, np.uint8)
        return self._memory[:n_bytes].view(dtype).reshape(shape, order=order)


@dataclass(frozen=True)
class Scan:
    """A volume as it is stored, and what makes of it the volume that `load_volume` returns.

    name        the file, for error messages
    stored      (X, Y, Z) in RAS+: a view of the file's own numbers, mostly with strides of its own
    spacing_mm  (3,), float32
    intensity   the map from stored to normalised values
    slope, inter  scaled value = slope * stored value + inter
    """

    name: str
    stored: np.ndarray
    spacing_mm: np.ndarray
    intensity: IntensityMap
    slope: float
    inter: float

    def volume(self) -> np.ndarray:
        """The normalised volume, float32 (X, Y, Z). Raises ScanError where memory is short."""
        with name_short_memory(self.name, self.stored.shape):
            return self.intensity.apply(self.stored)


@contextmanager
def name_short_memory(name: str, shape: tuple[int, ...]) -> Iterator[None]:
    """Turn a MemoryError into a ScanError with the scan's name and its size."""
    try:
        yield
    except MemoryError as error:
        raise ScanError(
            f"{name}: expected a volume that fits into memory, found one of {math.prod(shape[:3])} voxels (shape "
            f"{shape}) and too little memory ({error}): if the header is right, use fewer workers, or crop the scan"
        ) from error


def read_scan(
    source: str | Path | bytes, modality: str, normalize: bool, standardize: bool, scratch: "Scratch | None" = None
) -> Scan:
    """Read a scan and find its intensity map, for a caller who needs only a part of the volume: see `load_volume`.

    With a `scratch` the numbers stand in its memory, until it is used for another scan.
    """
    with open_scan(source) as (header, stream), name_short_memory(header.name, header.shape):
        check_volume(header, modality)
        orientation, spacing_mm = find_orientation(header)
        if header.n_volumes > 1:
            stored = read_mean(header, stream)
            statistics = voxel_statistics(stored)
        else:
            stored, statistics = _read_volume(header, stream, scratch)
        check_end(stream, header)
        try:
            intensity = fit_intensity_map(statistics, header.slope, header.inter, normalize, standardize)
        except ValueError as error:
            raise ScanError(f"{header.name}: {error}") from error
    return Scan(header.name, apply_orientation(stored, orientation), spacing_mm, intensity, header.slope, header.inter)


def check_volume(header: ScanHeader, modality: str | None) -> None:
    """Raise ScanError for what is no volume or series, or none of `modality` (any when None)."""
    if modality not in (*MODALITIES, None):
        raise ScanError(f"{header.name}: modality: expected one of {', '.join(MODALITIES)}, found {modality!r}")
    if len(header.shape) > 4 and max(header.shape[4:]) > 1:
        raise ScanError(f"{header.name}: expected a volume or a series of volumes, found shape {header.shape}")
    if modality == "sMRI" and header.n_volumes > 1:
        raise ScanError(
            f"{header.name}: expected one 3-D volume for sMRI, found {header.n_volumes} (shape {header.shape}): "
            "state the modality fMRI or dMRI to take their mean, or save the volume that you mean"
        )
    n_voxels, bound = math.prod(header.shape[:3]), _max_voxels()
    if n_voxels > bound:
        raise ScanError(
            f"{header.name}: expected at most {bound} voxels a volume, found {n_voxels} (shape {header.shape}): "
            "if the header is right, set the environment variable UMBRELLA_MAX_VOXELS higher"
        )


def _max_voxels() -> int:
    bound = os.environ.get("UMBRELLA_MAX_VOXELS", str(MAX_VOXELS))
    if not bound.isdecimal():
        raise ScanError(f"UMBRELLA_MAX_VOXELS: expected a whole number of voxels, found {bound!r}")
    return int(bound)


def find_orientation(header: ScanHeader) -> tuple[np.ndarray, np.ndarray]:
    """Find nibabel's orientation array (3, 2), which takes the stored axes to RAS+, and the spacing (3,) in RAS+
    order."""
    if header.affine is None:
        warnings.warn(
            f"{header.name}: neither sform nor qform is set, so the axes are taken as stored in RAS+ order: "
            "if left and right matter, set the orientation in the header",
            stacklevel=4,
        )
        orientation, zooms = np.array([[0, 1], [1, 1], [2, 1]]), header.zooms
    else:
        valid = np.isfinite(header.affine).all() and np.linalg.matrix_rank(header.affine[:3, :3]) == 3
        orientation, zooms = (
            (io_orientation(header.affine), voxel_sizes(header.affine)) if valid else (np.zeros((3, 2)), np.zeros(3))
        )
    if not (np.isfinite(zooms).all() and zooms.min() > 0):
        raise ScanError(
            f"{header.name}: expected three axes with a voxel size above 0 mm, found the affine\n{header.affine} "
            f"and pixdim {header.zooms.tolist()}: correct the header"
        )
    fields_mm = zooms * header.shape[:3]
    is_voxel = zooms.min() >= LEAST_VOXEL_MM and zooms.max() <= MOST_VOXEL_MM
    if not (is_voxel and fields_mm.max() <= min(MOST_FIELD_OF_VIEW_MM, MOST_THIN_VOXELS * zooms.min())):
        raise ScanError(
            f"{header.name}: expected voxels of {LEAST_VOXEL_MM:g} to {MOST_VOXEL_MM:g} mm and a field of view of at "
            f"most {MOST_FIELD_OF_VIEW_MM:g} mm and {MOST_THIN_VOXELS} times the thinnest voxel, found voxels of "
            f"{_join(zooms)} mm and a field of view of {_join(fields_mm)} mm (shape {header.shape}; the header counts "
            f"in units of {header.unit_mm:g} mm): correct its pixdim, its affine or its xyzt_units"
        )
    spacing_mm = np.empty(3, np.float32)
    spacing_mm[orientation[:, 0].astype(int)] = zooms
    return orientation, spacing_mm


def _join(lengths: np.ndarray) -> str:
    return " x ".join(f"{length:g}" for length in lengths)


def _read_volume(
    header: ScanHeader, stream: BufferedIOBase, scratch: "Scratch | None"
) -> tuple[np.ndarray, CountedVoxels | PlainVoxels]:
    """Read a volume's stored numbers, and the statistics while they are in the processor's cache."""
    make_empty = scratch.empty if scratch else np.empty
    stored = make_empty(header.shape[:3], header.dtype.newbyteorder("="), order="F")
    statistics = make_statistics(stored)
    for piece in read_finite(header, stream, stored):
        statistics.add(piece)
    return stored, statistics


def read_mean(header: ScanHeader, stream: BufferedIOBase) -> np.ndarray:
    """Read a series volume by volume and take the mean; only one volume of it is held at a time."""
    stored = np.empty(header.shape[:3], header.dtype.newbyteorder("="), order="F")
    total = np.zeros(stored.size, np.float64)
    for _ in range(header.n_volumes):
        start = 0
        for piece in read_finite(header, stream, stored):
            total[start : start + len(piece)] += piece
            start += len(piece)
    total /= header.n_volumes
    if not np.isfinite(total).all():
        raise ScanError(
            f"{header.name}: expected values whose sum float64 can hold, found larger ones: rescale the scan"
        )
    return total.reshape(stored.shape, order="F")


def read_finite(header: ScanHeader, stream: BufferedIOBase, stored: np.ndarray) -> Iterator[np.ndarray]:
    """As `read_pieces` for the next volume, in native byte order; what has no finite value becomes a scaled 0."""
    for piece in read_pieces(stream, stored, header):
        if not header.dtype.isnative:
            piece.byteswap(inplace=True)
        if piece.dtype.kind == "f" and not (is_finite := np.isfinite(piece)).all():
            piece[~is_finite] = _find_zero(header)
        yield piece


def _find_zero(header: ScanHeader) -> np.floating:
    """The stored number whose scaled value is 0."""
    with np.errstate(over="ignore"):
        zero = header.dtype.newbyteorder("=").type(-header.inter / header.slope)
    if not np.isfinite(zero):
        raise ScanError(
            f"{header.name}: expected finite numbers, found NaN or infinity where no stored number means 0 (slope "
            f"{header.slope:g}, intercept {header.inter:g}): save the scan without them"
        )
    return zero
