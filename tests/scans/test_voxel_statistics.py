"""Percentiles and moments are exact for every number type: numpy in float64 is the oracle."""

import functools
import itertools

import numpy as np
import pytest

from umbrella.scans.voxel_statistics import make_statistics, voxel_statistics

TYPES = ["u1", "i1", "u2", "i2", "i4", "u4", "i8", "f4", "f8"]


@functools.cache
def draw(kind: str, n: int) -> np.ndarray:
    rng = np.random.default_rng(n)
    if kind == "mostly background":
        return np.where(rng.random(n) < 0.8, 0, rng.normal(60, 20, n))
    if kind == "runs of background":
        return np.where(np.arange(n) % 1000 < 600, 0, rng.normal(60, 20, n))
    if kind == "percentile beside the background":
        return np.where(rng.random(n) < 0.0101, 0, rng.normal(60, 20, n))
    if kind == "few different numbers":
        return rng.integers(0, 4, n).astype(float)
    return rng.normal(0, 40, n)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("n", [2, 7, 101, 70_001, 600_001])
@pytest.mark.parametrize(
    "kind",
    [
        "mostly background",
        "runs of background",
        "percentile beside the background",
        "few different numbers",
        "noise",
    ],
)
def test_voxels_percentiles_and_moments_equal_numpy(kind, n, dtype):
    numbers = draw(kind, n)
    if dtype[0] != "f":
        numbers = numbers.clip(max(np.iinfo(dtype).min, -1e6), np.iinfo(dtype).max)
    numbers = numbers.astype(dtype)
    statistics, exact = voxel_statistics(numbers), numbers.astype(np.float64)
    low, high = np.percentile(exact, [1, 99])
    clipped = exact.clip(low, high)
    assert [statistics.percentile(1), statistics.percentile(99)] == pytest.approx([low, high], rel=1e-12, abs=1e-12)
    assert statistics.moments(low, high) == pytest.approx((clipped.mean(), clipped.std()), rel=2e-6, abs=1e-5)
    assert statistics.extremes() == (exact.min(), exact.max())


@pytest.mark.parametrize("misleading", [[3, 3], [-1, 1]])
def test_voxels_sampled_wrongly_still_give_the_exact_percentile(misleading):
    """When the sample misleads, also about the background, the counts find out and every voxel is ranked."""
    numbers = draw("runs of background", 600_001).astype(np.float32)
    statistics = voxel_statistics(numbers)
    statistics.sample = np.repeat(np.float32(misleading), len(statistics.sample) // 2)
    assert statistics.percentile(50) == np.percentile(numbers.astype(np.float64), 50)


@pytest.mark.parametrize(("mean", "deviation"), [(1e6, 1), (0, 1e-22), (0, 1e19), (-3e10, 1e10), (1e-30, 1e-31)])
def test_voxels_of_float32_keep_their_moments_at_any_magnitude(mean, deviation):
    """Also with a single outlier far below numbers of a million whose spread is one."""
    numbers = (mean + np.random.default_rng(0).normal(0, deviation, 300_000)).astype(np.float32)
    numbers[0] = mean - 1000 * deviation
    exact = numbers.astype(np.float64)
    for low, high in (np.percentile(exact, [1, 99]), (exact.min(), exact.max())):
        clipped = exact.clip(low, high)
        actual = voxel_statistics(numbers).moments(low, high)
        assert actual == pytest.approx((clipped.mean(), clipped.std()), rel=2e-6, abs=2e-6 * deviation)


def test_voxels_are_counted_in_any_memory_order_and_not_changed():
    """A (3, 4, 5) volume stored in Fortran order gives what its copy in C order gives."""
    stored = np.asfortranarray(np.random.default_rng(0).integers(0, 999, (3, 4, 5)).astype(np.int16))
    before = stored.copy()
    assert voxel_statistics(stored).percentile(99) == voxel_statistics(before.copy(order="C")).percentile(99)
    np.testing.assert_array_equal(stored, before)


@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "f4"])
@pytest.mark.parametrize("n_background", [0, 64, 1003])
def test_voxels_are_the_same_in_pieces_of_any_size(dtype, n_background):
    """Pieces of all background, of none, shorter than a block, and of an odd number of voxels."""
    numbers = (draw("noise", 2001).clip(-60, 60) + 60 * (dtype == "u1")).astype(dtype)
    numbers[:n_background] = 5
    statistics, exact = make_statistics(numbers), numbers.astype(np.float64)
    for start, stop in itertools.pairwise([0, 1, 8, 40, 64, 900, 1003, 1990, 2001]):
        statistics.add(numbers[start:stop])
    assert [statistics.percentile(1), statistics.percentile(99)] == pytest.approx(np.percentile(exact, [1, 99]))
    assert statistics.extremes() == (exact.min(), exact.max())
    assert statistics.moments(*statistics.extremes()) == pytest.approx((exact.mean(), exact.std()), rel=2e-6, abs=1e-5)
