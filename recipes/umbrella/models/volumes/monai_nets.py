"""MONAI's networks up to their features: what runs of them, at which stride, with how many channels.

Each encoder has MONAI's own network as `net`, so that weights that MONAI saved have their names, less the layers that
are not run: they would be parameters without a gradient.
"""

from functools import partial
from typing import Any

import torch
from monai.networks.nets import ViT, resnet
from monai.networks.nets.swin_unetr import MERGING_MODE, SwinTransformer
from torch import nn

RESNETS = {f"ResNet{depth}": getattr(resnet, f"resnet{depth}") for depth in (10, 18, 34, 50, 101, 152, 200)}
N_STAGES = 4
DILATIONS = {3: 2, 4: 4}  # of MedicalNet's own networks: layer → distance of a kernel's taps, at stride 1

# SwinUNETR's own defaults, but for feature_size, which published weights have as 48; and what its encoder names
# otherwise.
SWIN_OPTIONS = {
    "feature_size": 48,
    "patch_size": 2,
    "window_size": 7,
    "depths": (2, 2, 2, 2),
    "num_heads": (3, 6, 12, 24),
    "normalize": True,
    "downsample": "merging",
}
SWIN_NAMES = {"dropout_path_rate": "drop_path_rate"}


class MonaiResNet(nn.Module):
    """A ResNet's feature map.

    Args:
        layer: 1 to 4, the last of the four layers that is run.
        dilated: keep the stride of layer 2 in layers 3 and 4 and widen their kernels instead, by 2 and 4, as
            MedicalNet's networks do; MONAI itself loads their weights into strided ones.
        options: of `monai.networks.nets.resnet`, as `conv1_t_stride` (MONAI's own default is 1), `shortcut_type`.
    """

    any_size = True

    def __init__(
        self, name: str, size: list[int], channels: int, layer: int = N_STAGES, dilated: bool = False, **options: Any
    ) -> None:
        super().__init__()
        check_layer(layer, 1, N_STAGES)
        net = RESNETS[name](spatial_dims=3, n_input_channels=channels, feed_forward=False, **options)
        self.layers = [f"layer{i}" for i in range(1, layer + 1)]
        for i in range(layer + 1, N_STAGES + 1):
            setattr(net, f"layer{i}", nn.Identity())
        if dilated:
            for i in set(DILATIONS) & set(range(1, layer + 1)):
                dilate(net.get_submodule(f"layer{i}"), DILATIONS[i])
        self.net = net
        halvings = sum(i > 1 and not (dilated and i in DILATIONS) for i in range(1, layer + 1))
        pooled = 1 if net.no_max_pool else 2
        self.stride = [step * pooled * 2**halvings for step in net.conv1.stride]
        block = net.get_submodule(self.layers[-1])[-1]
        self.hidden_size = (block.conv3 if isinstance(block, resnet.ResNetBottleneck) else block.conv2).out_channels

    def forward(self, volumes: torch.Tensor) -> torch.Tensor:
        features = self.net.act(self.net.bn1(self.net.conv1(volumes)))
        if not self.net.no_max_pool:
            features = self.net.maxpool(features)
        for name in self.layers:
            features = self.net.get_submodule(name)(features)
        return features


def dilate(layer: nn.Module, distance: int) -> None:
    """Change a layer of strided blocks to stride 1 and kernels whose taps are `distance` apart. Weights stay."""
    for module in layer.modules():
        if isinstance(module, nn.Conv3d):
            module.stride = (1, 1, 1)
            if module.kernel_size != (1, 1, 1):
                module.dilation = module.padding = (distance, distance, distance)
        if isinstance(getattr(module, "downsample", None), partial):  # shortcut type A has no weights
            shortcut = module.downsample
            module.downsample = partial(shortcut.func, *shortcut.args, **shortcut.keywords | {"stride": 1})


