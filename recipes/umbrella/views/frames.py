"""Which frames of a series are shown, and of a diffusion series which volumes they are chosen from."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from umbrella.scans.gradients import MOST_B0, read_b_values
from umbrella.scans.scan_files import ScanError, open_scan
from umbrella.scans.volumes import check_volume
from umbrella.views.settings import B0, EVEN, parse_frames


@dataclass(frozen=True)
class FoundFrames:
    """What a series has, and what is shown of it.

    n_volumes  of the series, 1 for a 3-D scan
    n_b0       those that are not weighted, by the .bval beside the scan; None without one
    frames     of each frame the volumes whose mean it is
    """

    n_volumes: int
    n_b0: int | None
    frames: list[list[int]]


def choose_frames(
    frames: str, n_volumes: int, start: float | None = None, b_values: np.ndarray | None = None
) -> list[list[int]]:
    """Of each frame the numbers of the volumes whose mean it is: one, but for a mean of several b0.

    frames     "K": the centres of K equal parts of the series. "window:K": K neighbours. "b0+K": the mean of those
               with b up to 50 s/mm², then K evenly spaced
    n_volumes  of the series
    start      0 (the first window) to 1 (the last one); None: the middle one
    b_values   (n_volumes,): K are then chosen among those above 50 s/mm², where there are any; None: all count alike

    Raises ValueError for a series with fewer than K to choose from, and for "b0+K" without b-values or b0.
    """
    kind, k = parse_frames(frames)
    is_b0 = np.zeros(n_volumes, bool) if b_values is None else b_values <= MOST_B0
    if kind == B0 and not is_b0.any():
        found = "no .bval beside it" if b_values is None else f"none (the least is {b_values.min():g})"
        raise ValueError(
            f"expected volumes with b up to {MOST_B0:g} s/mm², as --frames {frames} takes, found {found}: "
            f"put the .bval beside the scan, under its name, or take --frames {k}"
        )
    weighted = np.flatnonzero(~is_b0) if not is_b0.all() else np.arange(n_volumes)
    n = len(weighted)
    if k > n:
        what = "weighted volumes" if n < n_volumes else "volumes"
        raise ValueError(
            f"expected a series of at least {k} {what}, as --frames {frames} takes, found {n}: take fewer frames"
        )
    if kind in (EVEN, B0):
        places = [(2 * part + 1) * n // (2 * k) for part in range(k)]
    else:
        first = (n - k) // 2 if start is None else min(int(start * (n - k + 1)), n - k)  # each alike likely
        places = list(range(first, first + k))
    first_frames = [np.flatnonzero(is_b0).tolist()] if kind == B0 else []
    return first_frames + [[int(weighted[place])] for place in places]


def find_frames(source: str | Path | bytes, modality: str, frames: str) -> FoundFrames:
    """What `frames` chooses from a scan, without reading its voxels. Raises ScanError as loading it would."""
    with open_scan(source) as (header, _):
        check_volume(header, modality)
        if header.n_volumes == 1:
            return FoundFrames(1, None, [[0]])
        b_values = read_b_values(source, header.n_volumes)
        try:
            chosen = choose_frames(frames, header.n_volumes, b_values=b_values)
        except ValueError as error:
            raise ScanError(f"{header.name}: {error}") from error
    n_b0 = None if b_values is None else int((b_values <= MOST_B0).sum())
    return FoundFrames(header.n_volumes, n_b0, chosen)
