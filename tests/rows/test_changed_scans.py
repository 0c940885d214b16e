"""What the controls do to a volume: exactly that, on a copy of the same shape."""

import numpy as np
import pytest

from umbrella.rows.changed_scans import CHANGES, find_background
from umbrella.views.settings import ViewSettings

T, X, Y, Z = 5, 4, 6, 3


@pytest.fixture
def series():
    return np.random.default_rng(0).standard_normal((T, X, Y, Z)).astype(np.float32)


def test_each_change_is_what_its_name_says(series):
    x, frames = np.arange(X), np.arange(T)
    changed = {name: change(series, "a draw", -9.5) for name, change in CHANGES.items()}
    np.testing.assert_array_equal(changed["blank"], np.full(series.shape, -9.5))
    np.testing.assert_array_equal(changed["mirrored"][:, x], series[:, X - 1 - x])
    np.testing.assert_array_equal(changed["frames_reversed"][frames], series[T - 1 - frames])
    np.testing.assert_array_equal(changed["frame_repeated"], np.stack([series[2]] * T))
    assert {"frames_shuffled", *changed} == set(CHANGES) and len(CHANGES) == 5


def test_shuffled_frames_are_all_there_in_another_order_which_the_draw_decides(series):
    orders = set()
    for draw in map(str, range(200)):
        shuffled = CHANGES["frames_shuffled"](series, draw, 0.0)
        order = tuple(int(np.flatnonzero([np.array_equal(f, frame) for f in series])[0]) for frame in shuffled)
        assert sorted(order) == list(range(T)) != list(order)
        np.testing.assert_array_equal(shuffled, CHANGES["frames_shuffled"](series, draw, 0.0))
        orders.add(order)
    assert len(orders) > 80  # of 119


@pytest.mark.parametrize("name", CHANGES)
def test_shape_and_type_stay_and_the_scan_itself_is_not_touched(name, series):
    before = series.copy()
    changed = CHANGES[name](series, "a draw", -9.5)
    assert (changed.shape, changed.dtype) == (series.shape, series.dtype)
    changed += 1
    np.testing.assert_array_equal(series, before)


@pytest.mark.parametrize("name", CHANGES)
def test_a_blank_scan_stays_blank(name):
    blank = np.full((T, X, Y, Z), -0.7, np.float32)
    np.testing.assert_array_equal(CHANGES[name](blank, "a draw", -0.7), blank)


@pytest.mark.parametrize("name", [name for name in CHANGES if name.startswith("frame")])
def test_a_scan_of_one_frame_stays_as_it_is(name, series):
    np.testing.assert_array_equal(CHANGES[name](series[:1], "a draw", -9.5), series[:1])


@pytest.mark.parametrize("name", ["mirrored", "frames_reversed"])
def test_done_twice_it_is_the_scan_again(name, series):
    np.testing.assert_array_equal(CHANGES[name](CHANGES[name](series, "", 0.0), "", 0.0), series)


def test_the_background_is_the_darkest_value_but_where_a_stripped_brain_lies_in_zeros(series):
    """A brain's own darkest voxel is below 0 under "zscore nonzero"."""
    assert find_background(series, ViewSettings(intensity="zscore nonzero")) == 0
    for settings in (ViewSettings(), ViewSettings(intensity="zscore"), ViewSettings(intensity="minmax")):
        assert find_background(series, settings) == series.min()
