"""SFCN, six convolutions for brains at 1 mm (Peng et al. 2021, 10.1016/j.media.2020.101871), up to its classifier.

Its weights have these names: feature_extractor.conv_0.0 is the first convolution, feature_extractor.conv_0.1 its norm.
"""

import torch
from torch import nn

CHANNELS = (32, 64, 128, 256, 256, 64)
N_HALVINGS = 5


class SFCN(nn.Module):
    """(n, 1, x, y, z) → (n, 64, x / 32, y / 32, z / 32).

    Args:
        channels: of the six convolutions; five of 3 × 3 × 3 voxels, each halving the grid, and one of 1 × 1 × 1.
    """

    any_size = True

    def __init__(
        self, name: str, size: list[int], in_channels: int, channels: tuple[int, ...] | list[int] = CHANNELS
    ) -> None:
        super().__init__()
        if len(channels) != N_HALVINGS + 1:
            raise ValueError(f"channels: expected {N_HALVINGS + 1} numbers, found {channels}")
        self.stride, self.hidden_size = [2**N_HALVINGS] * 3, channels[-1]
        extractor = nn.Sequential()
        for i, (before, after) in enumerate(zip((in_channels, *channels), channels, strict=False)):
            kernel = 3 if i < N_HALVINGS else 1
            layers = [nn.Conv3d(before, after, kernel, padding=kernel // 2), nn.BatchNorm3d(after), nn.ReLU()]
            if i < N_HALVINGS:
                layers.insert(2, nn.MaxPool3d(2))
            extractor.add_module(f"conv_{i}", nn.Sequential(*layers))
        self.net = nn.Sequential()
        self.net.add_module("feature_extractor", extractor)

    def forward(self, volumes: torch.Tensor) -> torch.Tensor:
        return self.net(volumes)
