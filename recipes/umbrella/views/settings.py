"""The settings of a view, in one piece: what is asked for, what a model was trained with, what a transform shows."""

from dataclasses import dataclass, fields
from typing import Any

DEFAULT_IMAGE_SIZE = 224  # pixels, where a model's processor states no size, as Qwen-VL's do not
VOLUME = "volume"  # the view of a model that takes whole volumes; the others are of those that take pictures
VOLUME_SIZE, VOLUME_SPACING = "96x112x96", 2.0  # voxels along X, Y, Z; mm
EVEN, WINDOW, B0 = "even", "window", "b0"


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
            return f"{self.view}, {self.image_size} pixels"
        frames = f", frames {self.frames}" if self.frames else ""
        return f"{self.view}, {self.volume_size} voxels of {self.volume_spacing:g} mm{frames}"


def parse_volume_size(text: str) -> tuple[int, int, int]:
    """ "96x112x96" -> (96, 112, 96), voxels along X, Y, Z; "96" -> (96, 96, 96).

    Raises ValueError for any other text.
    """
    numbers = text.lower().replace("×", "x").split("x")
    if len(numbers) not in (1, 3) or not all(n.isascii() and n.isdigit() and int(n) > 0 for n in numbers):
        raise ValueError(
            f"volume_size: expected voxels along X, Y and Z as 96x112x96, or one number for all three, found {text!r}"
        )
    x, y, z = map(int, numbers * (3 if len(numbers) == 1 else 1))
    return x, y, z


def write_volume_size(size: tuple[int, int, int]) -> str:
    """(96, 112, 96) -> "96x112x96"."""
    return "x".join(map(str, size))


def parse_frames(text: str) -> tuple[str, int]:
    """ "8" -> ("even", 8): evenly spaced over the series. "window:8" -> ("window", 8): neighbours. "b0+8" ->
    ("b0", 8): of a diffusion series the mean of the volumes without weighting, then 8 evenly spaced weighted ones.

    Raises ValueError for any other text.
    """
    kinds = {"": EVEN, "window:": WINDOW, "b0+": B0}
    for prefix, kind in kinds.items():
        number = text.removeprefix(prefix)
        if text.startswith(prefix) and number.isascii() and number.isdigit() and int(number) > 0:
            return kind, int(number)
    raise ValueError(f"frames: expected K, window:K or b0+K (K a whole number from 1 up), found {text!r}")


def count_frames(frames: str | None) -> int:
    """How many frames of a series are shown: 1, its mean, where none are asked for."""
    kind, k = parse_frames(frames) if frames else (EVEN, 1)
    return k + (kind == B0)


def is_window(frames: str | None) -> bool:
    """Whether the frames are neighbours, whose place training draws."""
    return frames is not None and parse_frames(frames)[0] == WINDOW
