"""A map of where an answer comes from, in the scan's own space."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from umbrella.answers.attribution.boxes import BoxedView
from umbrella.files.written_files import write_whole
from umbrella.views.places import Places

OCCLUSION, GRADIENT = "occlusion", "gradient"
METHODS = (OCCLUSION, GRADIENT)


@dataclass(frozen=True)
class AttributionMap:
    """How much the answer rests on each place of a scan, in nats of its log-likelihood. Above 0: the place speaks for
    the answer; below 0: against it.

    method          "occlusion": what the answer loses when a box is hidden; "gradient": gradient × (shown - background)
    log_likelihood  of the answer, the scan as it is
    whole           what the answer loses when the whole scan is hidden
    boxed           the boxes of the view
    drops           (n_boxes,), of each smallest box; where only a larger box was hidden its drop, shared out; 0 where
                    a box holds nothing but background, NaN where the view shows nothing of it
    tried           (n_boxes,) bool, smallest boxes that have a number of their own
    volume          (X, Y, Z) float32 on `places`: the map; NaN where the view shows nothing
    n_views         of the scan that the model was shown
    """

    method: str
    log_likelihood: float
    whole: float
    boxed: BoxedView
    drops: np.ndarray
    tried: np.ndarray
    volume: np.ndarray
    n_views: int

    @property
    def places(self) -> Places:
        return self.boxed.tiling.places

    @property
    def highest(self) -> int | None:
        """The smallest box that the answer rests on most; None where none has a number."""
        if not self.tried.any():
            return None
        return int(np.argmax(np.where(self.tried, self.drops, -np.inf)))

    def save(self, path: Path) -> None:
        """Write the map as .nii.gz, see `Places.to_image`."""
        import gzip

        image = self.places.to_image(self.volume)
        most = float(np.nanmax(np.abs(self.volume), initial=0.0))
        image.header["cal_min"], image.header["cal_max"] = 0, most
        image.header["descrip"] = f"Umbrella {self.method}, nats; 0: not shown".encode()
        write_whole(path, gzip.compress(image.to_bytes(), compresslevel=6, mtime=0))
