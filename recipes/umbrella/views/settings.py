"""The settings of a view, in one piece: what is asked for, what a model was trained with, what a transform shows."""

from dataclasses import dataclass, fields
from typing import Any

from umbrella.options.data.volume_flags import (
    B0,
    ENCODER,
    EVEN,
    VOLUME,
    VOLUME_SIZE,
    VOLUME_SPACING,
    WINDOW,
    parse_frames,
    parse_volume_size,
    write_volume_size,
)

__all__ = [
    "B0",
    "ENCODER",
    "EVEN",
    "VOLUME",
    "VOLUME_SIZE",
    "VOLUME_SPACING",
    "WINDOW",
    "ViewSettings",
    "parse_frames",
    "parse_volume_size",
    "write_volume_size",
]

DEFAULT_IMAGE_SIZE = 224  # pixels, where a model's processor states no size, as Qwen-VL's do not


@dataclass(frozen=True)
class ViewSettings:
    """How a scan becomes images. None leaves a setting open: to the model's recipe, else to the defaults.

    view, image_size        see `umbrella.views.planes.make_view`; image_size is None for the view "volume"
    normalize, standardize  see `umbrella.scans.volumes.load_volume`
    volume_size, volume_spacing, frames  see `umbrella.views.loading.load_view`; None for all other views
    """

    view: str | None = None
    image_size: int | None = None  # pixels
    normalize: bool | None = None
    standardize: bool | None = None
    volume_size: str | None = None  # voxels, as "96x112x96"
    volume_spacing: float | None = None  # mm
    frames: str | None = None
    intensity: str | None = None  # see `umbrella.views.intensity_steps`; stands in place of normalize and standardize
    expects: str | None = None  # see `umbrella.views.expectations`

    @classmethod
    def of(cls, named: Any) -> "ViewSettings":
        """Those that an object has under the same names: the arguments of a command, a recipe."""
        return cls(**{field.name: getattr(named, field.name) for field in fields(cls)})

    def stated(self) -> dict[str, Any]:
        """Name → value of those that are not left open, as `load_view` and `ConversationTransform` take them."""
        return {name: value for name, value in vars(self).items() if value is not None}

    def describe(self) -> str:
        """For a page: "axial, 336 pixels", "volume, 96x112x96 voxels of 2 mm, frames 8"."""
        if self.view != VOLUME:
            levels = " of 8 bits, intensities as its encoder has them" if self.intensity == ENCODER else ""
            return f"{self.view}, {self.image_size} pixels{levels}"
        frames = f", frames {self.frames}" if self.frames else ""
        return f"{self.view}, {self.volume_size} voxels of {self.volume_spacing:g} mm{frames}"


def count_frames(frames: str | None) -> int:
    """How many frames of a series are shown: 1, its mean, where none are asked for."""
    kind, k = parse_frames(frames) if frames else (EVEN, 1)
    return k + (kind == B0)


def is_window(frames: str | None) -> bool:
    """Whether the frames are neighbours, whose place training draws."""
    return frames is not None and parse_frames(frames)[0] == WINDOW
