"""A transformer for volumes: any number of them, 3-D and 4-D, of any sizes, as packed patches.

    patches (N, voxels) and image_sizes (volumes, 4)
      ──linear──▶ (N, C) + place in mm, frame ──blocks, each volume attends to itself──▶ ──pool──▶ (1, n, C)

Every linear layer runs once a batch, on the patches of all volumes, whatever their number and sizes: processes that
train together stay in step, also where each gathers the weights of a layer as it runs (ZeRO-3).
"""

import math
from typing import Any, ClassVar

import torch
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from umbrella.models.volumes.packing import JOINT, OVER_TIME, WITHIN_FRAMES, PackedVolumes
from umbrella.models.volumes.patches import FeatureUnit

N_WAVES = 8  # of a place along one axis
LONGEST_WAVE_MM, LONGEST_WAVE_FRAMES = 512.0, 512.0
ALTERNATE = "alternate"


class VolumeTowerConfig(PretrainedConfig):
    """Sizes of a `VolumeTower`.

    Args:
        patch_size: frames, and voxels along X, Y and Z, of a patch.
        spacing_mm: of the volumes that it takes; places count in mm.
        pool: patches along each axis whose features are averaged at the end, 1 or 2 (2 × 2 × 2 become one).
        pools_time: average over all frames too, so that a series gives as many features as one volume.
        time_attention: of a series, "alternate": the first layer, the third, ... attend over time, place by place, the
            others over space, frame by frame; "joint": all layers attend to all patches of all frames, which takes
            memory and time by the square of the frames. A 3-D scan is the same to both.
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
        time_attention: str = ALTERNATE,
        layer_norm_eps: float = 1e-6,
        initializer_range: float = 0.02,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.hidden_size, self.intermediate_size = hidden_size, intermediate_size
        self.num_hidden_layers, self.num_attention_heads = num_hidden_layers, num_attention_heads
        self.patch_size, self.spacing_mm = list(patch_size), spacing_mm
        self.pool, self.pools_time, self.time_attention = pool, pools_time, time_attention
        self.layer_norm_eps, self.initializer_range = layer_norm_eps, initializer_range
        if time_attention not in (ALTERNATE, JOINT):
            raise ValueError(f"time_attention: expected {ALTERNATE} or {JOINT}, found {time_attention!r}")
        if hidden_size % num_attention_heads:
            raise ValueError(
                f"hidden_size: expected a multiple of num_attention_heads, {num_attention_heads}, found {hidden_size}"
            )


class VolumePatchEmbedding(nn.Module):
    """Patches (N, voxels) and their places (N, 4) → (N, C)."""

    def __init__(self, config: VolumeTowerConfig) -> None:
        super().__init__()
        self.projection = nn.Linear(math.prod(config.patch_size), config.hidden_size)
        self.place = nn.Linear(4 * 2 * N_WAVES, config.hidden_size, bias=False)

    def forward(self, patches: torch.Tensor, waves: torch.Tensor) -> torch.Tensor:
        return self.projection(patches) + self.place(waves)


def to_waves(places: torch.Tensor) -> torch.Tensor:
    """(N, 4) frames and mm → (N, 4 · 2 · N_WAVES): sines and cosines of N_WAVES lengths, the longest first."""
    longest = places.new_tensor([LONGEST_WAVE_FRAMES, *[LONGEST_WAVE_MM] * 3])
    turns = places / longest * 2 * math.pi  # (N, 4)
    phases = turns[..., None] * 2.0 ** torch.arange(N_WAVES, device=places.device)  # (N, 4, N_WAVES)
    return torch.cat([phases.sin(), phases.cos()], dim=-1).flatten(1)


class VolumeAttention(nn.Module):
    """Attention of each volume to itself, by the implementation that `attn_implementation` names."""

    def __init__(self, config: VolumeTowerConfig, over: str) -> None:
        super().__init__()
        size = config.hidden_size
        self.config, self.over, self.n_heads = config, over, config.num_attention_heads
        self.scaling = (size // self.n_heads) ** -0.5
        self.is_causal = False
        self.q_proj, self.k_proj, self.v_proj = nn.Linear(size, size), nn.Linear(size, size), nn.Linear(size, size)
        self.out_proj = nn.Linear(size, size)

    def forward(self, hidden_states: torch.Tensor, packed: PackedVolumes) -> torch.Tensor:
        to_heads = (layer(hidden_states).unflatten(-1, (self.n_heads, -1)) for layer in self._projections())
        return self.out_proj(packed.attend(self._attend, self.over, *to_heads).flatten(1))

    def _projections(self) -> tuple[nn.Module, ...]:
        return self.q_proj, self.k_proj, self.v_proj

    def _attend(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        # Private, but there is no other word for which implementation a model was loaded with.
        named = self.config._attn_implementation
        attention = ALL_ATTENTION_FUNCTIONS.get_interface(named, attend_plainly)
        return attention(self, query, key, value, None, scaling=self.scaling, dropout=0.0, is_causal=False)[0]


def attend_plainly(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: None,
    scaling: float,
    **kwargs: Any,
) -> tuple[torch.Tensor, torch.Tensor]:
    """ "eager": query, key, value (sequences, heads, length, channels) → (sequences, length, heads, channels), and the
    attention itself."""
    weights = (query @ key.transpose(-1, -2) * scaling).softmax(dim=-1, dtype=torch.float32).to(query.dtype)
    return (weights @ value).transpose(1, 2), weights


class VolumeBlock(GradientCheckpointingLayer):
    """One layer: attention, then a perceptron; both on what was normalised before."""

    def __init__(self, config: VolumeTowerConfig, number: int) -> None:
        super().__init__()
        size = config.hidden_size
        over = (OVER_TIME, WITHIN_FRAMES)[number % 2] if config.time_attention == ALTERNATE else JOINT
        self.layer_norm1 = nn.LayerNorm(size, eps=config.layer_norm_eps)
        self.self_attn = VolumeAttention(config, over)
        self.layer_norm2 = nn.LayerNorm(size, eps=config.layer_norm_eps)
        self.fc1, self.fc2 = nn.Linear(size, config.intermediate_size), nn.Linear(config.intermediate_size, size)

    def forward(self, hidden_states: torch.Tensor, packed: PackedVolumes) -> torch.Tensor:
        hidden_states = hidden_states + self.self_attn(self.layer_norm1(hidden_states), packed)
        return hidden_states + self.fc2(nn.functional.gelu(self.fc1(self.layer_norm2(hidden_states))))


class VolumeTowerBase(PreTrainedModel):
    """What LLaVA asks of a tower for volumes, whose config has `patch_size`, `pool` and `pools_time`."""

    main_input_name = "pixel_values"
    input_modalities = ("image",)

    @property
    def patch_size(self) -> FeatureUnit:
        """`image_sizes // patch_size` is the grid of a volume's features."""
        return FeatureUnit.of(self.config.patch_size, self.config.pool, self.config.pools_time)