class MonaiViT(nn.Module):
    """The last tokens of a ViT, normalised, as a grid.

    Args:
        options: of `monai.networks.nets.ViT`; `patch_size` along the encoder's axes. With `classification` its class
            token runs along, without the head.
    """

    any_size = False

    def __init__(
        self, name: str, size: list[int], channels: int, patch_size: int | list[int] = 16, **options: Any
    ) -> None:
        super().__init__()
        self.stride = [patch_size] * 3 if isinstance(patch_size, int) else list(patch_size)
        check_size(name, size, self.stride)
        self.net = ViT(channels, size, self.stride, **options)
        for block in self.net.blocks:
            block.norm_cross_attn = nn.Identity()  # never run without cross attention, though MONAI saves it
        if self.net.classification:
            del self.net.classification_head
        self.grid = [n // p for n, p in zip(size, self.stride, strict=True)]
        self.hidden_size = self.net.norm.normalized_shape[0]

    def forward(self, volumes: torch.Tensor) -> torch.Tensor:
        tokens = self.net.patch_embedding(volumes)
        if self.net.classification:
            tokens = torch.cat([self.net.cls_token.expand(len(tokens), -1, -1), tokens], dim=1)
        for block in self.net.blocks:
            tokens = block(tokens)
        tokens = self.net.norm(tokens)[:, int(self.net.classification) :]
        return tokens.transpose(1, 2).unflatten(2, self.grid)


class MonaiSwin(nn.Module):
    """The feature map of SwinUNETR's encoder (its `swinViT`), as its decoder is given it.

    Args:
        layer: 0 (patches alone) to 4 (the deepest).
        options: of `SwinUNETR`, as `feature_size`, `normalize`, `depths`, `num_heads`, `window_size`, `use_v2`.
    """

    any_size = True

    def __init__(self, name: str, size: list[int], channels: int, layer: int = N_STAGES, **options: Any) -> None:
        super().__init__()
        check_layer(layer, 0, N_STAGES)
        chosen = SWIN_OPTIONS | options
        first, feature_size, self.normalize = (chosen.pop(key) for key in ("patch_size", "feature_size", "normalize"))
        merging = MERGING_MODE[chosen.pop("downsample")]
        windows = [chosen.pop("window_size")] * 3
        with torch.device("cpu"):  # it reads numbers out of tensors as it is built
            net = SwinTransformer(
                channels,
                feature_size,
                windows,
                [first] * 3,
                spatial_dims=3,
                downsample=merging,
                **{SWIN_NAMES.get(key, key): value for key, value in chosen.items()},
            )
        for i in range(layer + 1, N_STAGES + 1):
            for name in [f"layers{i}", f"layers{i}c"][: 1 + net.use_v2]:
                setattr(net, name, nn.ModuleList())
        self.net, self.layer = net, layer
        self.stride = [first * 2**layer] * 3
        self.hidden_size = feature_size * 2**layer

    def forward(self, volumes: torch.Tensor) -> torch.Tensor:
        features = self.net.pos_drop(self.net.patch_embed(volumes))
        for i in range(1, self.layer + 1):
            if self.net.use_v2:
                features = getattr(self.net, f"layers{i}c")[0](features.contiguous())
            features = getattr(self.net, f"layers{i}")[0](features.contiguous())
        return self.net.proj_out(features, self.normalize)


def check_layer(layer: int, first: int, last: int) -> None:
    """Raise ValueError for a layer that there is not."""
    if not first <= layer <= last:
        raise ValueError(f"layer: expected {first} to {last}, found {layer}")


def check_size(name: str, size: list[int], stride: list[int]) -> None:
    """Raise ValueError for volumes that are no whole number of patches along each axis."""
    if any(n % p for n, p in zip(size, stride, strict=True)):
        raise ValueError(
            f"{name}: expected volumes of a multiple of its patches of {'x'.join(map(str, stride))} voxels, found "
            f"{'x'.join(map(str, size))} (along its own axes). Change the size, or patch_size"
        )


NETS: dict[str, type[nn.Module]] = {
    **dict.fromkeys(RESNETS, MonaiResNet),
    "ViT": MonaiViT,
    "SwinUNETR": MonaiSwin,
}
