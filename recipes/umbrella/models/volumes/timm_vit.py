"""timm's vision transformers on volumes: their patches have a depth, their positions a third axis; all blocks stay."""

import math
from functools import partial
from typing import Any

import timm
import torch
from timm.layers import resample_abs_pos_embed
from timm.models.vision_transformer import VisionTransformer
from torch import nn
from torch.nn.functional import interpolate

from umbrella.models.volumes.monai_nets import check_size

KERNEL, POSITIONS = "patch_embed.proj.weight", "pos_embed"
PLACES, SCANS = "spatial_posemb", "sequential_posemb"  # HLIP's: of a patch in its scan, of a scan in its study


class PatchEmbed3d(nn.Module):
    """Volumes → tokens, in place of timm's own 2-D layer and with the names of its weights.

    Args:
        grid: patches along the three axes.
        patch: voxels of one along them.
        rest: what timm hands to its own layer for pictures.
    """

    def __init__(
        self, grid: list[int], patch: list[int], in_chans: int, embed_dim: int, bias: bool = True, **rest: Any
    ) -> None:
        super().__init__()
        self.num_patches = math.prod(grid)
        kernel = (patch[0], patch[1], patch[2])
        self.proj = nn.Conv3d(in_chans, embed_dim, kernel, stride=kernel, bias=bias)

    def forward(self, volumes: torch.Tensor) -> torch.Tensor:
        return self.proj(volumes).flatten(2).transpose(1, 2)


class TimmViT(nn.Module):
    """The last tokens of one of timm's vision transformers, normalised, as a grid.

    Args:
        name: of the model in timm, as "vit_base_patch16_224".
        patch_size: along the encoder's axes.
        options: of timm's `VisionTransformer`, as `no_embed_class`.

    Raises ValueError for a model that is no plain vision transformer.
    """

    any_size = False

    def __init__(self, name: str, size: list[int], channels: int, patch_size: list[int] | int, **options: Any) -> None:
        super().__init__()
        self.stride = [patch_size] * 3 if isinstance(patch_size, int) else list(patch_size)
        check_size(name, size, self.stride)
        check_is_vit(name)
        self.grid = [n // p for n, p in zip(size, self.stride, strict=True)]
        embed = partial(PatchEmbed3d, grid=self.grid, patch=self.stride)
        self.net = timm.create_model(name, num_classes=0, in_chans=channels, embed_layer=embed, **options)
        self.net.attn_pool, self.net.fc_norm = None, nn.Identity()  # of the classifier
        self.hidden_size = self.net.embed_dim

    def forward(self, volumes: torch.Tensor) -> torch.Tensor:
        tokens = self.net.forward_features(volumes)[:, self.net.num_prefix_tokens :]
        return tokens.transpose(1, 2).unflatten(2, self.grid)

    def adapt(self, state: dict[str, torch.Tensor]) -> tuple[dict[str, torch.Tensor], list[str]]:
        """Weights of a transformer for pictures, or of HLIP, as this network takes them; what was changed."""
        state, notes = dict(state), []
        kernel, channels = state.get(KERNEL), self.net.patch_embed.proj.in_channels
        if kernel is not None and kernel.ndim == 4:
            if channels == 1:
                kernel = kernel.sum(dim=1, keepdim=True)
            state[KERNEL] = kernel[:, :, None].expand(-1, -1, self.stride[0], -1, -1) / self.stride[0]
            notes.append(f"{KERNEL}: a picture's, repeated over {self.stride[0]} slices and divided by as many")
        if PLACES in state:
            state[POSITIONS] = join_places(state.pop(PLACES), state.pop(SCANS, None), self.grid)
            notes.append(f"{POSITIONS}: {PLACES}, with the first of {SCANS} added, as for a study of one scan")
        elif (found := self._spread_picture(state.get(POSITIONS))) is not None:
            state[POSITIONS] = found
            notes.append(f"{POSITIONS}: a picture's, the same on each plane of patches; depth has none until trained")
        return state, notes

    def _spread_picture(self, positions: torch.Tensor | None) -> torch.Tensor | None:
        """(1, prefix + rows · columns, C) of a square picture → all planes; None for what is no picture's."""
        expected = self.net.pos_embed
        if positions is None or expected is None or positions.shape == expected.shape:
            return None
        n_prefix = expected.shape[1] - math.prod(self.grid)
        side = math.isqrt(positions.shape[1] - n_prefix)
        if positions.shape[1] != n_prefix + side**2:
            return None
        plane = resample_abs_pos_embed(positions, self.grid[1:], [side, side], num_prefix_tokens=n_prefix)
        return torch.cat([plane[:, :n_prefix], plane[:, n_prefix:].repeat(1, self.grid[0], 1)], dim=1)


def join_places(places: torch.Tensor, scans: torch.Tensor | None, grid: list[int]) -> torch.Tensor:
    """HLIP's places (1, d, h, w, C), interpolated to a grid, and its scans' (1, n, C) → (1, tokens, C)."""
    if list(places.shape[1:4]) != grid:
        places = interpolate(places.float().permute(0, 4, 1, 2, 3), size=grid, mode="trilinear").permute(0, 2, 3, 4, 1)
    joined = places.flatten(1, 3)
    return joined if scans is None else joined + scans[:, :1]


def check_is_vit(name: str) -> None:
    """Raise ValueError for a name that timm does not know, and for a model that is no plain vision transformer."""
    if not timm.is_model(name):
        near = ", ".join(timm.list_models(f"*{name[:8]}*")[:5]) or ", ".join(
            timm.list_models("vit_*_patch16_224*")[:5]
        )
        raise ValueError(
            f"timm:{name}: expected a model of timm {timm.__version__}, as {near}, found none of that name"
        )
    with torch.device("meta"):
        is_vit = type(timm.create_model(name, num_classes=0)) is VisionTransformer
    if not is_vit:
        raise ValueError(
            f"timm:{name}: expected a plain vision transformer, as vit_base_patch16_224, whose patches can be given a "
            "depth, found another kind of network. What else takes volumes: monai:ResNet18, monai:SwinUNETR"
        )
