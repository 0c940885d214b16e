"""Where in a scan the head is: the box around what is brighter than air."""

import numpy as np

from umbrella.scans.otsu import find_otsu_bin

MOST_LOOKED_AT = 64  # voxels along each axis, at least: every n-th of a larger scan is looked at
N_BINS = 256
LOW_PERCENT, HIGH_PERCENT = 1, 99
SAMPLE = 1 << 15  # voxels that the percentiles are taken from
LEAST_AREA = 0.05  # of the largest cross-section: planes with less hold specks, not the head
MOST_HEIGHT = 0.9  # of the box's depth from back to front: what lies lower is neck


def thin_out(volume: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Every n-th voxel of (…, X, Y, Z), and n for X, Y and Z (3,)."""
    steps = np.maximum(1, np.array(volume.shape[-3:]) // MOST_LOOKED_AT)
    x, y, z = steps.tolist()
    return volume[..., ::x, ::y, ::z], steps


def find_bright(volume: np.ndarray) -> np.ndarray:
    """What is brighter than air, (X, Y, Z) bool: Otsu's threshold of the volume within its 1st and 99th percentile."""
    sample = volume.ravel()[:: max(1, volume.size // SAMPLE)]
    low, high = np.percentile(sample, [LOW_PERCENT, HIGH_PERCENT])
    if not low < high:  # nearly every voxel has the same value
        low, high = volume.min(), volume.max()
    if not low < high:
        return np.ones(volume.shape, bool)
    scaled = (volume - np.float32(low)) * np.float32((N_BINS - 1) / (high - low))
    bins = np.clip(scaled, 0, N_BINS - 1, out=scaled).astype(np.uint8)
    counts = np.bincount(bins.ravel(), minlength=N_BINS)
    return bins > find_otsu_bin(counts, np.arange(N_BINS))


def find_box(head: np.ndarray, spacing_mm: np.ndarray) -> np.ndarray:
    """The first and the last plane of a head along each axis, (3, 2).

    head        (X, Y, Z) bool, RAS+
    spacing_mm  (3,)

    Planes with under a twentieth of the largest cross-section are left out, and at the lower end what makes the box
    higher than 0.9 of its depth: the neck.
    """
    box = np.empty((3, 2), int)
    for axis in range(3):
        areas = head.sum(axis=tuple({0, 1, 2} - {axis}))
        planes = np.flatnonzero(areas >= LEAST_AREA * areas.max())
        box[axis] = planes[0], planes[-1]
    depth_mm = (box[1, 1] - box[1, 0] + 1) * spacing_mm[1]
    box[2, 0] = max(box[2, 0], box[2, 1] + 1 - round(float(MOST_HEIGHT * depth_mm / spacing_mm[2])))
    return box
