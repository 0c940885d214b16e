"""Volumes as packed patches: what the towers for volumes eat, however many volumes of however many sizes.

    volume (T, X, Y, Z)  ──pack_patches──▶  (n, pt·px·py·pz)       n = prod((T, X, Y, Z) // patch)
    volumes of a batch   ──join──▶          (all patches, voxels of one) and image_sizes (volumes, 4)

Patches stand in the order of their places, T slowest; so do the voxels within one. LLaVA takes `prod(image_sizes //
patch_size)` features for a volume, with the tower's `patch_size`, a `FeatureUnit`, which counts what the tower pools.
"""

import math
from collections.abc import Sequence

import torch

# A tower that pools all frames of a series gives one feature for them, however many they are: with this added to their
# number, and this as the first number of its `FeatureUnit`, the quotient is 1.
POOLED_TIME = 1 << 20


class FeatureUnit(tuple[int, ...]):
    """(4,): the frames, and voxels along X, Y and Z, that become one feature. Divides sizes on whichever device they
    are: LLaVA has them where its projector is, which need not be where the tower is."""

    @classmethod
    def of(cls, patch: Sequence[int], pool: int, pools_time: bool) -> "FeatureUnit":
        """Of a tower with these patches, which pools `pool`³ of them and, with `pools_time`, all frames."""
        t, *space = patch
        return cls((POOLED_TIME if pools_time else t, *(p * pool for p in space)))

    def __rfloordiv__(self, sizes: torch.Tensor) -> torch.Tensor:
        return sizes // sizes.new_tensor(self)

    def count(self, image_size: Sequence[int]) -> int:
        """The features of a volume of this row of `image_sizes`."""
        return math.prod(n // unit for n, unit in zip(image_size, self, strict=True))


def pack_patches(volume: torch.Tensor, patch: Sequence[int]) -> torch.Tensor:
    """(T, X, Y, Z) → (patches, voxels of one). Raises ValueError for a size that is no multiple of the patch."""
    check_multiple(volume.shape, patch)
    grid = [n // p for n, p in zip(volume.shape, patch, strict=True)]
    split = volume.reshape([n for pair in zip(grid, patch, strict=True) for n in pair])
    return split.permute(0, 2, 4, 6, 1, 3, 5, 7).reshape(math.prod(grid), math.prod(patch))


def unpack_patches(patches: torch.Tensor, size: Sequence[int], patch: Sequence[int]) -> torch.Tensor:
    """The inverse of `pack_patches`: (patches, voxels of one) → `size`, (T, X, Y, Z)."""
    grid = [n // p for n, p in zip(size, patch, strict=True)]
    return patches.reshape(*grid, *patch).permute(0, 4, 1, 5, 2, 6, 3, 7).reshape(tuple(size))


def fill_time(n_frames: int, patch: Sequence[int]) -> int:
    """Frames up to whole patches: the last frame of a series, or the only one, is repeated to fill the last patch, as
    Qwen2-VL does with videos and images."""
    return -(-n_frames // patch[0]) * patch[0]


def check_multiple(size: Sequence[int], patch: Sequence[int], pool: int = 1) -> None:
    """Raise ValueError for a size (T, X, Y, Z) that is no multiple of the patch, or of the `pool`³ that become one."""
    unit = [patch[0], *(p * pool for p in patch[1:])]
    if any(n % p for n, p in zip(size, unit, strict=True)):
        right = [max(1, round(n / p)) * p for n, p in zip(size, unit, strict=True)]
        pooled = "" if pool == 1 else f", of which it pools {_join([pool] * 3)} into one"
        raise ValueError(
            f"expected a multiple of {_join(unit[1:])} voxels and of {unit[0]} frames, as the tower takes patches of "
            f"{_join(patch[1:])} voxels and {patch[0]} frames{pooled}; found a volume of {_join(size[1:])} voxels and "
            f"{size[0]} frames. Set --volume_size {_join(right[1:])}"
            + (f" and --frames {right[0]}" if size[0] % unit[0] else "")
        )


def _join(numbers: Sequence[int]) -> str:
    return "x".join(map(str, numbers))
