"""Where in a scan that which a view shows lies: each pixel or voxel of the view among the scan's own voxels.

    view, element by element  ──Places.voxels──▶  voxels with an affine  ──Places.to_image──▶  NIfTI

The voxels are the scan's own, RAS+, for the views of pictures, and those of its grid for the view "volume".
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from nibabel.nifti1 import Nifti1Image
from nibabel.orientations import apply_orientation, inv_ornt_aff, ornt_transform

from umbrella.scans.scan_files import open_scan
from umbrella.scans.volumes import ScanError, check_volume, find_orientation
from umbrella.views.loading import locate_grid
from umbrella.views.planes import lay_mosaic, parse_view, pixel_centres, view_planes
from umbrella.views.settings import VOLUME, ViewSettings

NOWHERE = -1  # a pixel of the padding, which lies on no voxel
_RAS = np.array([[0, 1], [1, 1], [2, 1]])


@dataclass(frozen=True)
class Places:
    """Voxels are told by their number, in C order of `shape`.

    affine       (4, 4), voxel indices to mm of the scan's world (RAS+)
    shape        voxels along X, Y, Z
    voxels       on which voxel the middle of each element of the view lies, NOWHERE on none; of a shape that
                 broadcasts to the view's: (n_images, 1 or 3, rows, columns), or (1, X, Y, Z)
    shown        (n,), the voxels that the view shows; where two of its slices cross, twice
    elements     (n,), the element of the view nearest to each of them, a number in C order of the shape of `voxels`
    orientation  (3, 2), nibabel's of the file's axes, in whose order images are written; None: as they are
    is_oriented  whether the scan's file states where its voxels lie
    """

    affine: np.ndarray
    shape: tuple[int, int, int]
    voxels: np.ndarray
    shown: np.ndarray
    elements: np.ndarray
    orientation: np.ndarray | None
    is_oriented: bool

    def lay(self, numbers: np.ndarray) -> np.ndarray:
        """A volume of `shape`, float32, of numbers of the shown voxels, (n,); NaN where the view shows nothing. Where
        two slices cross, their mean."""
        n_voxels = int(np.prod(self.shape))
        counts = np.bincount(self.shown, minlength=n_voxels)
        with np.errstate(invalid="ignore"):
            volume = np.bincount(self.shown, numbers, n_voxels) / counts
        return volume.astype(np.float32).reshape(self.shape)

    def find_shown(self, points_mm: np.ndarray) -> np.ndarray:
        """The shown voxels on which points of the world lie, (m, 3) mm; each once."""
        indices = np.floor(points_mm @ self._to_voxels[:3, :3].T + self._to_voxels[:3, 3] + 0.5).astype(int)
        indices = indices[((indices >= 0) & (indices < self.shape)).all(axis=1)]
        return np.intersect1d(np.ravel_multi_index(tuple(indices.T), self.shape), self.shown)

    @property
    def _to_voxels(self) -> np.ndarray:
        return np.linalg.inv(self.affine)

    def to_image(self, volume: np.ndarray) -> Nifti1Image:
        """A NIfTI image of a volume of `shape`: its voxels in the order in which the scan's file has them, or as they
        are for the view "volume"; 0 in place of NaN, which not every viewer leaves out."""
        filled, affine = np.nan_to_num(volume.astype(np.float32), nan=0.0), self.affine
        if self.orientation is not None:
            to_stored = ornt_transform(_RAS, self.orientation)
            filled, affine = (
                apply_orientation(filled, to_stored),
                affine @ inv_ornt_aff(to_stored, self.shape),
            )
        image = Nifti1Image(filled, affine)
        image.header.set_xyzt_units("mm")
        if not self.is_oriented:  # a viewer then lays it where it lays the scan
            image.set_sform(None, 0)
            image.set_qform(None, 0)
        return image


def locate_view(source: str | Path | bytes, modality: str, settings: ViewSettings) -> Places:
    """Where what `umbrella.views.loading.load_view` shows of a scan lies. Raises ScanError as it does.

    settings  with view and image size, or those of the view "volume"
    """
    with open_scan(source) as (header, _):
        check_volume(header, modality)
        orientation, spacing_mm = find_orientation(header)
        affine = np.diag([*header.zooms, 1.0]) if header.affine is None else header.affine
        is_oriented = header.affine is not None
        stored_shape = header.shape[:3]
    if settings.view == VOLUME:
        return _locate_grid(source, modality, settings, is_oriented)
    x, y, z = np.array(stored_shape)[np.argsort(orientation[:, 0])].tolist()
    shape = x, y, z
    try:
        voxels, shown, elements = _locate_pixels(shape, spacing_mm, settings)
    except ValueError as error:
        raise ScanError(f"{header.name}: {error}") from error
    to_mm = affine @ inv_ornt_aff(orientation, stored_shape)
    return Places(to_mm, shape, voxels, shown, elements, orientation, is_oriented)


def _locate_grid(source: str | Path | bytes, modality: str, settings: ViewSettings, is_oriented: bool) -> Places:
    grid, _ = locate_grid(source, modality, settings)
    numbers = np.arange(np.prod(grid.size))
    return Places(grid.affine, grid.size, numbers.reshape(1, *grid.size), numbers, numbers, None, is_oriented)


def _locate_pixels(
    shape: tuple[int, int, int], spacing_mm: np.ndarray, settings: ViewSettings
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`Places.voxels`, `shown` and `elements` of a view of pictures."""
    view, image_size = settings.view or "axial", settings.image_size or 0
    kind, number = parse_view(view)
    side = image_size // number if kind == "montage" else image_size
    numbers = np.arange(np.prod(shape)).reshape(shape)
    tiles, nearest = [], []
    for axis, index in view_planes(view, shape):
        plane = np.moveaxis(numbers, axis, 0)[index]  # (columns, rows), rows counted upwards
        tile, pixels = _locate_slice(plane, np.delete(spacing_mm, axis), side)
        tiles.append(tile)
        nearest.append((plane.ravel(), pixels.ravel()))
    squares = np.stack(tiles)  # (n_slices, side, side)
    places = np.arange(squares.size).reshape(squares.shape)  # of each pixel of a slice in the view
    voxels = squares[:, None]
    if kind == "triplanar":
        voxels = squares[None]
    elif kind == "montage":
        laid = lay_mosaic(places.astype(np.float32), number, image_size, NOWHERE).astype(int)  # exact below 2²⁴
        voxels = np.where(laid >= 0, squares.ravel()[laid], NOWHERE)[None, None]
        places[...] = 0
        is_laid = laid.ravel() >= 0
        places.ravel()[laid.ravel()[is_laid]] = np.flatnonzero(is_laid)
    shown = np.concatenate([of_slice for of_slice, _ in nearest])
    elements = np.concatenate([place.ravel()[pixels] for place, (_, pixels) in zip(places, nearest, strict=True)])
    return voxels, shown, elements


def _locate_slice(plane: np.ndarray, spacing_mm: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Of a slice of voxels' numbers, (columns, rows), drawn as `umbrella.views.planes.draw_slice` does: the voxel
    under each pixel's middle, (side, side), and the number of the pixel nearest to each voxel, (columns, rows)."""
    side_mm = max(plane.shape * spacing_mm)
    under, nearest = [], []
    for n, spacing in zip(plane.shape, spacing_mm, strict=True):
        centres = pixel_centres(n, spacing, side, side_mm)
        voxel = np.floor(centres + 0.5).astype(int)
        under.append(np.where((voxel >= 0) & (voxel < n), voxel, NOWHERE))
        step = side_mm / side / spacing
        nearest.append(np.clip(np.rint((np.arange(n) - centres[0]) / step), 0, side - 1).astype(int))
    columns, rows = under
    tile = np.where((columns[None, :] >= 0) & (rows[:, None] >= 0), plane[columns[None, :], rows[:, None]], NOWHERE)
    return tile[::-1], (side - 1 - nearest[1])[None, :] * side + nearest[0][:, None]
