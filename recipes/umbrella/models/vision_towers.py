"""Which image sizes a vision tower takes: it is asked, by one run without memory."""

from pathlib import Path

import torch
from transformers import AutoConfig, AutoModel, LlavaProcessor, PretrainedConfig, ProcessorMixin

from umbrella.models.foreign_code import NO_FOREIGN_CODE
from umbrella.models.hub_names import find_repo


def takes_size(vision_config: PretrainedConfig, size: int) -> bool:
    """Whether the tower of this config encodes images of `size` × `size` pixels, as a model calls it.

    Its config tells the size of its table of positions alone: some towers stretch that to any image (DINOv2), others
    need that size (CLIP, SigLIP). The run is on the meta device, which knows shapes and no values: it takes no memory,
    and nothing of a model whose weights are spread over processes.

    Raises ValueError for a tower that needs more than images (SigLIP 2 with NaFlex: a mask and the shape of each).
    """
    with torch.device("meta"):
        try:
            tower = AutoModel.from_config(vision_config).eval()
            tower(torch.empty(1, getattr(vision_config, "num_channels", 3), size, size))
        # No tower of its own, by a check of its own, or where shapes meet.
        except (ValueError, RuntimeError, AssertionError):
            return False
        except (TypeError, AttributeError, LookupError) as error:
            raise ValueError(
                "vision tower: expected one that takes images alone (pixel_values), found "
                f"{vision_config.model_type}, which does not ({error}). Load a model with another vision tower"
            ) from None
    return True


def state_size(processor: ProcessorMixin, size: int, model_name_or_path: str) -> None:
    """Let the processor of a LLaVA whose tower takes images of `size` state that size, also where it is saved. Any
    other processor stays as it is."""
    if not isinstance(processor, LlavaProcessor) or size <= 0:
        return
    path = Path(model_name_or_path).expanduser()
    options = find_repo(model_name_or_path) | NO_FOREIGN_CODE
    config = AutoConfig.from_pretrained(path if path.is_dir() else model_name_or_path, **options)
    if not takes_size(config.vision_config, size):
        return
    for name in ("size", "crop_size"):
        stated = getattr(processor.image_processor, name, None)
        if stated is not None:
            setattr(processor.image_processor, name, {key: size for key, side in dict(stated).items() if side})
