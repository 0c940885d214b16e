"""The cache of views: each scan is decoded once, the memory is bounded, a blank scan has no anatomy."""

import numpy as np
import pytest

import umbrella.transform
from umbrella.evaluation.scan_cache import CachingTransform, ViewCache
from umbrella.modeling import load_processor
from umbrella_dataset import load_umbrella


@pytest.fixture
def rows(small_data):
    return load_umbrella(str(small_data), split="test")


def test_each_scan_is_decoded_once_for_all_transforms_that_share_the_cache(rows, monkeypatch):
    decoded, read_scan = [], umbrella.transform.read_scan
    monkeypatch.setattr(umbrella.transform, "read_scan", lambda *a: decoded.append(a[0]) or read_scan(*a))
    cache, processor = ViewCache(), load_processor("tiny")
    answers = CachingTransform(processor, cache, max_length=256)
    prompts = CachingTransform(processor, cache, max_length=256, add_generation_prompt=True)
    plain = umbrella.transform.ConversationTransform(processor, max_length=256)
    cached = [transform.encode_row(row)["pixel_values"] for transform in (answers, prompts) for row in rows]
    assert sorted(decoded) == sorted({scan["path"] for images in rows["images"] for scan in images})
    assert all((a == plain.encode_row(row)["pixel_values"]).all() for a, row in zip(cached, rows, strict=False))


def test_a_blank_scan_is_its_own_background_everywhere(rows):
    transform = CachingTransform(load_processor("tiny"), ViewCache(), max_length=256)
    seen = transform.load_images(rows[0], 0)
    transform.blank = True
    blank = transform.load_images(rows[0], 0)
    assert blank.shape == seen.shape and (blank == seen.min()).all() and seen.std() > 0
    transform.blank = False
    assert (transform.load_images(rows[0], 0) == seen).all()


def test_the_longest_unused_views_go_first():
    cache = ViewCache(most_bytes=100)
    for name in "ab":
        cache.put((name,), np.zeros(40, np.uint8))
    cache.get(("a",))
    cache.put(("c",), np.zeros(40, np.uint8))
    assert [cache.get((name,)) is not None for name in "abc"] == [True, False, True]
    assert cache.n_bytes == 80
