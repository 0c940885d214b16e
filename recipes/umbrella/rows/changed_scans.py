"""Changes of a scan as the model is shown it, for the controls of the evaluation. Shape and kind stay.

    blank            the scan's own background everywhere, see `find_background`
    mirrored         left and right exchanged: a volume (T, X, Y, Z), RAS+, turned round along X
    frames_shuffled  the frames of a series in an order drawn at random, never the right one
    frames_reversed  the frames from the last to the first
    frame_repeated   the middle frame at every place

A scan of one frame stays as it is under the last three.
"""

import random
from collections.abc import Callable

import numpy as np

from umbrella.views.settings import ViewSettings

# (a scan's view, name of the draw, its background) → the changed one
Change = Callable[[np.ndarray, str, float], np.ndarray]


def find_background(view: np.ndarray, settings: ViewSettings) -> float:
    """The value of a view where nothing is: its least one, as a scan's percentiles clip the air to it. Under the
    intensity "zscore nonzero", which leaves a stripped scan's surroundings at 0, that."""
    return 0.0 if "nonzero" in (settings.intensity or "") else float(view.min())


def _blank(view: np.ndarray, _: str, background: float) -> np.ndarray:
    return np.full_like(view, background)


def _mirror(view: np.ndarray, _: str, background: float) -> np.ndarray:
    return view[:, ::-1].copy()


def _shuffle_frames(view: np.ndarray, draw: str, background: float) -> np.ndarray:
    frames, rng = list(range(len(view))), random.Random(draw)
    order = frames[:]
    while order == frames and len(frames) > 1:
        rng.shuffle(order)
    return view[order]


def _reverse_frames(view: np.ndarray, _: str, background: float) -> np.ndarray:
    return view[::-1].copy()


def _repeat_frame(view: np.ndarray, _: str, background: float) -> np.ndarray:
    return np.repeat(view[len(view) // 2][None], len(view), axis=0)


BLANK, MIRRORED = "blank", "mirrored"
FRAMES_SHUFFLED, FRAMES_REVERSED, FRAME_REPEATED = "frames_shuffled", "frames_reversed", "frame_repeated"
CHANGES: dict[str, Change] = {
    BLANK: _blank,
    MIRRORED: _mirror,
    FRAMES_SHUFFLED: _shuffle_frames,
    FRAMES_REVERSED: _reverse_frames,
    FRAME_REPEATED: _repeat_frame,
}
