"""Where slices lie: steps, gaps and repeats against a brute-force reading of the positions that were drawn."""

from itertools import pairwise

import numpy as np
import pytest
from dicom_files import make_affine
from hypothesis import assume, given
from hypothesis import strategies as st
from properties import examples

from umbrella.scans.slice_places import count_repeats, find_bend, find_gap, is_same_orientation

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def place(offsets, angles_deg=(0.0, 0.0, 0.0), tilt_deg=0.0, seed=None):
    """Positions (n, 3) and an orientation of slices at those heights of a turned stack, as 16 characters say them."""
    turn = make_affine((1, 1, 1), (0, 0, 0), angles_deg)[:3, :3]
    along = turn @ np.array([0.0, np.tan(np.radians(tilt_deg)), 1.0])
    positions = np.array([-110.0, 95.5, 7.25]) + np.outer(np.asarray(offsets, dtype=float), along)
    if seed is not None:
        positions = np.random.default_rng(seed).permutation(positions)
    return [tuple(float(f"{x:.9f}") for x in position) for position in positions], tuple(turn[:, :2].T.ravel())


STEPS = st.sampled_from((0.5, 0.9375, 1.0, 3.0, 6.6))
ANGLES = st.tuples(*[st.integers(-45, 45)] * 3)


@examples(60)
@given(
    STEPS, st.integers(5, 40), st.sets(st.integers(1, 38), max_size=6), ANGLES, st.integers(-25, 25), st.integers(0, 9)
)
def test_missing_slices_are_counted_wherever_they_lie_and_however_the_stack_is_turned(
    step, n, lost, angles, tilt, seed
):
    kept = [i for i in range(n) if i not in lost or i == n - 1]
    jumps = [after - before for before, after in pairwise(kept)]
    assume(2 * jumps.count(1) > len(jumps))  # most slices tell the step
    positions, orientation = place(np.array(kept) * step, angles, tilt, seed)
    gap = find_gap(positions, orientation)
    assert find_bend(positions, orientation) is None and count_repeats(positions, orientation) == (1,) * len(kept)
    if len(kept) == n:
        assert gap is None
        return
    assert gap.step_mm == pytest.approx(step, abs=1e-6) and gap.n_slices == len(kept)
    assert gap.n_missing == n - len(kept)
    expected = [(i, jump * step) for i, jump in enumerate(jumps, 1) if jump > 1]
    assert [after for after, _ in gap.found] == [after for after, _ in expected]
    assert [mm for _, mm in gap.found] == pytest.approx([mm for _, mm in expected], abs=1e-6)


def test_most_second_slices_missing_are_missing_not_uneven():
    positions, orientation = place([0, 3, 6, 12, 18, 24, 30, 36])
    gap = find_gap(positions, orientation)
    assert (gap.step_mm, gap.n_missing) == (3.0, 5)


@pytest.mark.parametrize("offsets", ([0, 3, 6, 10.1, 13.1, 16.1], [0, 3, 6, 9, 13.5, 18], [0, 1, 2.5, 4.5, 7]))
def test_steps_that_are_no_multiples_of_one_are_uneven(offsets):
    gap = find_gap(*place(offsets, (10, 20, -5), seed=1))
    assert gap is not None and gap.n_missing == 0


@pytest.mark.parametrize("step", (0.3, 0.5, 1.0, 3.0))
def test_positions_in_hundredths_of_a_millimetre_are_even(step):
    """Some makers write no more."""
    positions, orientation = place(np.arange(200) * step, (7, -13, 21))
    positions = [tuple(round(x, 2) for x in position) for position in positions]
    assert find_gap(positions, orientation) is None and find_bend(positions, orientation) is None


def test_repeats_are_counted_at_each_place():
    offsets = np.concatenate([np.arange(8) * 2.5] * 3)
    positions, orientation = place(np.delete(offsets, 11), (30, 0, 0), seed=3)
    assert count_repeats(positions, orientation) == (3, 3, 3, 2, 3, 3, 3, 3)
    assert find_gap(positions, orientation) is None


def test_slices_beside_the_line_of_the_others_are_measured():
    positions = [(0.0, 0.0, 3.0 * z) for z in range(10)]
    positions[4] = (0.0, 1.5, 12.0)
    assert find_gap(positions, AXIAL) is None
    assert find_bend(positions, AXIAL) == pytest.approx(1.5)


def test_orientations_are_the_same_but_for_rounding():
    turned = tuple(make_affine((1, 1, 1), (0, 0, 0), (0.02, 0, 0))[:3, :2].T.ravel())
    assert is_same_orientation(AXIAL, turned) and is_same_orientation(AXIAL, AXIAL)
    other = tuple(make_affine((1, 1, 1), (0, 0, 0), (0.5, 0, 0))[:3, :2].T.ravel())
    assert not is_same_orientation(AXIAL, other) and not is_same_orientation(AXIAL, ())
