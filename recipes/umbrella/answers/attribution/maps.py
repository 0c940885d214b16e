"""A map of where an answer comes from, in the scan's own space."""

import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from umbrella.answers.attribution.boxes import Box, BoxedView
from umbrella.files.written_files import replacing
from umbrella.views.places import Places

OCCLUSION, GRADIENT = "occlusion", "gradient"


@dataclass(frozen=True)
class AttributionMap:
    """How much the answer rests on each place of a scan, in nats of its log-likelihood. Above 0: the place speaks for
    the answer; below 0: against it.

    method          "occlusion": what the answer loses when a box is hidden; "gradient": gradient × (shown -
                    background)
    log_likelihood  of the answer, the scan as it is
    whole           what the answer loses when the whole scan is hidden
    boxed           the view by cells
    boxes, drops    smallest boxes that were looked at, and (n,) what the answer loses with each
    by_cell         (n_cells,), the mean of the drops of the boxes over a cell; NaN where the view shows nothing
    volume          (X, Y, Z) float32 on `places`: the map; NaN where the view shows nothing
    n_views         of the scan that the model was shown
    """

    method: str
    log_likelihood: float
    whole: float
    boxed: BoxedView
    boxes: list[Box]
    drops: np.ndarray
    by_cell: np.ndarray
    volume: np.ndarray
    n_views: int

    @property
    def places(self) -> Places:
        return self.boxed.places

    @property
    def highest(self) -> Box | None:
        """The smallest box that the answer rests on most; None where it rests on none, or on all alike."""
        if not self.drops.any() or (len(self.drops) > 1 and np.ptp(self.drops) == 0):
            return None
        return self.boxes[int(np.argmax(self.drops))]

    def save(self, path: Path) -> None:
        """Write the map as .nii.gz, see `Places.to_image`."""
        image = self.places.to_image(self.volume)
        image.header["cal_min"], image.header["cal_max"] = 0, np.nanmax(np.abs(self.volume), initial=0.0)
        image.header["descrip"] = f"Umbrella {self.method}, nats; 0: not shown".encode()
        with replacing(path) as partial:
            partial.write_bytes(gzip.compress(image.to_bytes(), compresslevel=6, mtime=0))


def spread_over_cells(boxed: BoxedView, boxes: list[Box], drops: np.ndarray) -> np.ndarray:
    """(n_cells,): the mean of the drops of the boxes over each cell, NaN for a cell that none lies over."""
    sums, counts = np.zeros(len(boxed.shown)), np.zeros(len(boxed.shown))
    for box, drop in zip(boxes, drops, strict=True):
        sums[list(box.cells)] += drop
        counts[list(box.cells)] += 1
    with np.errstate(invalid="ignore"):
        return sums / counts
