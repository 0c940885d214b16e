"""Small transformers for pictures of the families that can be inflated, of random weights, and what they make of a
picture that a slice of a scan is."""

import torch
from transformers import (
    CLIPVisionConfig,
    CLIPVisionModel,
    Dinov2Config,
    Dinov2Model,
    Dinov2WithRegistersConfig,
    Dinov2WithRegistersModel,
    Siglip2VisionConfig,
    Siglip2VisionModel,
    SiglipVisionConfig,
    SiglipVisionModel,
)

SIDE, PATCH, CHANNELS = 32, 8, 32  # pixels, pixels, features
GRID = SIDE // PATCH
SIZES = {"hidden_size": CHANNELS, "num_hidden_layers": 3, "num_attention_heads": 4, "patch_size": PATCH}
SQUARE = {"image_size": SIDE}
WIDE = {"intermediate_size": 64}
FAMILIES = {
    "clip": (CLIPVisionModel, CLIPVisionConfig, SQUARE | WIDE),
    "siglip": (SiglipVisionModel, SiglipVisionConfig, SQUARE | WIDE),
    "siglip2": (Siglip2VisionModel, Siglip2VisionConfig, WIDE | {"num_patches": GRID**2}),
    "dinov2": (Dinov2Model, Dinov2Config, SQUARE),
    "dinov2_with_registers": (Dinov2WithRegistersModel, Dinov2WithRegistersConfig, SQUARE),
}
PREFIX = {"clip": 1, "siglip": 0, "siglip2": 0, "dinov2": 1, "dinov2_with_registers": 5}


def build_flat(family, seed=0):
    """No weight of it is at its start, where many are 0 or 1."""
    model_class, config_class, sizes = FAMILIES[family]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        flat = model_class(config_class(**SIZES, **sizes)).eval()
        for parameter in flat.parameters():
            parameter.data += 0.1 * torch.randn_like(parameter)
    return flat


def to_picture(axial):
    """An axial slice (X, Y) of a RAS scan → (1, 3, rows, columns), anterior up."""
    return axial.T.flip(0).expand(1, 3, *axial.shape[::-1])


def encode_picture(flat, picture, **options):
    """The hidden states of each layer and the last one of all, of the patches alone: each (columns, rows up, C), that
    is by X and Y."""
    rows, columns = (n // PATCH for n in picture.shape[-2:])
    if flat.config.model_type == "siglip2_vision_model":  # its own processor's order: rows, columns, colours
        patches = picture[0].unflatten(1, (rows, PATCH)).unflatten(3, (columns, PATCH)).permute(1, 3, 2, 4, 0)
        given = {
            "pixel_values": patches.reshape(1, rows * columns, -1),
            "pixel_attention_mask": torch.ones(1, rows * columns, dtype=torch.long),
            "spatial_shapes": torch.tensor([[rows, columns]]),
        }
    else:
        given = {"pixel_values": picture} | options
    with torch.no_grad():
        found = flat(**given, output_hidden_states=True)
    states = (*found.hidden_states, found.last_hidden_state)
    return [state[0, -rows * columns :].reshape(rows, columns, -1).flip(0).transpose(0, 1) for state in states]
