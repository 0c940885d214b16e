"""A transformer for pictures that takes volumes: its blocks and weights as they are, its patches made deep.

The picture that it knows is an axial slice with anterior up and left at the left: columns are X, rows are Y from
anterior to posterior, and depth is Z. Its patch embedding becomes that of a block of slices: the kernels of the three
colours summed (a scan has one channel), divided by the depth and repeated along it (Carreira and Zisserman 2017,
arXiv:1705.07750). Its places on the picture are read off the table of positions by their mm, by the same bicubic rule
as transformers has; depth and frame have a place of their own, which is zero at the start.

A volume of equal slices gives the features of the picture, at each layer. Class and register tokens, which stand once
a volume, hence count in attention as often as it has planes of patches: the patches do too.
"""

from typing import Any, ClassVar

import torch
from torch import nn
from torch.nn.functional import grid_sample, scaled_dot_product_attention
from transformers import AttentionInterface, AutoConfig, AutoModel, CLIPVisionConfig, PretrainedConfig, PreTrainedModel
from transformers import initialization as init
from transformers.modeling_outputs import BaseModelOutputWithPooling

from umbrella.models.volumes.packing import PackedVolumes
from umbrella.models.volumes.tower import VolumePatchEmbedding, VolumeTowerBase, to_waves

ATTENTION = "umbrella_packed"  # under this name transformers' own layers find `attend_packed`
# What of a picture's transformer is which, by its config's model_type: before the blocks, the blocks, after them. CLIP
# normalises its class token alone at the end.
BLOCKS: dict[str, tuple[str, str, str]] = {
    "clip_vision_model": ("pre_layrnorm", "encoder.layers", ""),
    "siglip_vision_model": ("", "encoder.layers", "post_layernorm"),
    "siglip2_vision_model": ("", "encoder.layers", "post_layernorm"),
    "dinov2": ("", "encoder.layer", "layernorm"),
    "dinov2_with_registers": ("", "encoder.layer", "layernorm"),
}


