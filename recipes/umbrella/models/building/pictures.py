"""Transformers for pictures, by name: loaded, and inflated to towers for volumes."""

import math
from typing import NamedTuple

import torch
from transformers import AutoConfig, AutoModel, PreTrainedModel

from umbrella.models.folder_check import check_model_folder
from umbrella.models.loading import load_model, load_pretrained
from umbrella.models.volumes.inflated import BLOCKS, InflatedTower, InflatedTowerConfig, find_blocks, inflate_kernel
from umbrella.options.arguments import BUILT
from umbrella.views.settings import parse_volume_size

DINOV2 = ("dinov2", "dinov2_with_registers")
SIGLIP2 = "siglip2_vision_model"
LLAVA = "llava"
# Models of which the transformer for pictures is one part → where it lies.
WITHIN = {"clip": "vision_model", "siglip": "vision_model", "siglip2": "vision_model", LLAVA: "vision_tower"}
SECOND_LAST = -2  # whose features LLaVA-1.5 and Prismatic take: the last layer serves the task that it was trained on


class PictureParts(NamedTuple):
    """What a transformer for pictures does before its blocks.

    kernel  (C, colours, rows, columns), of its patches; bias (C,), or None where there is none
    table   (side², C), its positions
    prefix  (n, C), its class and register tokens, each with its position; n may be 0
    """

    kernel: torch.Tensor
    bias: torch.Tensor | None
    table: torch.Tensor
    prefix: torch.Tensor


def load_flat(name: str, asked_as: str) -> tuple[PreTrainedModel, int | list[int]]:
    """The transformer for pictures that a model is, or has, and the layer whose features a language model is given: a
    LLaVA's own, else the last but one.

    asked_as: the flag that the name stands behind. Raises ValueError for a model of another kind, and as `load_model`.
    """
    check_model_folder(name)
    kind = LLAVA if name in BUILT else load_pretrained(AutoConfig, name, asked_as).model_type
    if kind not in (*BLOCKS, *WITHIN):
        raise ValueError(
            f"{asked_as} {name}: expected a CLIP, SigLIP, SigLIP 2 or DINOv2, or a LLaVA with one of them, found a "
            f"model of the type {kind}. Of other encoders --vision_tower lists what there is"
        )
    if kind == LLAVA:
        llava = load_model(name)
        return check_flat(llava.get_encoder(modality="image"), f"{asked_as} {name}"), llava.config.vision_feature_layer
    model = load_pretrained(AutoModel, name, asked_as)
    flat = model.get_submodule(WITHIN[kind]) if kind in WITHIN else model
    return check_flat(flat, f"{asked_as} {name}"), SECOND_LAST


def check_flat(flat: PreTrainedModel, asked_as: str) -> PreTrainedModel:
    """The same. Raises ValueError for one that is not of a kind that can be inflated."""
    kind = flat.config.model_type
    if kind not in BLOCKS:
        raise ValueError(
            f"{asked_as}: expected a vision tower out of CLIP, SigLIP, SigLIP 2 and DINOv2, found the type {kind}"
        )
    return flat


def read_parts(flat: PreTrainedModel) -> PictureParts:
    """What it does before its blocks. Raises ValueError where its positions are of no square."""
    kind, embeddings = flat.config.model_type, flat.embeddings
    if kind in DINOV2:
        patches, positions = embeddings.patch_embeddings.projection, embeddings.position_embeddings[0]
        tokens = [embeddings.cls_token[0] + positions[:1]]
        tokens += [embeddings.register_tokens[0]] if hasattr(embeddings, "register_tokens") else []
        prefix, table = torch.cat(tokens), positions[1:]
    else:
        patches, positions = embeddings.patch_embedding, embeddings.position_embedding.weight
        has_class = hasattr(embeddings, "class_embedding")
        n_prefix = int(has_class)
        prefix = positions[:n_prefix] + (embeddings.class_embedding if has_class else 0)
        table = positions[n_prefix:]
    kernel, config = patches.weight, flat.config
    if kind == SIGLIP2:  # a linear layer on pixels, which stand by rows, columns, colours
        side = config.patch_size
        kernel = kernel.unflatten(1, (side, side, config.num_channels)).permute(0, 3, 1, 2)
    if math.isqrt(len(table)) ** 2 != len(table) or kernel.shape[-1] != kernel.shape[-2]:
        raise ValueError(
            f"{kind}: expected square pictures and patches, found {len(table)} positions, patches of "
            f"{tuple(kernel.shape[-2:])} pixels"
        )
    return PictureParts(kernel, patches.bias, table, prefix)


def make_config(flat: PreTrainedModel, parts: PictureParts, shown: dict) -> InflatedTowerConfig:
    """The config of the inflated tower.

    shown: arguments of its `VolumeImageProcessor`. The picture stands for a square as large as the longer of the
    axial slice's sides.
    """
    x, y, _ = parse_volume_size(shown["volume_size"])
    vision_config = type(flat.config).from_dict(flat.config.to_dict())
    vision_config.name_or_path = ""  # config.json would name a folder of this machine
    for name in ("drop_path_rate", "hidden_dropout_prob"):  # DINOv2's: drawn once a batch here, not once a scan
        if hasattr(vision_config, name):
            setattr(vision_config, name, 0.0)
    return InflatedTowerConfig(
        vision_config=vision_config,
        n_prefix=len(parts.prefix),
        table_side=math.isqrt(len(parts.table)),
        patch_size=shown["patch_size"],
        spacing_mm=shown["volume_spacing"],
        plane_mm=max(x, y) * shown["volume_spacing"],
        pool=shown["pool"],
        pools_time=shown["pools_time"],
        dtype=flat.dtype,
    )


def inflate(flat: PreTrainedModel, parts: PictureParts, config: InflatedTowerConfig) -> InflatedTower:
    """A tower of this config with the weights of a transformer for pictures."""
    tower = InflatedTower(config).to(flat.dtype)
    with torch.no_grad():
        embedding, positions = tower.patch_embedding, tower.positions
        embedding.projection.weight.copy_(inflate_kernel(parts.kernel, config.patch_size[-1]))
        embedding.projection.bias.copy_(torch.zeros(config.hidden_size) if parts.bias is None else parts.bias)
        embedding.place.weight.zero_()
        positions.table.copy_(parts.table.unflatten(0, positions.table.shape[:2]))
        if positions.prefix is not None:
            positions.prefix.copy_(parts.prefix)
    for own, given in zip((tower.pre_layernorm, tower.layers, tower.post_layernorm), find_blocks(flat), strict=True):
        own.load_state_dict(given.state_dict())
    return tower.eval()
