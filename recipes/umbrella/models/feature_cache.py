"""What a frozen vision tower makes of scans, kept on disk, so that each scan goes through the tower once.

Entries lie in a folder as `umbrella.views.volume_cache` has it, which may be the one of the views, under its lock and
bound. One is what the projector eats of one scan:

    view's shape (4 × uint32), features' shape (3 × uint32, the first 0 for a volume), number type (uint32), features

Its name is a hash of what names the scan's view and of all that decides what the tower makes of it: its weights, the
source of its classes, what prepares a view for it, the number type and the kind of device that it computes on.
"""

import inspect
import struct
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import xxhash
from torch import nn

from umbrella.views.settings import WINDOW, parse_frames
from umbrella.views.volume_cache import DEFAULT_GB, VolumeCache

HEADER = struct.Struct("<8I")
DTYPES = (torch.float32, torch.bfloat16, torch.float16, torch.float64)
LIBRARIES = ("torch", "transformers")
SCAN_KEYS, SCAN_FEATURES = "scan_keys", "scan_features"  # in a batch, for a model to which the cache is attached


class ScanFeatures(NamedTuple):
    """What the projector eats of one scan.

    view_shape  of the view that it was made of: (n_images, 3, H, W), or (T, X, Y, Z) of a volume
    features    (n_images, tokens, C), or (tokens, C) of a volume
    """

    view_shape: tuple[int, ...]
    features: torch.Tensor


class FeatureCache:
    """The entries of one tower. Without `tower`, what it is known by, nothing is there and nothing is kept.

    Safe with many workers, ranks and jobs on one folder, and bound, as `VolumeCache` is; raises as it does.
    """

    def __init__(self, folder: str | Path, most_gb: float = DEFAULT_GB) -> None:
        self.entries = VolumeCache(folder, most_gb, name="feature cache", made="computed")
        self.tower: str | None = None

    def make_key(self, load_view: Callable, source: str | Path | bytes, **options: Any) -> str | None:
        """The name of the entry for the view `load_view(source, **options)`; None for a scan that does not exist."""
        view = None if self.tower is None else self.entries.make_key(load_view, source, **options)
        return None if view is None else xxhash.xxh3_128_hexdigest(repr((view, self.tower)).encode())

    def holds(self, load_view: Callable, source: str | Path | bytes, **options: Any) -> bool:
        """Whether there is an entry, be it whole or not."""
        key = self.make_key(load_view, source, **options)
        return key is not None and self.entries.entry_size(key) > 0

    def get(self, key: str) -> ScanFeatures | None:
        """The entry; None where there is none, or none that is whole."""
        content = self.entries.read(key)
        if content is None:
            return None
        *shape, n_images, n_tokens, n_channels, dtype = HEADER.unpack_from(content)
        # A copy: torch takes no memory that is not to be written.
        flat = torch.frombuffer(bytearray(content[HEADER.size :]), dtype=DTYPES[dtype])
        features = flat.reshape(n_images or 1, n_tokens, n_channels)
        return ScanFeatures(tuple(shape), features if n_images else features[0])

    def put(self, key: str, scan: ScanFeatures) -> None:
        """Add or replace an entry."""
        if self.entries.is_writable:
            features = scan.features.detach().cpu().contiguous()
            shape = (0, *features.shape)[-3:]
            header = HEADER.pack(*scan.view_shape, *shape, DTYPES.index(features.dtype))
            self.entries.write(key, header + to_bytes(features))


def open_feature_cache(
    folder: str | None, most_gb: float = DEFAULT_GB, drawn_frames: str | None = None
) -> FeatureCache | None:
    """The cache that `--feature_cache` names; None without.

    Raises ValueError as `VolumeCache` does, and where the frames (`--frames`) that training shows are drawn anew each
    time.
    """
    if folder is not None and drawn_frames is not None and parse_frames(drawn_frames)[0] == WINDOW:
        raise ValueError(
            f"--feature_cache: expected scans that are always shown alike, found --frames {drawn_frames}, which "
            "training draws anew each time. Take --frames K, or leave --feature_cache out"
        )
    return None if folder is None else FeatureCache(folder, most_gb)


def identify_tower(tower: nn.Module, *also: Any) -> str:
    """A hash of a tower's weights and buffers, of the source of all its classes, and of what is told of it beside."""
    digest = xxhash.xxh3_128(repr((also, [version(name) for name in LIBRARIES])).encode())
    for name, tensor in tower.state_dict().items():
        if isinstance(tensor, torch.Tensor):  # quantized weights have other things beside theirs
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(to_bytes(tensor.detach().cpu().contiguous()))
    sources = {inspect.getsourcefile(type(module)) for module in tower.modules()}
    for path in sorted(filter(None, sources)) + sorted(map(str, Path(__file__).with_name("volumes").glob("*.py"))):
        digest.update(Path(path).read_bytes())
    return digest.hexdigest()


def to_bytes(tensor: torch.Tensor) -> bytes:
    """The memory of a contiguous tensor on the CPU, of any type."""
    return np.asarray(tensor.reshape(-1).view(torch.uint8)).tobytes()


def key_to_numbers(key: str | None) -> tuple[int, int]:
    """An entry's name as two signed int64, for a tensor; (0, 0) for none."""
    if key is None:
        return 0, 0
    first, second = struct.unpack(">qq", bytes.fromhex(key))
    return first, second


def numbers_to_key(first: int, second: int) -> str | None:
    """The inverse of `key_to_numbers`."""
    return struct.pack(">qq", first, second).hex() if (first, second) != (0, 0) else None
