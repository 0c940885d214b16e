"""How fast the data path is, stage by stage and as a whole: what feeds a model's steps, measured without a model."""

import os
import tempfile
import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import psutil
from datasets import Dataset
from torch.utils.data import DataLoader, RandomSampler

from umbrella.files.contained_files import is_remote, open_file
from umbrella.options.arguments import DataArguments
from umbrella.rows.blank_scans import BlankScans
from umbrella.rows.collator import ConversationCollator
from umbrella.rows.transform import ConversationTransform
from umbrella.scans.scan_files import find_source, open_scan, read_file
from umbrella.scans.volumes import read_scan
from umbrella.views.loading import load_view, read_shown_series
from umbrella.views.settings import VOLUME, ViewSettings
from umbrella.views.volume_cache import VolumeCache
from umbrella_dataset import load_umbrella

PIECE_BYTES = 1 << 18  # as scans are read


def time_building(data: DataArguments) -> dict[str, float]:
    """Conversation files → Arrow rows, from scratch in a temporary folder: `rows` and `rows_per_s`."""
    with tempfile.TemporaryDirectory() as cache_dir:
        start = time.perf_counter()
        splits = load_umbrella(
            data.json_dir, image_root=data.image_root, remote_roots=data.remote_roots, cache_dir=cache_dir
        )
        seconds = time.perf_counter() - start
        n_rows = sum(splits.num_rows.values())
    return {"rows": n_rows, "rows_per_s": n_rows / seconds}


def time_scans(scans: list[dict], settings: ViewSettings, cache: VolumeCache, cold: bool) -> dict[str, float]:
    """Mean seconds a scan in each stage on one thread, and its mean size.

    Args:
        scans: `path` (or `bytes`) and `modality`.
        cold: drop each file from the system's memory before it is read.

    Returns `read`, `inflate`, `statistics`, `view`; `decoded`, their sum; `cached`, the same view from the cache;
    `file_bytes`, `cached_bytes`.
    """
    each = [_time_scan(scan, settings, cache, cold) for scan in scans]
    means = {name: sum(one[name] for one in each) / len(each) for name in each[0]}
    return means | {"decoded": sum(means[name] for name in ("read", "inflate", "statistics", "view"))}


def _time_scan(scan: dict, settings: ViewSettings, cache: VolumeCache, cold: bool) -> dict[str, float]:
    source, with_modality = find_source(scan), settings.stated() | {"modality": scan["modality"]}
    cache.load(load_view, source, **with_modality)
    if cold:
        drop_from_memory(scan)
    data, read = timed(lambda: source if isinstance(source, bytes) else read_file(source))
    # Each of these does what the one before does, and one stage more.
    _, to_inflate = timed(lambda: _inflate(data))
    given = source if settings.frames else data  # by its file alone, frames are chosen by the .bval beside it
    _, to_read = timed(lambda: _read(given, scan["modality"], settings))
    _, to_view = timed(lambda: load_view(given, **with_modality))
    _, cached = timed(lambda: cache.load(load_view, source, **with_modality))
    return {
        "read": read,
        "inflate": to_inflate,
        "statistics": max(0.0, to_read - to_inflate),
        "view": max(0.0, to_view - to_read),
        "cached": cached,
        "file_bytes": len(data),
        "cached_bytes": cache.entry_size(cache.make_key(load_view, source, **with_modality)),
    }


def _read(source: str | bytes, modality: str, settings: ViewSettings) -> None:
    """To the voxels that the view is made of, and their statistics."""
    if settings.view == VOLUME:
        read_shown_series(source, modality, settings)
    else:
        read_scan(source, modality, settings.normalize, settings.standardize)


def _inflate(data: bytes) -> None:
    with open_scan(data) as (_, stream):
        piece = bytearray(PIECE_BYTES)
        while stream.readinto(piece):
            pass


class ColdScans(ConversationTransform):
    """A transform that drops each file from the system's memory before it is read."""

    def load_images(self, row: dict, number: int) -> np.ndarray:
        drop_from_memory(row["images"][number])
        return super().load_images(row, number)


def drop_from_memory(scan: dict) -> None:
    """Let the next read of a scan's file come from its disk. (Only a clean page is dropped: a written file is clean
    after some seconds.) Of an object in a store, the copy is read as it is."""
    if scan.get("bytes") is None and not is_remote(scan["path"]):
        with open_file(scan["path"]) as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def time_texts(rows: Dataset, transform: BlankScans, collate: ConversationCollator, batch_size: int) -> dict:
    """Mean seconds a row, with scans that cost nothing: `tokenize` (the processor's image part included) and
    `collate`."""
    plain = list(rows.with_format(None))
    examples, tokenize = timed(lambda: [transform.encode_row(row) for row in plain])
    batches = [examples[start : start + batch_size] for start in range(0, len(examples), batch_size)]
    _, collating = timed(lambda: [collate(batch) for batch in batches])
    return {"tokenize": tokenize / len(plain), "collate": collating / len(plain)}


def time_loader(
    rows: Dataset,
    transform: ConversationTransform,
    collate: ConversationCollator,
    batch_size: int,
    num_workers: int,
    seconds: float,
) -> float:
    """Samples a second that a DataLoader delivers, counted for about `seconds` after its workers have started."""
    rows = rows.with_format(None)
    rows.set_transform(transform)
    endless = RandomSampler(rows, replacement=True, num_samples=1 << 30)
    batches = iter(DataLoader(rows, batch_size, sampler=endless, num_workers=num_workers, collate_fn=collate))
    for _ in range(1 + 2 * num_workers):  # what was prefetched during the start does not count
        next(batches)
    n_batches, start = 0, time.perf_counter()
    while n_batches == 0 or time.perf_counter() - start < seconds:
        next(batches)
        n_batches += 1
    return n_batches * batch_size / (time.perf_counter() - start)


def measure_memory(
    rows: Dataset,
    transform: ConversationTransform,
    collate: ConversationCollator,
    batch_size: int,
    num_workers: int,
    epochs: int,
) -> list[int]:
    """Resident bytes of this process and the DataLoader's workers after each epoch over the rows.

    What processes share is counted in each of them.
    """
    rows = rows.with_format(None)
    rows.set_transform(transform)
    loader = DataLoader(
        rows, batch_size, num_workers=num_workers, collate_fn=collate, persistent_workers=num_workers > 0
    )
    memory = []
    for _ in range(epochs):
        exhaust(loader)
        process = psutil.Process()
        memory.append(sum(one.memory_info().rss for one in (process, *process.children(recursive=True))))
    return memory


def exhaust(batches: Iterable) -> None:
    """Take all batches and keep none."""
    for _ in batches:
        pass


def timed(call: Callable) -> tuple[Any, float]:
    """(what the call returns, its seconds)."""
    start = time.perf_counter()
    result = call()
    return result, time.perf_counter() - start


def choose_workers(most: int) -> list[int]:
    """0, 1, 2, 4, ... and `most`."""
    powers = [1 << power for power in range(most.bit_length())]
    return sorted({0, *powers, most})