class VolumeTower(VolumeTowerBase):
    """A transformer for packed volumes.

    Input: `pixel_values` (N, voxels of a patch), `image_sizes` (volumes, 4), see `umbrella.models.volumes.patches`.
    Returns hidden states (1, n, hidden_size) after each layer, pooled, the last one normalised. Raises ValueError as
    `PackedVolumes` does.
    """

    config_class = VolumeTowerConfig
    supports_gradient_checkpointing = True
    _no_split_modules: ClassVar[list[str]] = ["VolumeBlock"]
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_attention_backend = True

    def __init__(self, config: VolumeTowerConfig) -> None:
        super().__init__(config)
        self.patch_embedding = VolumePatchEmbedding(config)
        self.layers = nn.ModuleList(VolumeBlock(config, number) for number in range(config.num_hidden_layers))
        self.post_layernorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.gradient_checkpointing = False
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.patch_embedding

    def forward(
        self, pixel_values: torch.Tensor, image_sizes: torch.Tensor, **kwargs: Any
    ) -> BaseModelOutputWithPooling:
        config = self.config
        packed = PackedVolumes(image_sizes, config.patch_size, config.pool, len(pixel_values))
        waves = to_waves(packed.places(config.spacing_mm, pixel_values.device))
        dtype = self.post_layernorm.weight.dtype  # a linear layer's may be that of packed 4-bit numbers
        states = [self.patch_embedding(pixel_values.to(dtype), waves.to(dtype))]
        for layer in self.layers:
            states.append(layer(states[-1], packed))
        states[-1] = self.post_layernorm(states[-1])
        pooled = tuple(packed.pool(state, config.pools_time)[None] for state in states)
        return BaseModelOutputWithPooling(last_hidden_state=pooled[-1], hidden_states=pooled)
