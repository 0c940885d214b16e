"""Which image sizes a vision tower takes: it is asked, by one run without memory."""

import torch
from transformers import AutoModel, PretrainedConfig


def takes_size(vision_config: PretrainedConfig, size: int) -> bool:
    """Whether the tower of this config encodes images of `size` × `size` pixels, as a model calls it.

    Its config tells the size of its table of positions alone: some towers stretch that to any image (DINOv2), others
    need that size (CLIP, SigLIP). The run is on the meta device, which knows shapes and no values: it takes no memory,
    and nothing of a model whose weights are spread over processes.
    """
    with torch.device("meta"):
        tower = AutoModel.from_config(vision_config).eval()
        try:
            tower(torch.empty(1, getattr(vision_config, "num_channels", 3), size, size))
        except (ValueError, RuntimeError):  # by a check of its own, or where shapes meet
            return False
    return True
