"""From a scan's file to a view of it, in one step."""

from pathlib import Path
from typing import Any

import numpy as np

from umbrella.scans.gradients import read_b_values
from umbrella.scans.intensity import IntensityMap
from umbrella.scans.scan_files import ScanHeader
from umbrella.scans.series import Series, read_series
from umbrella.scans.volumes import ScanError, Scratch, name_short_memory, read_scan
from umbrella.views.expectations import check_expected, check_skull
from umbrella.views.frames import choose_frames
from umbrella.views.grid import Cut, Grid, Head, measure_beyond, place_grid, sample_grid
from umbrella.views.intensity_steps import apply_intensity, round_to_levels
from umbrella.views.planes import compose_view, cut_slice, view_planes
from umbrella.views.settings import (
    DEFAULT_IMAGE_SIZE,
    ENCODER,
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
    **further_options: Any,
) -> np.ndarray:
    """From a scan's file (or its bytes) to what the vision encoder eats.

    view, image_size        see `umbrella.views.planes.make_view`; for the view "volume" `further_options` are those
                            of the settings of `load_grid`
    normalize, standardize  see `umbrella.scans.volumes.load_volume`
    intensity               among `further_options`; in place of these two, see `umbrella.views.intensity_steps`

    Equals `make_view(load_image(...))`, but normalises only the slices that the view shows. Returns
    (n_images, 3, image_size, image_size), float32, or for "volume" (T, X, Y, Z). Raises ScanError, also where the view
    needs more slices than the scan has.
    """
    if view == VOLUME:
        settings = ViewSettings(view, None, normalize, standardize, **further_options)
        return load_grid(path, modality, settings)
    intensity = further_options.get("intensity")
    if intensity is not None:
        if intensity != ENCODER:
            raise ValueError(f"intensity: expected {ENCODER}, the one of pictures, found {intensity!r}")
        normalize, standardize = True, False
    scan = read_scan(path, modality, normalize, standardize, _SCRATCH)
    shape = scan.stored.shape
    try:
        planes = view_planes(view, shape)
    except ValueError as error:
        raise ScanError(f"{scan.name}: {error}") from error
    with name_short_memory(scan.name, shape):
        slices = [scan.intensity.apply(cut_slice(scan.stored, axis, index)) for axis, index in planes]
        shown = compose_view(slices, shape, view, image_size, scan.spacing_mm, fill=scan.intensity.low)
    return shown if intensity is None else round_to_levels(shown)


def load_grid(
    path: str | Path | bytes, modality: str, settings: ViewSettings, start: float | None = None
) -> np.ndarray:
    """The whole volume, or frames of a series, on an isotropic grid that is centred on the head.

    settings  volume_size     voxels along X, Y, Z, as "96x112x96" (the default)
              volume_spacing  mm, the same along each axis (default 2)
              frames          "K", "window:K" or "b0+K" of a series, see `umbrella.views.frames.choose_frames`; None:
                              its mean
    start     where in the series a window lies, 0 to 1; None: in its middle

    Intensities come first: each voxel's stored number is mapped with the percentiles, the mean and the deviation of
    all frames, then resampled as `umbrella.views.grid` says. Returns (T, X, Y, Z), float32, RAS+, T = 1 for a 3-D
    scan. Raises ScanError as `load_volume` does, for a series shorter than the frames that are asked for, and for a
    .bval beside it that does not fit.
    """
    return load_moved_grid(path, modality, settings, np.eye(4), start)[0]


def load_moved_grid(
    path: str | Path | bytes, modality: str, settings: ViewSettings, motion: np.ndarray, start: float | None = None
) -> tuple[np.ndarray, IntensityMap]:
    """`load_grid` with the head moved by `motion` (4, 4), in mm about the grid's middle; and the map of intensities.

    The grid lies where it lies without the motion, so a shift stays a shift; all frames are moved alike.
    """
    check_expected(path, settings)
    series = read_shown_series(path, modality, settings, start)
    with name_short_memory(series.name, series.stored.shape[1:]):
        grid, _ = _place(series, settings)
        from_middle = np.eye(4)
        from_middle[:3, 3] = grid.centre_mm
        moved = from_middle @ motion @ np.linalg.inv(from_middle) @ series.affine
        shown = sample_grid(series.stored, moved, grid, series.intensity)
        return finish_grid(shown, series.name, settings), series.intensity


def measure_cut(path: str | Path | bytes, modality: str, settings: ViewSettings) -> Cut:
    """What of the head `load_grid` leaves out since it lies beyond the grid. Raises ScanError as `load_grid` does."""
    return locate_grid(path, modality, settings)[1]


def locate_grid(path: str | Path | bytes, modality: str, settings: ViewSettings) -> tuple[Grid, Cut]:
    """Where the voxels of `load_grid` lie, and what `measure_cut` finds. Raises ScanError as `load_grid` does."""
    series = read_shown_series(path, modality, settings, None)
    with name_short_memory(series.name, series.stored.shape[1:]):
        grid, head = _place(series, settings)
        return grid, measure_beyond(head, grid)


def read_shown_series(
    path: str | Path | bytes, modality: str, settings: ViewSettings, start: float | None = None
) -> Series:
    """The frames that `load_grid` shows, as they are stored. Raises ScanError as it does."""
    frames = settings.frames or ""

    def choose(header: ScanHeader) -> list[list[int]]:
        return choose_frames(frames, header.n_volumes, start, read_b_values(path, header.n_volumes))

    is_plain = settings.intensity is not None  # its steps take the scan's own values
    normalize = settings.normalize is not False and not is_plain
    standardize = settings.standardize is not False and not is_plain
    return read_series(path, modality, choose if frames else None, normalize, standardize, _SCRATCH)


def _place(series: Series, settings: ViewSettings) -> tuple[Grid, Head]:
    size, spacing_mm = parse_volume_size(settings.volume_size or VOLUME_SIZE), settings.volume_spacing
    return place_grid(series.stored, series.affine, size, spacing_mm or VOLUME_SPACING, series.intensity)


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
