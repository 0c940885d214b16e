"""Which view a model is shown where neither a recipe nor a flag says: that of its processor, or the defaults."""

from dataclasses import replace
from typing import Any

from umbrella.models.image_size import resolve_image_size, state_image_size, state_kept_size
from umbrella.models.vision_towers import state_size
from umbrella.models.volumes.processor import VolumeProcessor
from umbrella.options.arguments import BUILT
from umbrella.options.data.volume_flags import check_encoder_intensity
from umbrella.views.settings import ENCODER, VOLUME, ViewSettings

DEFAULTS = ViewSettings(view="axial", normalize=True, standardize=True)


def settle_settings(asked: ViewSettings, processor: Any, model_name_or_path: str) -> ViewSettings:
    """What is asked for, and in place of what is left open the processor's own or the defaults.

    A processor whose model takes other volumes, or another image size, than it states is made to state those that are
    asked for, also where it is saved.

    Raises ValueError for a view that the model does not take, and for sizes that it does not.
    """
    name = f"{model_name_or_path}: " if model_name_or_path else ""
    if isinstance(processor, VolumeProcessor):
        if asked.intensity == ENCODER:
            raise ValueError(
                f"{name}expected the steps of a volume's intensities, found --intensity {ENCODER}, which is of "
                "pictures: no PNG holds a volume. Leave it out, or take a model for pictures"
            )
        if asked.view not in (None, VOLUME) or asked.image_size is not None:
            found = f"--view {asked.view}" if asked.view not in (None, VOLUME) else f"--image_size {asked.image_size}"
            raise ValueError(
                f"{name}expected --view volume, as this model takes whole volumes, found {found}. "
                "Leave it out, or take a model for pictures"
            )
        return processor.image_processor.settle(asked)
    of_volumes = [
        name
        for name in ("volume_size", "volume_spacing", "frames", "intensity", "expects")
        if getattr(asked, name) not in (None, ENCODER)
    ]
    if asked.view == VOLUME or of_volumes:
        found = "--view volume" if asked.view == VOLUME else f"--{of_volumes[0]}"
        raise ValueError(
            f"{name}expected one of the views of pictures, as this model takes them, found {found}. "
            "Leave it out, or take a model for volumes: tiny3d, or one of recipes/build_model.py"
        )
    size = asked.image_size
    if size not in (None, state_image_size(processor)) and model_name_or_path not in (*BUILT, ""):
        state_size(processor, size, model_name_or_path)
    taken = resolve_image_size(processor, size)
    settled = replace(DEFAULTS, **asked.stated() | {"image_size": taken})
    if asked.intensity != ENCODER:
        return settled
    check_encoder_intensity(asked.view, asked.normalize, asked.standardize)
    state_kept_size(processor, taken)
    return replace(settled, normalize=True, standardize=False)


def check_states(processor: Any, trained: ViewSettings, where: str) -> None:
    """Raise ValueError where the settings of a recipe are not those that the processor of a model for volumes states
    in its own file: one of the two was changed. The processors of all other models state too little to tell.

    Args:
        where: the recipe stands.
    """
    if not isinstance(processor, VolumeProcessor):
        return
    stated = vars(processor.image_processor.settings)
    for name, expected in vars(trained).items():
        if stated[name] != expected:
            raise ValueError(
                f"{where}: expected {name} {stated[name]!r}, as processor_config.json beside it has it, found "
                f"{expected!r}: one of the two was changed after training. Put back what the model was trained with"
            )
