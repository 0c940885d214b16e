"""Occlusion: what an answer loses when a box of the scan is hidden (Zeiler and Fergus 2014, ECCV, 818).

A box is hidden in what the model is shown: each pixel, or voxel of the grid, whose middle lies in the box gets the
background's value; all frames of a series alike. So the scan is read once and nothing else moves. Hidden in the file
instead, a box would shift the scan's percentiles, its mean and deviation, and perhaps the place of its grid, and what
the answer loses would not be the box's alone.
"""

from collections.abc import Callable, Iterator

import numpy as np

from umbrella.answers.attribution.boxes import BoxedView
from umbrella.answers.attribution.maps import OCCLUSION, AttributionMap
from umbrella.answers.attribution.scan_in_row import ScanInRow

BOX_MM = 24.0
LEAST_SPLIT, SPLIT_SHARE = 8, 0.25  # boxes of a level that are looked at closer: the highest quarter, 8 at least

Progress = Callable[[int, int], None]  # views that the model has seen, and of how many so far known


def map_occlusion(
    scan: ScanInRow,
    box_mm: float = BOX_MM,
    batch_size: int = 8,
    progress: Progress | None = None,
    split_share: float = SPLIT_SHARE,
) -> AttributionMap:
    """Hide box by box, large ones first; the highest of them are then cut into 2 × 2 × 2, down to `box_mm`.

    box_mm       side of the smallest boxes
    batch_size   views at once; it changes nothing
    split_share  of a level's boxes that are cut further, the highest ones; 1: all of them
    """
    boxed = BoxedView.of_view(scan.view, scan.background, scan.places, box_mm)
    tally = _Tally(scan, batch_size, progress)
    as_it_is, blank = tally.score(iter([scan.view, np.full_like(scan.view, scan.background)]), 2)
    drops = np.where(_is_shown(boxed), 0.0, np.nan)
    tried, open_ = np.zeros(len(drops), bool), boxed.candidates
    for level in reversed(range(boxed.tiling.n_levels)):
        members = np.flatnonzero(open_)
        parents = boxed.tiling.find_parents(members, level)
        numbers, of_member = np.unique(parents, return_inverse=True)
        found = as_it_is - tally.score(_hide(scan, boxed, numbers, level), len(numbers))
        shares = boxed.changed[members] / np.bincount(of_member, boxed.changed[members])[of_member]
        drops[members] = found[of_member] * shares
        tried[members] = level == 0
        n_split = max(LEAST_SPLIT, int(np.ceil(split_share * len(numbers))))
        kept = np.argsort(-found, kind="stable")[:n_split]
        open_ = np.zeros_like(tried)
        open_[members[np.isin(of_member, kept)]] = True
    shown = boxed.tiling.find_boxes(scan.places.shown)
    volume = scan.places.lay(drops[shown])
    return AttributionMap(
        OCCLUSION, float(as_it_is), float(as_it_is - blank), boxed, drops, tried, volume, tally.n_done
    )


def _is_shown(boxed: BoxedView) -> np.ndarray:
    return boxed.add_up(np.ones(boxed.boxes.shape)) > 0


def _hide(scan: ScanInRow, boxed: BoxedView, numbers: np.ndarray, level: int) -> Iterator[np.ndarray]:
    """The view with each of these boxes of a level hidden."""
    boxes = boxed.tiling.find_parents(boxed.boxes, level)
    for number in numbers:
        yield np.where(boxes == number, scan.view.dtype.type(scan.background), scan.view)


class _Tally:
    """Scores views and tells how far it is."""

    def __init__(self, scan: ScanInRow, batch_size: int, progress: Progress | None) -> None:
        self.scan, self.batch_size, self.progress = scan, batch_size, progress
        self.n_done = self.n_known = 0

    def score(self, views: Iterator[np.ndarray], n: int) -> np.ndarray:
        """(n,) log-likelihoods."""
        self.n_known += n
        found: list[float] = []
        for batch in self.scan.score(views, self.batch_size):
            found += batch
            self.n_done += len(batch)
            if self.progress is not None:
                self.progress(self.n_done, self.n_known)
        return np.array(found)
