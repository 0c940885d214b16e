"""From a scan's file to a view of it, in one step."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from umbrella.scans.series import read_series
from umbrella.scans.volumes import ScanError, Scratch, name_short_memory, read_scan
from umbrella.views.expectations import check_expected, check_skull
from umbrella.views.frames import choose_frames
from umbrella.views.grid import find_head_centre, sample_grid
from umbrella.views.intensity_steps import apply_intensity
from umbrella.views.planes import compose_view, cut_slice, view_planes
from umbrella.views.settings import (
    DEFAULT_IMAGE_SIZE,
    VOLUME,
    VOLUME_SIZE,
    VOLUME_SPACING,
    ViewSettings,
    parse_volume_size,
)

_SCRATCH = Scratch()


def load_view(
    path: str | Path | bytes,
    modality: str = "sMRI",
    view: str = "axial",
    image_size: int = DEFAULT_IMAGE_SIZE,
    normalize: bool = True,
    standardize: bool = True,
    **volume_options: Any,
) -> np.ndarray:
    """From a scan's file (or its bytes) to what the vision encoder eats.

    view, image_size        see `umbrella.views.planes.make_view`; for the view "volume" `volume_options` are those of
                            the settings of `load_grid`
    normalize, standardize  see `umbrella.scans.volumes.load_volume`

    Equals `make_view(load_image(...))`, but normalises only the slices that the view shows. Returns
    (n_images, 3, image_size, image_size), float32, or for "volume" (T, X, Y, Z). Raises ScanError, also where the view
    needs more slices than the scan has.
    """
    if view == VOLUME:
        settings = ViewSettings(view, None, normalize, standardize, **volume_options)
        return load_grid(path, modality, settings)
    scan = read_scan(path, modality, normalize, standardize, _SCRATCH)
    shape = scan.stored.shape
    try:
        planes = view_planes(view, shape)
    except ValueError as error:
        raise ScanError(f"{scan.name}: {error}") from error
    with name_short_memory(scan.name, shape):
        slices = [scan.intensity.apply(cut_slice(scan.stored, axis, index)) for axis, index in planes]
        return compose_view(slices, shape, view, image_size, scan.spacing_mm, fill=scan.intensity.low)


def load_grid(
    path: str | Path | bytes, modality: str, settings: ViewSettings, start: float | None = None
) -> np.ndarray:
    """The whole volume, or frames of a series, on an isotropic grid that is centred on the head.

    settings  volume_size     voxels along X, Y, Z, as "96x112x96" (the default)
              volume_spacing  mm, the same along each axis (default 2)
              frames          "K" or "window:K" of a series, see `umbrella.views.frames.choose_frames`; None: its mean
    start     where in the series a window lies, 0 to 1; None: in its middle

    Returns (T, X, Y, Z), float32, RAS+, T = 1 for a 3-D scan. Raises ScanError as `load_volume` does, and for a series
    shorter than the frames that are asked for.
    """
    check_expected(path, settings)
    frames, size = settings.frames, parse_volume_size(settings.volume_size or VOLUME_SIZE)
    choose = None if frames is None else partial(choose_frames, frames, start=start)
    normalize, standardize = (
        (False, False) if settings.intensity else (settings.normalize is not False, settings.standardize is not False)
    )
    series = read_series(path, modality, choose, normalize, standardize)
    with name_short_memory(series.name, series.stored.shape[1:]):
        volumes = np.stack([series.intensity.apply(stored) for stored in series.stored])
        centre_mm = find_head_centre(volumes.mean(axis=0), series.affine)
        grid = sample_grid(volumes, series.affine, size, settings.volume_spacing or VOLUME_SPACING, centre_mm)
        return finish_grid(grid, series.name, settings)


def finish_grid(grid: np.ndarray, name: str, settings: ViewSettings) -> np.ndarray:
    """The grid (T, X, Y, Z) with the intensities that the settings have for an encoder of its own preprocessing.

    Warns of a scan that looks otherwise than they expect. Raises ScanError where its values do not allow them.
    """
    check_skull(name, grid[0], settings)
    if settings.intensity is None:
        return grid
    try:
        return apply_intensity(grid, settings.intensity)
    except ValueError as error:
        raise ScanError(f"{name}: {error}") from error
