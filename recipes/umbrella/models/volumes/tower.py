"""A transformer for volumes: any number of them, 3-D and 4-D, of any sizes, as packed patches.

    patches (N, voxels) and image_sizes (volumes, 4)
      ──linear──▶ (N, C) + place in mm, frame ──blocks, each volume attends to itself──▶ ──pool──▶ (1, n, C)

Every linear layer runs once a batch, on the patches of all volumes, whatever their number and sizes: processes that
train together stay in step, also where each gathers the weights of a layer as it runs (ZeRO-3).
"""

import math
from collections.abc import Iterator
from typing import Any, ClassVar

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import PretrainedConfig, PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import BaseModelOutputWithPooling

from umbrella.models.volumes.patches import POOLED_TIME

N_WAVES = 8  # of a place along one axis
LONGEST_WAVE_MM, LONGEST_WAVE_FRAMES = 512.0, 512.0


class VolumeTowerConfig(PretrainedConfig):
    """Sizes of a `VolumeTower`.

    Args:
        patch_size: frames, and voxels along X, Y and Z, of a patch.
        spacing_mm: of the volumes that it takes; places count in mm.
        pool: patches along each axis whose features are averaged at the end, 1 or 2 (2 × 2 × 2 become one).
        pools_time: average over all frames too, so that a series gives as many features as one volume.
    """

    model_type = "umbrella_volume_tower"

    def __init__(
        self,
        hidden_size: int = 384,
        intermediate_size: int = 1536,
        num_hidden_layers: int = 12,
        num_attention_heads: int = 6,
        patch_size: tuple[int, int, int, int] | list[int] = (1, 8, 8, 8),
        spacing_mm: float = 2.0,
        pool: int = 2,
        pools_time: bool = False,
        layer_norm_eps: float = 1e-6,
        initializer_range: float = 0.02,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.hidden_size, self.intermediate_size = hidden_size, intermediate_size
        self.num_hidden_layers, self.num_attention_heads = num_hidden_layers, num_attention_heads
        self.patch_size, self.spacing_mm = list(patch_size), spacing_mm
        self.pool, self.pools_time = pool, pools_time
        self.layer_norm_eps, self.initializer_range = layer_norm_eps, initializer_range


class PackedVolumes:
    """Where each patch of a batch stands. Nothing of it depends on weights.

    Args:
        image_sizes: (volumes, 4): frames (with POOLED_TIME where they are pooled), voxels along X, Y, Z.
        patch: frames and voxels of a patch.
    """

    def __init__(self, image_sizes: torch.Tensor, patch: list[int]) -> None:
        sizes = [(n_frames % POOLED_TIME, *rest) for n_frames, *rest in image_sizes.tolist()]
        self.grids = [tuple(n // p for n, p in zip(size, patch, strict=True)) for size in sizes]
        self.lengths = [math.prod(grid) for grid in self.grids]

    def places(self, patch: list[int], spacing_mm: float, device: torch.device) -> torch.Tensor:
        """(N, 4): the frame of each patch's middle, and its place in mm from the volume's middle along X, Y, Z."""
        units = (patch[0], *(p * spacing_mm for p in patch[1:]))
        per_volume = []
        for n_times, *grid in self.grids:
            times = (torch.arange(n_times, device=device) + 0.5) * units[0]
            axes = [
                (torch.arange(n, device=device) - (n - 1) / 2) * unit for n, unit in zip(grid, units[1:], strict=True)
            ]
            per_volume.append(torch.stack(torch.meshgrid(times, *axes, indexing="ij"), dim=-1).reshape(-1, 4))
        return torch.cat(per_volume).float()

    def split_alike(self, packed: torch.Tensor) -> Iterator[tuple[list[int], torch.Tensor]]:
        """(N, ...) → for each length the numbers of the volumes that have it, and (volumes, length, ...)."""
        parts = packed.split(self.lengths)
        for length in sorted(set(self.lengths)):
            numbers = [i for i, n in enumerate(self.lengths) if n == length]
            yield numbers, torch.stack([parts[i] for i in numbers])

    def attend(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """Attention of each volume to itself: three times (N, heads, channels) → (N, heads, channels)."""
        attended: list[torch.Tensor | None] = [None] * len(self.lengths)
        packed = torch.stack([query, key, value], dim=1)  # (N, 3, heads, channels)
        for numbers, of_length in self.split_alike(packed):
            q, k, v = of_length.permute(2, 0, 3, 1, 4)  # (volumes, heads, length, channels)
            found = scaled_dot_product_attention(q, k, v).transpose(1, 2)
            for i, volume in zip(numbers, found, strict=True):
                attended[i] = volume
        return torch.cat([volume for volume in attended if volume is not None])

    def pool(self, packed: torch.Tensor, pool: int, pools_time: bool) -> torch.Tensor:
        """Features (N, C) averaged over `pool`³ neighbours, and over all frames where `pools_time`."""
        if pool == 1 and not pools_time:
            return packed
        pooled = []
        for (t, x, y, z), volume in zip(self.grids, packed.split(self.lengths), strict=True):
            cells = volume.reshape(t, x // pool, pool, y // pool, pool, z // pool, pool, -1).mean(dim=(2, 4, 6))
            pooled.append((cells.mean(dim=0) if pools_time else cells).reshape(-1, packed.shape[-1]))
        return torch.cat(pooled)


class VolumePatchEmbedding(nn.Module):
    """Patches (N, voxels) and their places (N, 4) → (N, C)."""

    def __init__(self, config: VolumeTowerConfig) -> None:
        super().__init__()
        self.projection = nn.Linear(math.prod(config.patch_size), config.hidden_size)
        self.place = nn.Linear(4 * 2 * N_WAVES, config.hidden_size, bias=False)

    def forward(self, patches: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        waves = to_waves(places).to(self.place.weight.dtype)
        return self.projection(patches.to(self.projection.weight.dtype)) + self.place(waves)


def to_waves(places: torch.Tensor) -> torch.Tensor:
    """(N, 4) frames and mm → (N, 4 · 2 · N_WAVES): sines and cosines of N_WAVES lengths, the longest first."""
    longest = places.new_tensor([LONGEST_WAVE_FRAMES, *[LONGEST_WAVE_MM] * 3])
    turns = places / longest * 2 * math.pi  # (N, 4)
    phases = turns[..., None] * 2.0 ** torch.arange(N_WAVES, device=places.device)  # (N, 4, N_WAVES)
    return torch.cat([phases.sin(), phases.cos()], dim=-1).flatten(1)


class VolumeBlock(GradientCheckpointingLayer):
    """One layer: attention within each volume, then a perceptron; both on what was normalised before."""

    def __init__(self, config: VolumeTowerConfig) -> None:
        super().__init__()
        size = config.hidden_size
        self.n_heads = config.num_attention_heads
        self.layer_norm1 = nn.LayerNorm(size, eps=config.layer_norm_eps)
        self.q_proj, self.k_proj, self.v_proj = nn.Linear(size, size), nn.Linear(size, size), nn.Linear(size, size)
        self.out_proj = nn.Linear(size, size)
        self.layer_norm2 = nn.LayerNorm(size, eps=config.layer_norm_eps)
        self.fc1, self.fc2 = nn.Linear(size, config.intermediate_size), nn.Linear(config.intermediate_size, size)

    def forward(self, hidden_states: torch.Tensor, packed: PackedVolumes) -> torch.Tensor:
        normed = self.layer_norm1(hidden_states)
        query, key, value = (
            layer(normed).unflatten(-1, (self.n_heads, -1)) for layer in (self.q_proj, self.k_proj, self.v_proj)
        )
        hidden_states = hidden_states + self.out_proj(packed.attend(query, key, value).flatten(1))
        return hidden_states + self.fc2(nn.functional.gelu(self.fc1(self.layer_norm2(hidden_states))))


class VolumeTowerBase(PreTrainedModel):
    """What LLaVA asks of a tower for volumes."""

    main_input_name = "pixel_values"
    input_modalities = ("image",)

    @property
    def patch_size(self) -> torch.Tensor:
        """(4,): `image_sizes // patch_size` is the grid of a volume's features."""
        t, *space = self.config.patch_size
        return torch.tensor([POOLED_TIME if self.config.pools_time else t, *(p * self.config.pool for p in space)])


class VolumeTower(VolumeTowerBase):
    """A transformer for packed volumes.

    Input: `pixel_values` (N, voxels of a patch), `image_sizes` (volumes, 4), see `umbrella.models.volumes.patches`.
    Returns hidden states (1, n, hidden_size) after each layer, pooled, the last one normalised.
    """

    config_class = VolumeTowerConfig
    supports_gradient_checkpointing = True
    _no_split_modules: ClassVar[list[str]] = ["VolumeBlock"]
    _supports_sdpa = True

    def __init__(self, config: VolumeTowerConfig) -> None:
        super().__init__(config)
        self.patch_embedding = VolumePatchEmbedding(config)
        self.layers = nn.ModuleList(VolumeBlock(config) for _ in range(config.num_hidden_layers))
        self.post_layernorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.gradient_checkpointing = False
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.patch_embedding

    def forward(
        self, pixel_values: torch.Tensor, image_sizes: torch.Tensor, **kwargs: Any
    ) -> BaseModelOutputWithPooling:
        config = self.config
        packed = PackedVolumes(image_sizes, config.patch_size)
        places = packed.places(config.patch_size, config.spacing_mm, pixel_values.device)
        states = [self.patch_embedding(pixel_values, places)]
        for layer in self.layers:
            states.append(layer(states[-1], packed))
        states[-1] = self.post_layernorm(states[-1])
        pooled = tuple(packed.pool(state, config.pool, config.pools_time)[None] for state in states)
        return BaseModelOutputWithPooling(last_hidden_state=pooled[-1], hidden_states=pooled)
