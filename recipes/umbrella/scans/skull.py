"""Whether a scan looks as if it had a skull: beneath the head's surface a dark layer, and bright tissue beneath that.

It looks along straight lines from the middle of the head upwards and to the sides, where neither face nor neck lies.
Air, bone and cerebrospinal fluid are dark in T1-weighted scans; in others, fluid around a brain without a skull can
look as a skull does, and the answer can be wrong. Where neither is clear it says so.
"""

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from umbrella.scans.head import otsu_threshold

N_DIRECTIONS = 200
LOWEST = 0.25  # of a direction's Z: lower ones run into the face and the neck
LONGEST_MM, STEP_MM = 130.0, 1.0
DEEPEST_MM = 25.0  # beneath the surface, where the dark layer begins at the latest
GAP_MM = (3.0, 18.0)  # thickness of the dark layer
BENEATH_MM, BENEATH_BRIGHT = 12.0, 0.7  # beneath it: so far most is bright
LEAST_RADIUS_MM = 35.0
BRIGHT_SHARE = 0.3  # of the median of what Otsu's threshold parts from air: above bone, below grey matter
HAS_SHARE, LACKS_SHARE = 0.6, 0.25  # of the directions with such a layer: at least, at most


class SkullVerdict(NamedTuple):
    """has_skull is None where it cannot be told; evidence is a sentence's end."""

    has_skull: bool | None
    evidence: str


def judge_skull(volume: np.ndarray, spacing_mm: float) -> SkullVerdict:
    """Look for a skull in a volume (X, Y, Z), RAS, with voxels of one size along each axis."""
    bright = volume > BRIGHT_SHARE * np.median(volume[volume > otsu_threshold(volume)])
    parts, n_parts = ndimage.label(bright)
    if n_parts == 0:
        return SkullVerdict(None, "there is nothing bright in it")
    largest = np.bincount(parts.ravel())[1:].max() * spacing_mm**3
    centre = np.array(ndimage.center_of_mass(ndimage.binary_fill_holes(bright)))
    radii = np.arange(0, LONGEST_MM, STEP_MM)
    points = centre[:, None, None] + spread_directions().T[:, :, None] * radii / spacing_mm  # (3, directions, radii)
    lines = ndimage.map_coordinates(bright.astype(np.float32), points, order=1, mode="constant") > 0.5
    found = [layer for line in lines if (layer := find_dark_layer(line)) is not None]
    judged = [line for line in lines if line.any() and np.flatnonzero(line)[-1] * STEP_MM >= LEAST_RADIUS_MM]
    if len(judged) < N_DIRECTIONS // 4 or largest < 1e5:
        return SkullVerdict(None, "its bright parts are too small for a head")
    share = len(found) / len(judged)
    evidence = f"in {len(found)} of {len(judged)} directions a dark layer lies beneath the surface"
    if found:
        depth, width = np.median(found, axis=0)
        evidence += f", {depth:.0f} mm deep and {width:.0f} mm thick"
    if LACKS_SHARE < share < HAS_SHARE:
        return SkullVerdict(None, evidence)
    return SkullVerdict(share >= HAS_SHARE, evidence)


def spread_directions() -> np.ndarray:
    """(N_DIRECTIONS, 3): evenly over the part of the sphere above LOWEST, by the golden angle."""
    z = LOWEST + (1 - LOWEST) * (np.arange(N_DIRECTIONS) + 0.5) / N_DIRECTIONS
    turn = np.arange(N_DIRECTIONS) * np.pi * (3 - np.sqrt(5))
    across = np.sqrt(1 - z**2)
    return np.stack([across * np.cos(turn), across * np.sin(turn), z], axis=1)


def find_dark_layer(line: np.ndarray) -> tuple[float, float] | None:
    """Depth and thickness in mm of the first dark layer beneath the surface that is one; None where there is none.

    line  bright or not, from the middle outwards
    """
    if not line.any():
        return None
    outer = np.flatnonzero(line)[-1]
    inward = line[outer::-1]  # the surface first
    edges = np.flatnonzero(np.diff(inward.astype(np.int8)))
    starts = [edge + 1 for edge in edges if not inward[edge + 1]]
    for start in starts:
        if start * STEP_MM > DEEPEST_MM:
            return None
        ends = np.flatnonzero(inward[start:])
        if not len(ends):
            return None
        width = ends[0] * STEP_MM
        beneath = inward[start + ends[0] :][: int(BENEATH_MM / STEP_MM)]
        if GAP_MM[0] <= width <= GAP_MM[1] and beneath.mean() >= BENEATH_BRIGHT:
            return start * STEP_MM, width
    return None
