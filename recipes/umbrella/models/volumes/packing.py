"""Where each patch of a batch of volumes stands: its place, and which patches attend to one another. No weights."""

import math
from collections.abc import Callable, Iterator

import torch

from umbrella.models.volumes.patches import POOLED_TIME, check_multiple

# What a layer attends over: a volume's patches of all frames, those of one frame, those of one place in all frames.
JOINT, WITHIN_FRAMES, OVER_TIME = "joint", "within frames", "over time"
# Sequences times heads: beyond it cuDNN's attention fails in half precision, on its way back (tried on an H200).
MOST_IN_A_CALL = 65_535

Attention = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


class PackedVolumes:
    """The volumes whose patches were joined.

    Args:
        image_sizes: (volumes, 4): frames (with POOLED_TIME where they are pooled), voxels along X, Y, Z.
        patch: frames and voxels of a patch.
        pool: patches along each axis that are pooled at the end.
        n_patches: how many patches there are.

    Raises ValueError for a size that is no multiple of what is pooled, and for another number of patches.
    """

    def __init__(self, image_sizes: torch.Tensor, patch: list[int], pool: int, n_patches: int) -> None:
        sizes = [(n_frames % POOLED_TIME, *rest) for n_frames, *rest in image_sizes.tolist()]
        for size in sizes:
            check_multiple(size, patch, pool)
        self.patch, self.n_pooled = patch, pool
        self.grids = [tuple(n // p for n, p in zip(size, patch, strict=True)) for size in sizes]
        self.lengths = [math.prod(grid) for grid in self.grids]
        if sum(self.lengths) != n_patches:
            raise ValueError(
                f"pixel_values: expected {sum(self.lengths)} patches, as image_sizes say, found {n_patches}. Take "
                "both from one call of the model's own processor"
            )

    def places(self, spacing_mm: float, device: torch.device) -> torch.Tensor:
        """(N, 4): the frame of each patch's middle, and its place in mm from the volume's middle along X, Y, Z."""
        frames, *sides = self.patch[0], *(p * spacing_mm for p in self.patch[1:])
        per_volume = []
        for n_times, *grid in self.grids:
            times = (torch.arange(n_times, device=device) + 0.5) * frames
            axes = [(torch.arange(n, device=device) - (n - 1) / 2) * mm for n, mm in zip(grid, sides, strict=True)]
            per_volume.append(torch.stack(torch.meshgrid(times, *axes, indexing="ij"), dim=-1).reshape(-1, 4))
        return torch.cat(per_volume).float()

    def attend(self, attention: Attention, over: str, *packed: torch.Tensor) -> torch.Tensor:
        """Query, key and value, each (N, heads, channels) → (N, heads, channels).

        Sequences of one length are attended to in as few calls of `attention` as a GPU's kernels allow. It takes
        query, key and value of (sequences, heads, length, channels) and returns (sequences, length, heads, channels).
        """
        parts = list(self._sequences(torch.stack(packed, dim=1), over))  # of each volume (sequences, length, 3, ...)
        attended: dict[int, torch.Tensor] = {}
        for length in dict.fromkeys(part.shape[1] for part in parts):
            numbers = [number for number, part in enumerate(parts) if part.shape[1] == length]
            joined = torch.cat([parts[number] for number in numbers])
            heads = joined.shape[3]
            calls = joined.split(max(1, MOST_IN_A_CALL // heads))
            found = torch.cat([attention(*call.permute(2, 0, 3, 1, 4)) for call in calls])
            attended |= zip(numbers, found.split([len(parts[number]) for number in numbers]), strict=True)
        ordered = [attended[number] for number in range(len(parts))]
        if over == OVER_TIME:
            has_time = [n_times > 1 for n_times, *_ in self.grids]
            ordered = [
                part.transpose(0, 1) if turned else part for part, turned in zip(ordered, has_time, strict=True)
            ]
        return torch.cat([part.flatten(0, 1) for part in ordered])

    def _sequences(self, packed: torch.Tensor, over: str) -> Iterator[torch.Tensor]:
        """Of each volume (sequences, length, ...). One frame has no time: it is one sequence whatever is asked for."""
        for (n_times, *_), volume in zip(self.grids, packed.split(self.lengths), strict=True):
            if over == JOINT or n_times == 1:
                yield volume[None]
            else:
                frames = volume.unflatten(0, (n_times, -1))
                yield frames.transpose(0, 1) if over == OVER_TIME else frames

    def pool(self, packed: torch.Tensor, pools_time: bool) -> torch.Tensor:
        """Features (N, C) averaged over neighbours, and over all frames where `pools_time`."""
        pool = self.n_pooled
        if pool == 1 and not pools_time:
            return packed
        pooled = []
        for (t, x, y, z), volume in zip(self.grids, packed.split(self.lengths), strict=True):
            cells = volume.reshape(t, x // pool, pool, y // pool, pool, z // pool, pool, -1).mean(dim=(2, 4, 6))
            pooled.append((cells.mean(dim=0) if pools_time else cells).reshape(-1, packed.shape[-1]))
        return torch.cat(pooled)
