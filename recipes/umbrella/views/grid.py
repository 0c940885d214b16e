"""Volumes on a grid of their own: isotropic, along the world's axes, centred on the head. Knows no file.

    volumes (T, X, Y, Z) and their affine  ──find_head_centre──▶  mm  ──sample_grid──▶  (T, x, y, z), RAS+

A value of the grid is the mean over its voxel of the volume's linear interpolation, taken at evenly spaced points that
lie no further apart than the volume's own voxels: antialiased where the grid is coarser, plain linear interpolation
where it is not.
"""

import numpy as np
import torch
from torch.nn.functional import grid_sample

from umbrella.scans.otsu import find_otsu_bin

N_BINS = 256
OUTER_SHARE = 0.005  # of the head's voxels that may lie beyond either end of its box: specks are no head


def find_head_centre(volume: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """The middle of the box around what is brighter than air, in world mm (3,).

    volume  (X, Y, Z)
    affine  (4, 4), voxel indices to mm
    """
    counts, edges = np.histogram(volume, N_BINS)
    threshold = edges[find_otsu_bin(counts, (edges[:-1] + edges[1:]) / 2) + 1]
    head = volume > threshold
    middle = []
    for axis in range(3):
        profile = head.sum(axis=tuple({0, 1, 2} - {axis})).cumsum()
        first, last = np.searchsorted(profile, [OUTER_SHARE * profile[-1], (1 - OUTER_SHARE) * profile[-1]])
        middle.append((first + last) / 2)
    return affine[:3, :3] @ np.array(middle) + affine[:3, 3]


def sample_grid(
    volumes: np.ndarray, affine: np.ndarray, size: tuple[int, int, int], spacing_mm: float, centre_mm: np.ndarray
) -> np.ndarray:
    """Resample volumes to a grid.

    volumes     (T, X, Y, Z), float32
    affine      (4, 4), voxel indices to mm
    size        voxels of the grid along X, Y, Z
    spacing_mm  of the grid, the same along each axis
    centre_mm   (3,), where the grid's middle lies

    Returns (T, *size), float32, along the world's X, Y, Z. Beyond the field of view stands each volume's minimum.
    """
    zooms = np.linalg.norm(affine[:3, :3], axis=0)
    n_points = np.maximum(1, np.ceil(spacing_mm / zooms.min() - 1e-6)).astype(int)
    fine = [n * int(n_points) for n in size]
    axes = [((np.arange(n) + 0.5) / n_points - whole / 2) * spacing_mm for n, whole in zip(fine, size, strict=True)]
    world = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1) + centre_mm
    inverse = np.linalg.inv(affine)
    index = world @ inverse[:3, :3].T + inverse[:3, 3]  # (x, y, z, 3)
    shape = np.array(volumes.shape[1:])
    places = torch.from_numpy((2 * index[..., ::-1] + 1) / shape[::-1] - 1).float()[None]  # grid_sample's z, y, x
    grids = []
    for volume in volumes:
        least = volume.min()
        fine_grid = grid_sample(
            torch.from_numpy(volume - least)[None, None], places, mode="bilinear", align_corners=False
        )
        pooled = torch.nn.functional.avg_pool3d(fine_grid, int(n_points))
        grids.append(pooled[0, 0].numpy() + least)
    return np.stack(grids)
