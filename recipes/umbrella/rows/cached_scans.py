"""Scans whose features are kept: they are not read, and stand in an example as the features themselves.

See `umbrella.models.cached_tower` for the keys of an example that then come beside `pixel_values`.
"""

from itertools import islice
from typing import NamedTuple

import numpy as np
import torch

from umbrella.conversations.turns import count_images, drop_exchanges, split_exchanges
from umbrella.models.feature_cache import SCAN_FEATURES, SCAN_KEYS, ScanFeatures, key_to_numbers
from umbrella.models.volumes.patches import POOLED_TIME


class CachedScan(NamedTuple):
    """A scan's entry: its name, None where none is to be made, and what is there."""

    key: str | None = None
    kept: ScanFeatures | None = None


def make_stand_in(shape: tuple[int, ...]) -> np.ndarray:
    """A view of nothing, of this shape, that takes no memory."""
    return torch.zeros(1).expand(shape).numpy()


def put_features(encoded: dict, scans: list[CachedScan], n_images: int, turns: list[dict]) -> dict:
    """An encoded row, with the features of those scans that have them in place of their stand-ins' pixels.

    Args:
        encoded: `input_ids`, ..., `pixel_values` and, for volumes, `image_sizes`.
        scans: of all scans of the row.
        n_images: of each scan's view.
        turns: the row's, of which the encoder may have dropped the oldest.
    """
    pixel_values, sizes = encoded.get("pixel_values"), encoded.get("image_sizes")
    if pixel_values is None:
        return encoded
    n_left = len(pixel_values) // n_images if sizes is None else len(sizes)
    scans = [scans[number] for number in find_left(turns, n_left)]
    if sizes is None:
        lengths = [n_images] * n_left
    else:  # packed patches, each a row of its voxels
        voxels = [n_frames % POOLED_TIME * x * y * z for n_frames, x, y, z in sizes.tolist()]
        lengths = [n // pixel_values.shape[1] for n in voxels]
    pixels = [part for part, scan in zip(pixel_values.split(lengths), scans, strict=True) if scan.kept is None]
    features = [scan.kept.features for scan in scans if scan.kept is not None]
    rows = [0 if scan.kept is None else len(scan.kept.features) for scan in scans]
    keys = [(*key_to_numbers(scan.key), n, n_images) for scan, n in zip(scans, rows, strict=True)]
    shown = {"pixel_values": torch.cat(pixels) if pixels else pixel_values[:0].clone()}
    kept = {SCAN_FEATURES: torch.cat(features)} if features else {}
    return encoded | shown | kept | {SCAN_KEYS: torch.tensor(keys)}


def find_left(turns: list[dict], n_left: int) -> list[int]:
    """The numbers of the `n_left` scans that are left of a row whose oldest exchanges were dropped."""
    numbers = iter(range(count_images(turns)))
    exchanges = split_exchanges([{**turn, "scans": list(islice(numbers, count_images([turn])))} for turn in turns])
    lists = ([n for turn in drop_exchanges(exchanges, i) for n in turn["scans"]] for i in range(len(exchanges)))
    return next(left for left in lists if len(left) == n_left)
