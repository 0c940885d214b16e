"""Volumes as packed patches: what the towers for volumes eat, however many volumes of however many sizes.

    volume (T, X, Y, Z)  ──pack_patches──▶  (n, pt·px·py·pz)       n = prod((T, X, Y, Z) // patch)
    volumes of a batch   ──join──▶          (all patches, voxels of one) and image_sizes (volumes, 4)

Patches stand in the order of their places, T slowest; so do the voxels within one. LLaVA takes `prod(image_sizes //
patch_size)` features for a volume, with the tower's `patch_size`, which counts what the tower pools.
"""

import math
from collections.abc import Sequence

import torch

# A tower that pools all frames of a series gives one feature for them, however many they are: with this added to their
# number, and this as the first number of its `patch_size`, the quotient is 1.
POOLED_TIME = 1 << 20


def pack_patches(volume: torch.Tensor, patch: Sequence[int]) -> torch.Tensor:
    """(T, X, Y, Z) → (patches, voxels of one). Raises ValueError for a size that is no multiple of the patch."""
    check_multiple(volume.shape, patch)
    grid = [n // p for n, p in zip(volume.shape, patch, strict=True)]
    split = volume.reshape([n for pair in zip(grid, patch, strict=True) for n in pair])
    return split.permute(0, 2, 4, 6, 1, 3, 5, 7).reshape(math.prod(grid), math.prod(patch))


def unpack_patches(patches: torch.Tensor, size: Sequence[int], patch: Sequence[int]) -> torch.Tensor:
    """The inverse of `pack_patches`: (patches, voxels of one) → `size`, (T, X, Y, Z)."""
    grid = [n // p for n, p in zip(size, patch, strict=True)]
    return patches.reshape(*grid, *patch).permute(0, 4, 1, 5, 2, 6, 3, 7).reshape(size)


def check_multiple(size: Sequence[int], patch: Sequence[int]) -> None:
    """Raise ValueError for a size (T, X, Y, Z) that is no multiple of the patch."""
    if any(n % p for n, p in zip(size, patch, strict=True)):
        right = tuple(max(1, round(n / p)) * p for n, p in zip(size, patch, strict=True))
        raise ValueError(
            f"expected a multiple of the tower's patches of {_join(patch[1:])} voxels and {patch[0]} frames, found a "
            f"volume of {_join(size[1:])} voxels and {size[0]} frames. Set --volume_size {_join(right[1:])}"
            + (f" and frames of a multiple of {patch[0]}" if size[0] % patch[0] else "")
        )


def _join(numbers: Sequence[int]) -> str:
    return "x".join(map(str, numbers))
