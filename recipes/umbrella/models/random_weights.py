"""A model of the same build with random weights, to compare a trained one with."""

import torch
from transformers import AutoModelForImageTextToText, PreTrainedModel


def draw_random_model(model: PreTrainedModel, seed: int) -> PreTrainedModel:
    """A model of another's config and number type, on its device, all of whose weights are drawn as its architecture
    draws them before any training. The caller's random state is left as it was."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        drawn = AutoModelForImageTextToText.from_config(model.config, dtype=model.dtype)
    return drawn.to(model.device).eval()
