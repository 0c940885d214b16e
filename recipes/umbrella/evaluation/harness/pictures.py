"""Views as pictures of 8 bits, and a processor that makes of a picture what the model was shown."""

from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np

LEVELS = 255


@dataclass(frozen=True)
class Scale:
    """Which intensities the levels 0 and 255 stand for, of all pictures alike."""

    low: float
    high: float

    @property
    def most_error(self) -> float:
        """By how much rounding to a level changes an intensity at most."""
        return (self.high - self.low) / LEVELS / 2

    def to_levels(self, image: np.ndarray) -> np.ndarray:
        """(3, H, W) intensities → (H, W, 3) whole numbers of 8 bits, each to the nearest level."""
        levels = np.rint((image.astype(np.float64) - self.low) / (self.high - self.low) * LEVELS)
        return np.clip(levels, 0, LEVELS).astype(np.uint8).transpose(1, 2, 0)


UNIT = Scale(0.0, 1.0)  # of intensities that were scaled to [0, 1]


def adapt_processor(processor: Any, scale: Scale, standardize: bool) -> Any:
    """A copy of the processor that takes pictures of this scale as they are: it resizes none, and its mean and
    deviation give each level the intensity that it stands for, so that the encoder sees the views again.

    standardize  whether the views went to the encoder as they are, without the processor's own mean and deviation
    """
    adapted = deepcopy(processor)
    images = adapted.image_processor
    mean, deviation = (0.0, 1.0) if standardize else (np.array(images.image_mean), np.array(images.image_std))
    width = scale.high - scale.low
    images.do_resize, images.do_rescale, images.do_normalize = False, True, True
    images.rescale_factor = 1 / LEVELS
    images.image_mean = np.broadcast_to((mean - scale.low) / width, 3).tolist()
    images.image_std = np.broadcast_to(deviation / width, 3).tolist()
    return adapted
