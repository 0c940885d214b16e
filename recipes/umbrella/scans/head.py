"""The volume of the head in a scan: everything inside the outer surface of the scalp."""

import numpy as np
from scipy import ndimage

from umbrella.scans.otsu import find_otsu_bin

N_BINS = 256
CLOSING_MM = 12.0  # gaps in the scalp up to this wide are bridged
ALL_AXES = ndimage.generate_binary_structure(3, 1)
IN_AXIAL_SLICES = ALL_AXES & np.array([False, True, False])


def estimate_head_volume_ml(volume: np.ndarray, spacing_mm: np.ndarray) -> float:
    """Millilitres inside the head's surface, see `find_head`; the arguments are its."""
    return float(_find_padded(volume, spacing_mm)[0].sum() * np.prod(spacing_mm, dtype=float) / 1000)


def find_head(volume: np.ndarray, spacing_mm: np.ndarray) -> np.ndarray:
    """(X, Y, Z) bool: what lies inside the head's surface.

    volume      (X, Y, Z) with dark air outside the head
    spacing_mm  (3,)

    Otsu's threshold parts tissue from air; gaps are closed, what the surface encloses (bone, fluid) is filled, in 3-D
    and in every axial slice, and the largest connected part is the head. The neck, where the field of view holds it,
    counts as head.
    """
    padded, reach = _find_padded(volume, spacing_mm)
    return padded[tuple(slice(n, n + size) for n, size in zip(reach, volume.shape, strict=True))]


def _find_padded(volume: np.ndarray, spacing_mm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The head in the volume with as many voxels more on each side as gaps are closed over, and their number (3,)."""
    tissue = volume > otsu_threshold(volume)
    reach = np.maximum(1, np.round(CLOSING_MM / 2 / spacing_mm)).astype(int)
    tissue_padded = np.pad(tissue, [(n, n) for n in reach])
    closed = tissue_padded.astype(np.uint8)
    for spread in (ndimage.maximum_filter, ndimage.minimum_filter):  # along one axis after the other
        closed = spread(closed, size=tuple(2 * reach + 1), mode="constant")
    head = _fill(_fill(closed > 0, ALL_AXES), IN_AXIAL_SLICES)
    parts, _ = ndimage.label(head)
    return parts == np.bincount(parts.ravel())[1:].argmax() + 1, reach


def _fill(mask: np.ndarray, neighbours: np.ndarray) -> np.ndarray:
    """With what it encloses, where a voxel's neighbours are those of (3, 3, 3)."""
    outside, _ = ndimage.label(~np.pad(mask, 1), neighbours)
    return (outside != outside[0, 0])[1:-1, 1:-1, 1:-1]


def otsu_threshold(volume: np.ndarray) -> float:
    """The intensity that parts a volume's histogram into two classes of least variance (Otsu 1979)."""
    counts, edges = np.histogram(volume, N_BINS)
    centres = (edges[:-1] + edges[1:]) / 2
    return float(edges[find_otsu_bin(counts, centres) + 1])
