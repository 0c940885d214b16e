"""Slices by their positions: how many there are, how often each was taken, and where one is missing."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

# Positions are texts of at most 16 characters, of some makers in hundredths of a millimetre.
SAME_MM = 0.02
SAME_STEP = 0.02  # of the step
SAME_LINE_MM = 0.1
SAME_ORIENTATION = 1e-3  # of the cosines


class Gap(NamedTuple):
    """Slices that do not follow one another in equal steps.

    step_mm    the step of most slices
    found      (slice, mm) for each other step: after which slice, counted from 1, and how long it is
    n_missing  how many slices of the same step lie in those; 0 where they are no multiples of it
    n_slices   how many there are
    """

    step_mm: float
    found: tuple[tuple[int, float], ...]
    n_missing: int
    n_slices: int


def sort_slices(
    positions: Sequence[Sequence[float]], orientation: Sequence[float]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where slices lie along their normal, which is the cross product of rows and columns (PS3.3 C.7.6.2.1.1).

    positions    (n, 3), mm, of each frame's first voxel
    orientation  (6,), cosines of the row's and of the column's direction
    Returns offsets (s,) in mm, ascending; counts (s,), how many frames lie at each; their mean places (s, 3) in mm.
    """
    places = np.asarray(positions, dtype=float).reshape(-1, 3)
    rows, columns = np.asarray(orientation, dtype=float).reshape(2, 3)
    offsets = places @ np.cross(rows, columns)
    order = np.argsort(offsets, kind="stable")
    offsets, places = offsets[order], places[order]
    starts = np.flatnonzero(np.diff(offsets, prepend=-np.inf) > SAME_MM)
    counts = np.diff(np.append(starts, len(offsets)))
    places = np.add.reduceat(places, starts, axis=0) / counts[:, np.newaxis]
    return np.add.reduceat(offsets, starts) / counts, counts, places


def count_repeats(positions: Sequence[Sequence[float]], orientation: Sequence[float]) -> tuple[int, ...]:
    """How many frames lie at each place, along the normal: (5, 5, 4) where one volume lacks the third slice."""
    return tuple(sort_slices(positions, orientation)[1].tolist())


def find_gap(positions: Sequence[Sequence[float]], orientation: Sequence[float]) -> Gap | None:
    """The steps that are not that of most slices; None where all are equal. At least two slices."""
    offsets, _, _ = sort_slices(positions, orientation)
    steps = np.diff(offsets)
    step = _choose_step(steps)
    found = np.flatnonzero(np.abs(steps - step) > _tolerate(step))
    if not found.size:
        return None
    multiples = np.rint(steps / step)
    n_missing = int((multiples - 1).sum()) if _are_multiples(steps, step) else 0
    return Gap(step, tuple((int(i) + 1, float(steps[i])) for i in found), n_missing, len(offsets))


def find_step(positions: Sequence[Sequence[float]], orientation: Sequence[float]) -> float:
    """The step of most slices, mm. At least two slices."""
    return _choose_step(np.diff(sort_slices(positions, orientation)[0]))


def find_bend(positions: Sequence[Sequence[float]], orientation: Sequence[float]) -> float | None:
    """How far, in mm, slices lie from the straight line through the first and the last; None where they are on it, as
    those of a stack are, a tilted gantry's too. At least two slices."""
    offsets, _, places = sort_slices(positions, orientation)
    share = (offsets - offsets[0]) / (offsets[-1] - offsets[0])
    line = places[0] + share[:, np.newaxis] * (places[-1] - places[0])
    bend = float(np.linalg.norm(places - line, axis=1).max())
    return bend if bend > max(SAME_LINE_MM, SAME_STEP * float(np.median(np.diff(offsets)))) else None


def is_same_orientation(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether two orientations, (6,) cosines each, are the same but for rounding."""
    return len(one) == len(other) and bool(np.abs(np.subtract(one, other)).max(initial=0) <= SAME_ORIENTATION)


def _choose_step(steps: np.ndarray) -> float:
    """The median, or the shortest where all are multiples of that alone: most second slices may be missing."""
    usual, shortest = float(np.sort(steps)[(len(steps) - 1) // 2]), float(steps.min())
    return shortest if not _are_multiples(steps, usual) and _are_multiples(steps, shortest) else usual


def _are_multiples(steps: np.ndarray, step: float) -> bool:
    multiples = np.rint(steps / step)
    return bool((multiples >= 1).all() and (np.abs(steps - multiples * step) <= _tolerate(step) * multiples).all())


def _tolerate(step: float) -> float:
    return max(SAME_STEP * step, SAME_MM)
