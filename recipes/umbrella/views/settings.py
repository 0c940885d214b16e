"""The settings of a view, in one piece: what is asked for, what a model was trained with, what a transform shows."""

from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True)
class ViewSettings:
    """How a scan becomes images. None leaves a setting open: to the model's recipe, else to the defaults.

    view, image_size        see `umbrella.views.planes.make_view`
    normalize, standardize  see `umbrella.scans.volumes.load_volume`
    """

    view: str | None = None
    image_size: int | None = None  # pixels
    normalize: bool | None = None
    standardize: bool | None = None

    @classmethod
    def of(cls, named: Any) -> "ViewSettings":
        """Those that an object has under the same names: the arguments of a command, a recipe."""
        return cls(**{field.name: getattr(named, field.name) for field in fields(cls)})

    def stated(self) -> dict[str, Any]:
        """Name → value of those that are not left open, as `load_view` and `ConversationTransform` take them."""
        return {name: value for name, value in vars(self).items() if value is not None}

    def describe(self) -> str:
        """For a page: "axial, 336 pixels"."""
        return f"{self.view}, {self.image_size} pixels"
