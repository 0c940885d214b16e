"""Occlusion: what an answer loses when a box of the scan is hidden (Zeiler and Fergus 2014, ECCV, 818).

A box is hidden in what the model is shown: each pixel, or voxel of the grid, whose middle lies in the box gets the
background's value; all frames of a series alike. So the scan is read once and nothing else moves. Hidden in the file
instead, a box would shift the scan's percentiles, its mean and deviation, and perhaps the place of its grid, and what
the answer loses would not be the box's alone.
"""

from collections.abc import Callable, Iterable

import numpy as np

from umbrella.answers.attribution.boxes import Box, BoxedView, count_levels
from umbrella.answers.attribution.maps import OCCLUSION, AttributionMap, spread_over_cells
from umbrella.answers.attribution.scan_in_row import ScanInRow

BOX_MM = 32.0
N_SPLIT = 8  # boxes of a size that are looked at closer, the highest ones

Progress = Callable[[int, int], None]  # views that the model has seen, and of how many so far known


def map_occlusion(
    scan: ScanInRow,
    box_mm: float = BOX_MM,
    batch_size: int = 8,
    progress: Progress | None = None,
    n_split: int | None = N_SPLIT,
) -> AttributionMap:
    """Hide box by box, the largest first; within the highest of them then those of half the size, down to `box_mm`.

    box_mm      side of the smallest boxes
    batch_size  views at once; it changes nothing
    n_split     how many boxes of a size are looked at closer; None: all

    Where no smaller box was hidden, the map has the larger ones' drop, divided by how many times more they hide.
    """
    boxed = BoxedView.of_view(scan.view, scan.background, scan.places, box_mm)
    tally = _Tally(scan, batch_size, progress)
    blank_view = np.full_like(scan.view, scan.background)
    as_it_is, blank = tally.score([scan.view, blank_view], 2)
    by_cell = np.where(boxed.shown > 0, 0.0, np.nan)  # what is background is hidden already
    typical = _count_hidden(boxed, boxed.list_boxes(0))
    levels = range(count_levels(box_mm) - 1, -1, -1)
    boxes: list[Box] = []
    drops = np.zeros(0)
    for level in levels:
        kept = [boxes[i] for i in np.argsort(-drops, kind="stable")[:n_split]]
        boxes = boxed.list_boxes(level, None if level == levels[0] else kept)
        hidden = (boxed.hide(scan.view, scan.background, box) for box in boxes)
        drops = as_it_is - tally.score(hidden, len(boxes))
        found = spread_over_cells(boxed, boxes, drops * typical / max(_count_hidden(boxed, boxes), typical))
        by_cell = np.where(np.isnan(found), by_cell, found)
    volume = scan.places.lay(by_cell[boxed.find_cells(scan.places.shown)])
    whole = float(as_it_is - blank)
    return AttributionMap(OCCLUSION, float(as_it_is), whole, boxed, boxes, drops, by_cell, volume, tally.n_done)


def _count_hidden(boxed: BoxedView, boxes: list[Box]) -> float:
    """Elements of the view that a box hides, by the median."""
    return float(np.median([boxed.changed[list(box.cells)].sum() for box in boxes])) if boxes else 1.0


class _Tally:
    """Scores views and tells how far it is."""

    def __init__(self, scan: ScanInRow, batch_size: int, progress: Progress | None) -> None:
        self.scan, self.batch_size, self.progress = scan, batch_size, progress
        self.n_done = self.n_known = 0

    def score(self, views: Iterable[np.ndarray], n: int) -> np.ndarray:
        """(n,) log-likelihoods."""
        self.n_known += n
        found: list[float] = []
        for batch in self.scan.score(views, self.batch_size):
            found += batch
            self.n_done += len(batch)
            if self.progress is not None:
                self.progress(self.n_done, self.n_known)
        return np.array(found)