class InflatedTowerConfig(PretrainedConfig):
    """Sizes of an `InflatedTower`.

    Args:
        vision_config: of the transformer for pictures, of a type in BLOCKS.
        n_prefix: its class and register tokens.
        table_side: its patches along each side of a picture.
        patch_size: frames, and voxels along X, Y and Z, of a patch.
        spacing_mm: of the volumes that it takes; places count in mm.
        plane_mm: what the side of a picture stands for.
        pool, pools_time: see `umbrella.models.volumes.tower.VolumeTowerConfig`.
    """

    model_type = "umbrella_inflated_tower"
    sub_configs: ClassVar[dict] = {"vision_config": AutoConfig}

    def __init__(
        self,
        vision_config: PretrainedConfig | dict | None = None,
        n_prefix: int = 1,
        table_side: int = 7,
        patch_size: tuple[int, int, int, int] | list[int] = (1, 32, 32, 32),
        spacing_mm: float = 1.0,
        plane_mm: float = 224.0,
        pool: int = 1,
        pools_time: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if isinstance(vision_config, dict):
            vision_config = AutoConfig.for_model(**vision_config)
        flat: Any = vision_config or CLIPVisionConfig()
        self.vision_config = flat
        self.n_prefix, self.table_side = n_prefix, table_side
        self.patch_size, self.spacing_mm, self.plane_mm = list(patch_size), spacing_mm, plane_mm
        self.pool, self.pools_time = pool, pools_time
        self.hidden_size = flat.hidden_size
        self.num_hidden_layers = flat.num_hidden_layers


class PrefixedVolumes:
    """Where the tokens of a batch stand: volume by volume, each its class and register tokens, then its patches."""

    def __init__(self, volumes: PackedVolumes, n_prefix: int) -> None:
        self.n_prefix = n_prefix
        self.n_patches = volumes.lengths
        self.lengths = [n_prefix + n for n in volumes.lengths]
        self.n_planes = [n_times * n_z for n_times, _, _, n_z in volumes.grids]

    def join(self, prefix: torch.Tensor | None, patches: torch.Tensor) -> torch.Tensor:
        """(n_prefix, C), or None, and all patches (N, C) → all tokens (1, n, C)."""
        if prefix is None:
            return patches[None]
        parts = [part for of_volume in patches.split(self.n_patches) for part in (prefix, of_volume)]
        return torch.cat(parts)[None]

    def take_patches(self, tokens: torch.Tensor) -> torch.Tensor:
        """(1, n, C) → (N, C)."""
        if self.n_prefix == 0:
            return tokens[0]
        return torch.cat([of_volume[self.n_prefix :] for of_volume in tokens[0].split(self.lengths)])

    def attend(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, **options: Any) -> torch.Tensor:
        """Attention of each volume to itself: three times (1, heads, n, channels) → (1, n, heads, channels)."""
        attended: list[torch.Tensor] = [query] * len(self.lengths)
        parts = list(zip(*(tensor[0].split(self.lengths, dim=1) for tensor in (query, key, value)), strict=True))
        kinds = list(zip(self.lengths, self.n_planes, strict=True))
        for kind in sorted(set(kinds)):
            numbers = [i for i, other in enumerate(kinds) if other == kind]
            q, k, v = (torch.stack(tensors) for tensors in zip(*(parts[i] for i in numbers), strict=True))
            k, v = (self.repeat_prefix(tensor, kind[1]) for tensor in (k, v))
            found = scaled_dot_product_attention(q, k, v, **options).transpose(1, 2)
            for i, of_volume in zip(numbers, found, strict=True):
                attended[i] = of_volume
        return torch.cat(attended)[None]

    def repeat_prefix(self, tokens: torch.Tensor, times: int) -> torch.Tensor:
        """(volumes, heads, length, channels), the prefix as often as there are planes."""
        if self.n_prefix == 0:
            return tokens
        prefix = tokens[:, :, : self.n_prefix].repeat(1, 1, times - 1, 1)
        return torch.cat([prefix, tokens], dim=2)


def attend_packed(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: PrefixedVolumes,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """What transformers' layers call to attend. What goes through them as the mask says which tokens are one volume's:
    a mask of n × n would be as large as n volumes."""
    scale, dropout = options.get("scaling"), options.get("dropout", 0.0)
    return attention_mask.attend(query, key, value, scale=scale, dropout_p=dropout), None


AttentionInterface.register(ATTENTION, attend_packed)


def find_blocks(flat: PreTrainedModel) -> tuple[nn.Module, nn.ModuleList, nn.Module]:
    """Of a transformer for pictures: what stands before its blocks (nothing is an Identity), the blocks, what stands
    after them. Raises ValueError for a kind that BLOCKS does not list."""
    if flat.config.model_type not in BLOCKS:
        raise ValueError(
            f"expected a transformer for pictures out of {', '.join(BLOCKS)}, found {flat.config.model_type}"
        )
    before, blocks, after = BLOCKS[flat.config.model_type]
    ends = (flat.get_submodule(name) if name else nn.Identity() for name in (before, after))
    return next(ends), flat.get_submodule(blocks), next(ends)


class PicturePositions(nn.Module):
    """Puts the places of a picture's table onto patches, and class and register tokens before them."""

    def __init__(self, config: InflatedTowerConfig) -> None:
        super().__init__()
        self.plane_mm = config.plane_mm
        self.table = nn.Parameter(torch.zeros(config.table_side, config.table_side, config.hidden_size))
        has_prefix = config.n_prefix > 0  # an empty weight is none: libraries that spread weights cannot spread it
        self.prefix = nn.Parameter(torch.zeros(config.n_prefix, config.hidden_size)) if has_prefix else None

    def forward(self, patches: torch.Tensor, places: torch.Tensor, volumes: PrefixedVolumes) -> torch.Tensor:
        """Patches (N, C) and their places (N, 4) → all tokens (1, n, C)."""
        placed = patches.to(self.table.dtype) + self.look_up(places).to(self.table.dtype)
        return volumes.join(self.prefix, placed)

    def look_up(self, places: torch.Tensor) -> torch.Tensor:
        """(N, C) of places in mm from the middle; beyond the picture's edge that of the edge."""
        columns_and_rows = torch.stack([places[:, 1], -places[:, 2]], dim=-1) * (2 / self.plane_mm)  # -1 to 1
        table = self.table.float().permute(2, 0, 1)[None]  # (1, C, rows, columns)
        found = grid_sample(
            table, columns_and_rows[None, None], mode="bicubic", padding_mode="border", align_corners=False
        )
        return found[0, :, 0].T


class InflatedTower(VolumeTowerBase):
    """A transformer for pictures on packed volumes; input as `VolumeTower`.

    Returns hidden states (1, n, hidden_size), those of the patches, pooled: before the first block and after each of
    them; `last_hidden_state` is normalised, as in transformers' own.
    """

    config_class = InflatedTowerConfig
    supports_gradient_checkpointing = True
    _no_split_modules: ClassVar[list[str]] = [
        "CLIPEncoderLayer",
        "SiglipEncoderLayer",
        "Siglip2EncoderLayer",
        "Dinov2Layer",
        "Dinov2WithRegistersLayer",
    ]
    _supports_sdpa = True

    def __init__(self, config: InflatedTowerConfig) -> None:
        super().__init__(config)
        flat = AutoModel.from_config(config.vision_config, attn_implementation=ATTENTION)
        self.patch_embedding = VolumePatchEmbedding(config)
        self.positions = PicturePositions(config)
        self.pre_layernorm, self.layers, self.post_layernorm = find_blocks(flat)
        self.gradient_checkpointing = False
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.patch_embedding

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, PicturePositions):
            for weight in module.parameters():
                init.normal_(weight, std=0.02)

    def forward(
        self, pixel_values: torch.Tensor, image_sizes: torch.Tensor, **kwargs: Any
    ) -> BaseModelOutputWithPooling:
        config = self.config
        packed = PackedVolumes(image_sizes, config.patch_size, config.pool, len(pixel_values))
        places = packed.places(config.spacing_mm, pixel_values.device)
        volumes, dtype = PrefixedVolumes(packed, config.n_prefix), self.positions.table.dtype
        patches = self.patch_embedding(pixel_values.to(dtype), to_waves(places).to(dtype))
        tokens = self.positions(patches, places, volumes)
        states = [self.pre_layernorm(tokens)]
        for layer in self.layers:
            states.append(layer(states[-1], volumes))
        pooled = tuple(
            packed.pool(volumes.take_patches(state), config.pools_time)[None]
            for state in (*states, self.post_layernorm(states[-1]))
        )
        return BaseModelOutputWithPooling(last_hidden_state=pooled[-1], hidden_states=pooled[:-1])


def inflate_kernel(kernel: torch.Tensor, depth: int) -> torch.Tensor:
    """The kernel of a picture's patches (C, colours, rows, columns) → weights (C, px · py · pz) of patches as
    `pack_patches` has them: summed over the colours, rows turned (Y goes up, rows go down), over `depth` slices."""
    along_x_y = kernel.sum(dim=1).flip(1).transpose(1, 2)  # (C, px, py)
    return (along_x_y[..., None] / depth).expand(-1, -1, -1, depth).flatten(1)
