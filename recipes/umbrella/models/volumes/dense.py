"""Encoders for whole volumes of one size, as towers: MONAI's, timm's, SFCN. Their feature map is a grid of tokens.

    patches (N, voxels) ──unpack──▶ (frames, X, Y, Z) ──to the encoder's axes──▶ encoder, once for all frames of all
    scans ──back to RAS──▶ (frames · cells, C) ──pool──▶ (1, n, C)

The encoder runs once a batch, whatever the number of scans and frames: processes that train together stay in step.
"""

import math
from typing import Any, ClassVar

import torch
from torch import nn
from torch.nn.functional import avg_pool3d
from transformers import PretrainedConfig
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import BaseModelOutputWithPooling

from umbrella.models.volumes.axes import Axes
from umbrella.models.volumes.patches import POOLED_TIME, unpack_patches
from umbrella.models.volumes.tower import VolumeTowerBase
from umbrella.options.extras import check_extra

MONAI, TIMM, SFCN_KIND = "monai", "timm", "sfcn"
EXTRA = "encoders"
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


class DenseTowerConfig(PretrainedConfig):
    """An encoder and how volumes are handed to it.

    Args:
        encoder: "monai:ResNet18", "monai:ViT", "monai:SwinUNETR", "timm:vit_base_patch16_224", "sfcn".
        encoder_options: of its class, see `umbrella.models.volumes.monai_nets` and its neighbours: also which layer's
            features are taken.
        volume_size: voxels along X, Y, Z of the volumes that the tower is given.
        voxel_pool: how many of them along X, Y, Z are averaged into one voxel of the encoder's.
        orientation: the encoder's axes, see `umbrella.models.volumes.axes`.
        channels: of the encoder's input; all hold the same volume.
        patch_size: frames, and voxels along X, Y, Z, of one feature: the encoder's stride times `voxel_pool`.
        pool, pools_time: see `umbrella.models.volumes.tower.VolumeTowerConfig`.
    """

    model_type = "umbrella_dense_tower"

    def __init__(
        self,
        encoder: str = SFCN_KIND,
        encoder_options: dict[str, Any] | None = None,
        volume_size: list[int] | tuple[int, ...] = (96, 96, 96),
        voxel_pool: list[int] | tuple[int, ...] = (1, 1, 1),
        orientation: str = "RAS",
        channels: int = 1,
        hidden_size: int = 64,
        patch_size: list[int] | tuple[int, ...] = (1, 32, 32, 32),
        pool: int = 1,
        pools_time: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.encoder, self.encoder_options = encoder, dict(encoder_options or {})
        self.volume_size, self.voxel_pool = list(volume_size), list(voxel_pool)
        self.orientation, self.channels = orientation, channels
        self.hidden_size, self.patch_size = hidden_size, list(patch_size)
        self.pool, self.pools_time = pool, pools_time


def build_net(encoder: str, options: dict[str, Any], size: list[int], channels: int) -> nn.Module:
    """An encoder with new weights: (n, channels, *size) → (n, hidden_size, *(size / stride)).

    size  voxels along the encoder's own axes; only with `any_size` it takes others

    It has `stride`, `hidden_size` and `any_size`. Raises ValueError for one that there is not, and for options that it
    does not take; ImportError, with the command that installs it, where its package is missing.
    """
    kind, _, name = encoder.partition(":")
    try:
        if kind == MONAI:
            check_extra("monai", f"--vision_tower {encoder}", EXTRA)
            from umbrella.models.volumes.monai_nets import NETS

            if name not in NETS:
                raise ValueError(f"{encoder}: expected monai: and one of {', '.join(NETS)}, found {name!r}")
            return NETS[name](name, size, channels, **options)
        if kind == TIMM:
            check_extra("timm", f"--vision_tower {encoder}", EXTRA)
            from umbrella.models.volumes.timm_vit import TimmViT

            return TimmViT(name, size, channels, **options)
        if encoder == SFCN_KIND:
            from umbrella.models.volumes.sfcn import SFCN

            return SFCN(encoder, size, channels, **options)
    except TypeError as error:
        raise ValueError(f"{encoder}: expected other options than {options}: {error}") from error
    raise ValueError(f"expected an encoder as monai:NET, timm:NAME or {SFCN_KIND}, found {encoder!r}")


class DenseEncoder(GradientCheckpointingLayer):
    """The encoder as one layer, so that its activations can be computed again instead of kept."""

    def __init__(self, config: DenseTowerConfig) -> None:
        super().__init__()
        size = [n // pooled for n, pooled in zip(config.volume_size, config.voxel_pool, strict=True)]
        axes = Axes(config.orientation)
        self.net = build_net(config.encoder, config.encoder_options, axes.sizes_from_ras(size), config.channels)

    def forward(self, volumes: torch.Tensor) -> torch.Tensor:
        return self.net(volumes)


class DenseTower(VolumeTowerBase):
    """An encoder on packed patches, see `DenseTowerConfig`. All scans of a batch have one size.

    Input: `pixel_values` (N, voxels of a patch), `image_sizes` (scans, 4), see `umbrella.models.volumes.patches`.
    Returns one hidden state, (1, n, hidden_size).

    BatchNorm always uses the statistics that it came with, also in training: a batch of a few volumes is too small for
    its own, and with them a scan's features would depend on the scans beside it.
    """

    config_class = DenseTowerConfig
    supports_gradient_checkpointing = True
    _no_split_modules: ClassVar[list[str]] = ["DenseEncoder"]

    def __init__(self, config: DenseTowerConfig) -> None:
        super().__init__(config)
        self.axes = Axes(config.orientation)
        self.encoder = DenseEncoder(config)
        self.gradient_checkpointing = False
        self.post_init()

    def train(self, mode: bool = True) -> "DenseTower":
        """As torch's, less the statistics of BatchNorm, which stay."""
        super().train(mode)
        for module in self.encoder.modules():
            if isinstance(module, BATCH_NORMS):
                module.eval()
        return self

    def forward(
        self, pixel_values: torch.Tensor, image_sizes: torch.Tensor, **kwargs: Any
    ) -> BaseModelOutputWithPooling:
        config = self.config
        n_frames, space = self._find_sizes(image_sizes)
        volumes = unpack_patches(pixel_values, (sum(n_frames), *space), config.patch_size)[:, None]  # (frames, 1, ...)
        volumes = volumes.to(next(self.encoder.parameters()).dtype)
        if math.prod(config.voxel_pool) > 1:
            volumes = avg_pool3d(volumes, tuple(config.voxel_pool))
        volumes = self.axes.from_ras(volumes).expand(-1, config.channels, -1, -1, -1)
        features = self.axes.to_ras(self.encoder(volumes.contiguous()))  # (frames, C, x, y, z)
        if config.pool > 1:
            features = avg_pool3d(features, config.pool)
        tokens = features.flatten(2).transpose(1, 2)  # (frames, cells, C)
        if config.pools_time:
            tokens = torch.stack([of_scan.mean(dim=0) for of_scan in tokens.split(n_frames)])
        tokens = tokens.flatten(0, 1)[None]
        return BaseModelOutputWithPooling(last_hidden_state=tokens, hidden_states=(tokens,))

    def _find_sizes(self, image_sizes: torch.Tensor) -> tuple[list[int], list[int]]:
        """The frames of each scan, and the voxels along X, Y, Z of all."""
        config = self.config
        n_frames = [row[0] % POOLED_TIME for row in image_sizes.tolist()]
        spaces = sorted({tuple(row[1:]) for row in image_sizes.tolist()})
        if len(spaces) > 1:
            raise ValueError(
                f"expected volumes of one size in a batch, as the encoder {config.encoder} takes all at once, found "
                f"{' and '.join('x'.join(map(str, space)) for space in spaces)}. Show all at one --volume_size"
            )
        space = list(spaces[0])
        if not self.encoder.net.any_size and space != config.volume_size:
            raise ValueError(
                f"expected volumes of {'x'.join(map(str, config.volume_size))} voxels, the one size that the encoder "
                f"{config.encoder} has positions for, found {'x'.join(map(str, space))}. Leave --volume_size out"
            )
        return n_frames, space
