"""Whether a processor makes the volumes that a tower takes: both state it, each in its own file."""

from typing import Any

from transformers import PreTrainedModel

from umbrella.models.volumes.processor import VolumeImageProcessor

# The tower's name for it (a tower that does not count in mm has no spacing_mm) and the processor's.
STATED_TWICE = (
    ("spacing_mm", "volume_spacing"),
    ("patch_size", "patch_size"),
    ("pool", "pool"),
    ("pools_time", "pools_time"),
)


def check_agreement(tower_config: Any, image_processor: VolumeImageProcessor) -> None:
    """Raise ValueError where the two state different things."""
    for of_tower, of_processor in STATED_TWICE:
        expected, found = getattr(tower_config, of_tower, None), getattr(image_processor, of_processor)
        if expected is not None and _as_list(expected) != _as_list(found):
            remedy = "Leave --volume_spacing out, or" if of_tower == "spacing_mm" else "Put back what was edited, or"
            raise ValueError(
                f"{of_processor}: expected {expected!r}, as the model's vision tower has it (vision_config, "
                f"{of_tower}, in config.json), found {found!r} in its processor. {remedy} load model and processor "
                "from one place"
            )


def _as_list(value: Any) -> Any:
    return list(value) if isinstance(value, list | tuple) else value


def states_spacing(model: PreTrainedModel) -> bool:
    """Whether the model has a tower that counts the places of its patches in mm."""
    return getattr(getattr(model.config, "vision_config", None), "spacing_mm", None) is not None


def set_spacing(model: PreTrainedModel, spacing_mm: float) -> None:
    """Let such a tower count in voxels of another spacing, also where it is saved."""
    model.config.vision_config.spacing_mm = spacing_mm


def follow_spacing(model: PreTrainedModel, asked_mm: float | None) -> None:
    """Let a tower that counts in mm count in voxels of the spacing that is asked for; None: of its own."""
    if asked_mm is not None and states_spacing(model):
        set_spacing(model, asked_mm)
