"""A tiny model that was never trained, with weights so large that its answers depend on the scans."""

import torch

from umbrella.models.loading import load_model, load_processor
from umbrella.records.recipe import resolve_recipe
from umbrella.views.settings import ViewSettings


def save_loud_model(folder, **shown):
    """Model, processor and recipe in a folder; `shown`: of `ViewSettings`."""
    model, processor = load_model("tiny"), load_processor("tiny")
    torch.manual_seed(0)
    for weights in filter(lambda weights: weights.ndim > 1, model.parameters()):
        torch.nn.init.normal_(weights, std=0.1)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    resolve_recipe(ViewSettings(**shown), processor, "").save(folder)
