"""Frames of a scan: single volumes out of a series, with one intensity map for all of them.

Of a file that is not compressed only the frames are read; of one that is compressed the others are inflated and
dropped. Held are the frames, as they are stored, and nothing else of the series.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path

import numpy as np
from nibabel.orientations import apply_orientation, inv_ornt_aff

from umbrella.scans.inflate import GzipFile
from umbrella.scans.intensity import IntensityMap, fit_intensity_map
from umbrella.scans.scan_files import ScanError, ScanHeader, check_end, check_size, open_scan, read_pieces
from umbrella.scans.volumes import Scratch, check_volume, find_orientation, name_short_memory, read_finite, read_mean
from umbrella.scans.voxel_statistics import PIECE, CountedVoxels, PlainVoxels, make_statistics, voxel_statistics


@dataclass(frozen=True)
class Series:
    """Volumes as they are stored, and what makes of them normalised ones.

    name        the file, for error messages
    stored      (T, X, Y, Z), the axes in RAS+: a view of the file's own numbers, mostly with strides of its own
    affine      (4, 4), indices along those axes to mm
    intensity   the map from stored to normalised values, one for all volumes
    slope, inter  scaled value = slope * stored value + inter
    """

    name: str
    stored: np.ndarray
    affine: np.ndarray
    intensity: IntensityMap
    slope: float
    inter: float


def read_series(
    source: str | Path | bytes,
    modality: str,
    choose: Callable[[ScanHeader], list[list[int]]] | None,
    normalize: bool,
    standardize: bool,
    scratch: Scratch | None = None,
) -> Series:
    """Read some volumes of a scan and find their intensity map.

    choose   a series' header → of each frame the volumes whose mean it is, mostly a single one; None takes the mean of
             all. A 3-D scan has one frame, which is not chosen
    scratch  memory in which the numbers stand, until it is used for another scan

    The map's percentiles, mean and deviation are those of all voxels of all frames. Raises ScanError as
    `umbrella.scans.volumes.load_volume` does, and with what `choose` raises as a ValueError.
    """
    with open_scan(source) as (header, stream), name_short_memory(header.name, header.shape):
        check_volume(header, modality)
        orientation, _ = find_orientation(header)
        if header.n_volumes > 1 and choose is None:
            stored = read_mean(header, stream)[..., None]
            statistics = voxel_statistics(stored)
            check_end(stream, header)
        else:
            frames = [[0]] if choose is None or header.n_volumes == 1 else _choose(choose, header)
            stored, statistics = _read_frames(header, stream, frames, scratch)
        try:
            intensity = fit_intensity_map(statistics, header.slope, header.inter, normalize, standardize)
        except ValueError as error:
            raise ScanError(f"{header.name}: {error}") from error
    affine = (
        np.diag([*header.zooms, 1.0]) if header.affine is None else header.affine
    )  # as `find_orientation` takes it
    oriented = np.moveaxis(apply_orientation(stored, orientation), -1, 0)
    oriented_affine = affine @ inv_ornt_aff(orientation, header.shape[:3])
    return Series(header.name, oriented, oriented_affine, intensity, header.slope, header.inter)


def _choose(choose: Callable[[ScanHeader], list[list[int]]], header: ScanHeader) -> list[list[int]]:
    try:
        return choose(header)
    except ScanError:
        raise
    except ValueError as error:
        raise ScanError(f"{header.name}: {error}") from error


def _read_frames(
    header: ScanHeader, stream: BufferedIOBase, frames: list[list[int]], scratch: Scratch | None
) -> tuple[np.ndarray, CountedVoxels | PlainVoxels]:
    """The frames, (X, Y, Z, T), of the stored type, or floats where one is a mean; and their statistics."""
    native = header.dtype.newbyteorder("=")
    are_means = any(len(volumes) > 1 for volumes in frames)
    make_empty = scratch.empty if scratch else np.empty
    kind = np.result_type(native, np.float32) if are_means else native
    stored = make_empty((*header.shape[:3], len(frames)), kind, order="F")
    order = sorted((number, frame) for frame, volumes in enumerate(frames) for number in volumes)
    at_volumes = _stand_at(header, stream, [number for number, _ in order])
    if not are_means:
        statistics = make_statistics(stored)
        for (_, frame), _ in zip(order, at_volumes, strict=True):
            for piece in read_finite(header, stream, stored[..., frame]):
                statistics.add(piece)  # while it is in the processor's cache
        return stored, statistics
    volume, totals = np.empty(header.shape[:3], native, order="F"), np.zeros(stored.shape, order="F")
    for (_, frame), _ in zip(order, at_volumes, strict=True):
        for _ in read_finite(header, stream, volume):
            pass
        totals[..., frame] += volume
    totals /= [len(volumes) for volumes in frames]
    if not np.isfinite(totals).all():
        raise ScanError(
            f"{header.name}: expected values whose sum float64 can hold, found larger ones: rescale the scan"
        )
    stored[:] = totals
    return stored, voxel_statistics(stored)


def _stand_at(header: ScanHeader, stream: BufferedIOBase, numbers: list[int]) -> Iterator[None]:
    """Bring the stream to the first voxel of each of these volumes, in ascending order; who has stopped reads the
    volume before he goes on. At last the stream's end is checked."""
    n_bytes, is_packed = math.prod(header.shape[:3]) * header.dtype.itemsize, isinstance(stream, GzipFile)
    dropped, place = np.empty(PIECE if is_packed else 0, np.uint8), 0
    if not is_packed:
        check_size(stream, header)

    def drop_until(target: int) -> None:
        for start in range(place, target, PIECE):
            for _ in read_pieces(stream, dropped[: target - start], header):
                pass

    for number in numbers:
        if is_packed:
            drop_until(number * n_bytes)
        else:
            stream.seek(header.offset + number * n_bytes)
        yield
        place = (number + 1) * n_bytes
    if is_packed:
        drop_until(header.n_bytes)
        check_end(stream, header)
