"""The cache of views: each scan is decoded once, the memory is bounded, a blank scan has no anatomy."""

import os
import tracemalloc

import numpy as np
import pytest

import umbrella.rows.transform
import umbrella.views.loading
from umbrella.models.loading import load_processor
from umbrella.rows.kept_views import CachingTransform, ViewCache
from umbrella_dataset import load_umbrella


@pytest.fixture
def rows(small_data):
    return load_umbrella(str(small_data), split="test")


def test_each_scan_is_decoded_once_for_all_transforms_that_share_the_cache(rows, monkeypatch):
    decoded, read_scan = [], umbrella.views.loading.read_scan
    monkeypatch.setattr(umbrella.views.loading, "read_scan", lambda *a: decoded.append(a[0]) or read_scan(*a))
    cache, processor = ViewCache(), load_processor("tiny")
    answers = CachingTransform(processor, cache, max_length=256)
    prompts = CachingTransform(processor, cache, max_length=256, add_generation_prompt=True)
    plain = umbrella.rows.transform.ConversationTransform(processor, max_length=256)
    cached = [transform.encode_row(row)["pixel_values"] for transform in (answers, prompts) for row in rows]
    assert sorted(decoded) == sorted({scan["path"] for images in rows["images"] for scan in images})
    assert all((a == plain.encode_row(row)["pixel_values"]).all() for a, row in zip(cached, rows, strict=False))


def test_a_blank_scan_is_its_own_background_everywhere(rows):
    processor, cache = load_processor("tiny"), ViewCache()
    transform = CachingTransform(processor, cache, max_length=256)
    seen = transform.load_images(rows[0], 0)
    blank = CachingTransform(processor, cache, change="blank", max_length=256).load_images(rows[0], 0)
    assert blank.shape == seen.shape and (blank == seen.min()).all() and seen.std() > 0
    assert (transform.load_images(rows[0], 0) == seen).all()


def test_the_longest_unused_views_go_first():
    cache = ViewCache(most_bytes=100)
    for name in "ab":
        cache.put(name, np.zeros(40, np.uint8))
    cache.get("a")
    cache.put("c", np.zeros(40, np.uint8))
    assert [cache.get(name) is not None for name in "abc"] == [True, False, True]
    assert cache.n_bytes == 80


def test_a_cache_holds_no_more_than_its_bound_whatever_the_scans_come_in(rows, monkeypatch):
    """Scans in the table itself, of 1 MB each, and views that are parts of larger arrays."""
    rng = np.random.default_rng(0)
    load = "umbrella.rows.transform.ConversationTransform.load_images"
    monkeypatch.setattr(load, lambda self, row, number: np.zeros((200, 8, 8), np.float32)[number : number + 1])
    cache = ViewCache(most_bytes=2000)
    transform = CachingTransform(load_processor("tiny"), cache)
    tracemalloc.start()
    try:
        for _ in range(20):
            scans = [{"bytes": rng.bytes(10**6), "path": None, "modality": "sMRI"}]
            transform.load_images({"images": scans}, 0)
        del scans
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 100_000
    assert cache.n_bytes == sum(views.nbytes for views in cache.views.values()) <= 2000


def test_views_that_are_put_twice_count_once_and_one_above_the_bound_is_not_kept():
    cache = ViewCache(most_bytes=100)
    for _ in range(3):
        cache.put("a", np.zeros(40, np.uint8))
    assert cache.n_bytes == 40
    cache.put("b", np.zeros(101, np.uint8))
    assert (cache.n_bytes, list(cache.views)) == (40, ["a"])


def test_a_scan_that_changes_in_the_middle_is_decoded_anew(rows, monkeypatch, tmp_path):
    path = tmp_path / "scan.nii"
    path.write_bytes(b"one")
    loaded = iter((np.zeros((1, 2)), np.ones((1, 2))))
    monkeypatch.setattr("umbrella.rows.transform.ConversationTransform.load_images", lambda *_: next(loaded))
    transform = CachingTransform(load_processor("tiny"), ViewCache())
    row = {"images": [{"path": str(path), "modality": "sMRI"}]}
    assert transform.load_images(row, 0).max() == transform.load_images(row, 0).max() == 0
    status = path.stat()
    path.write_bytes(b"two")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert transform.load_images(row, 0).max() == 1


def test_measured_heads_are_not_known_by_their_bytes(small_data):
    """Which would stay in memory, all scans of a table together."""
    from datasets import Dataset

    from umbrella.evaluation.confounds import _read_head_volumes

    path = next(small_data.rglob("*.nii.gz"))
    scan = {"path": "x.nii.gz", "modality": "sMRI", "bytes": path.read_bytes()}
    known = {}
    rows = Dataset.from_list([{"images": [scan], "source": "train/x.json"}] * 2)
    assert len(set(_read_head_volumes(rows, known))) == 1
    assert len(known) == 1 and len(repr(known)) < 200
