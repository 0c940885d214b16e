"""Frames of a scan: single volumes out of a series, with one intensity map for all of them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from nibabel.orientations import apply_orientation, inv_ornt_aff

from umbrella.scans.intensity import IntensityMap, fit_intensity_map
from umbrella.scans.scan_files import ScanError, ScanHeader, check_end, open_scan
from umbrella.scans.volumes import check_volume, find_orientation, name_short_memory, read_finite, read_mean
from umbrella.scans.voxel_statistics import voxel_statistics


@dataclass(frozen=True)
class Series:
    """Volumes as they are stored, and what makes of them normalised ones.

    name        the file, for error messages
    stored      (T, X, Y, Z), the axes in RAS+ order
    affine      (4, 4), indices along those axes to mm
    intensity   the map from stored to normalised values, one for all volumes
    """

    name: str
    stored: np.ndarray
    affine: np.ndarray
    intensity: IntensityMap


def read_series(
    source: str | Path | bytes,
    modality: str,
    choose: Callable[[int], list[int]] | None,
    normalize: bool,
    standardize: bool,
) -> Series:
    """Read some volumes of a scan and find their intensity map.

    choose  the number of volumes of a series → those that are taken; None takes the series' mean. A 3-D scan has one
            volume, which is not chosen.

    Raises ScanError as `umbrella.scans.volumes.load_volume` does, and with what `choose` raises as a ValueError.
    """
    with open_scan(source) as (header, stream), name_short_memory(header.name, header.shape):
        check_volume(header, modality)
        orientation, _ = find_orientation(header)
        if header.n_volumes > 1 and choose is None:
            volumes = [read_mean(header, stream)]
        else:
            try:
                chosen = [0] if choose is None or header.n_volumes == 1 else choose(header.n_volumes)
            except ValueError as error:
                raise ScanError(f"{header.name}: {error}") from error
            volumes = []
            for number in range(header.n_volumes):
                volume = np.empty(header.shape[:3], header.dtype.newbyteorder("="), order="F")
                for _ in read_finite(header, stream, volume):
                    pass
                if number in chosen:
                    volumes.append(volume)
        check_end(stream, header)
        stored = np.stack(volumes)
        try:
            intensity = fit_intensity_map(voxel_statistics(stored), header.slope, header.inter, normalize, standardize)
        except ValueError as error:
            raise ScanError(f"{header.name}: {error}") from error
    oriented = np.stack([apply_orientation(volume, orientation) for volume in volumes])
    return Series(header.name, oriented, _find_affine(header) @ inv_ornt_aff(orientation, header.shape[:3]), intensity)


def _find_affine(header: ScanHeader) -> np.ndarray:
    if header.affine is not None:
        return header.affine
    return np.diag([*header.zooms, 1.0])  # as `find_orientation` takes it
