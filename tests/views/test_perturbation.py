"""Perturbed scans: each change is what physics and other libraries say, in mm and degrees whatever the voxels."""

import nibabel
import numpy as np
import pytest
from nibabel.affines import apply_affine, from_matvec, voxel_sizes
from scipy import ndimage, stats
from scipy.spatial.transform import Rotation

from umbrella.views.perturbation import (
    KINDS,
    ORDERS,
    Frames,
    add_noise,
    list_kinds,
    make_bias_field,
    perturb,
    rotate,
    shift,
)

SHAPE = (22, 26, 18)
TURNED = Rotation.from_euler("xyz", [8, -5, 11], degrees=True).as_matrix()
OBLIQUE = from_matvec(TURNED @ np.diag([3.0, 2.0, 4.0]), [-31.0, 12.0, 5.0])


def make_frames(values, affine=OBLIQUE, slope=1.0, inter=0.0, view="axial"):
    values = np.asarray(values)
    low, high = np.percentile(values, [1, 99])
    return Frames(values, affine, slope, inter, float(abs(slope) * (high - low)), view)


def middle_mm(frames):
    return apply_affine(frames.affine, (np.array(frames.stored.shape[1:]) - 1) / 2)


def centre_mm(frames):
    """Where the brightness lies, in mm."""
    return apply_affine(frames.affine, ndimage.center_of_mass(frames.values()[0]))


def make_blob(place_mm, width_mm=5.0):
    """A bright ball at a place in mm from the middle, 0 elsewhere."""
    voxels = np.moveaxis(np.indices(SHAPE), 0, -1)
    frames = make_frames(np.zeros((1, *SHAPE), np.float32))
    from_middle = apply_affine(OBLIQUE, voxels) - middle_mm(frames)
    squared = ((from_middle - place_mm) ** 2).sum(axis=-1)
    return make_frames(1000 * np.exp(-squared / (2 * width_mm**2))[None].astype(np.float32))


@pytest.fixture(scope="module")
def head():
    """A ball in noise, whole numbers with a slope, brighter on its right, in front and above."""
    rng = np.random.default_rng(0)
    places = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in SHAPE), indexing="ij"))
    ball = 800 * ((places**2).sum(axis=0) < 0.7) + rng.normal(60, 10, SHAPE)
    ball[15:17, 17:19, 12:14] += 9000
    return make_frames(ball.clip(0).astype(np.int16)[None], slope=0.5, inter=3.0)


# ------------------------------------------------------------------------------------------------ each kind


@pytest.mark.parametrize(("level", "law"), [(0.0, "rice"), (30.0, "rice"), (-30.0, "norm")])
def test_noise_is_rician_of_magnitudes_and_gaussian_where_values_lie_below_0(level, law):
    noisy = add_noise(np.full((1, 20, 20, 20), level, np.float32), np.float32(12), np.random.default_rng(1))
    expected = stats.rice(abs(level) / 12, scale=12) if law == "rice" else stats.norm(level, 12)
    assert stats.kstest(noisy.ravel(), expected.cdf).pvalue > 0.01


def test_the_deviation_of_the_noise_is_in_per_cent_of_the_span_and_frames_have_their_own():
    values = np.linspace(1000, 3000, 2 * 4096, dtype=np.float32).reshape(2, 16, 16, 16)
    for strength, share in enumerate((0.01, 0.03, 0.09)):
        noise = perturb(make_frames(values), "noise", strength, 0).stored - values
        assert noise.std() == pytest.approx(share * 0.98 * 2000, rel=0.03)
        assert abs(np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1]) < 0.05


def test_a_bias_field_is_a_polynomial_of_degree_3_over_its_whole_range():
    field = make_bias_field(SHAPE, 0.4, np.random.default_rng(2))
    assert (field.min(), field.max()) == (pytest.approx(0.8), pytest.approx(1.2))
    for axis in range(3):
        assert np.abs(np.diff(field, 4, axis=axis)).max() < 1e-10 < np.abs(np.diff(field, 2, axis=axis)).max()


def test_a_blur_is_as_wide_in_mm_along_each_axis():
    point = np.zeros((1, *SHAPE), np.float32)
    point[0, 11, 13, 9] = 1e6
    for strength, width_mm in enumerate((1, 2, 4)):
        blurred = perturb(make_frames(point), "blur", strength, 0).stored[0]
        for axis, zoom in enumerate(voxel_sizes(OBLIQUE)):
            profile = blurred.sum(axis=tuple({0, 1, 2} - {axis}))
            exact = ndimage.gaussian_filter1d(point[0].sum(axis=tuple({0, 1, 2} - {axis})), width_mm / 2.3548 / zoom)
            np.testing.assert_allclose(profile, exact, atol=100)  # of a million


@pytest.mark.parametrize(("view", "axes"), [("axial", (2,)), ("sagittal", (0,)), ("triplanar", (0, 1, 2))])
def test_other_slices_are_those_beside_across_the_axes_that_the_view_cuts(view, axes, head):
    frames = make_frames(head.stored, view=view)
    for strength, count in enumerate((1, 2, 3)):
        moved = perturb(frames, "slices", strength, 0).stored[0]
        ways = [(-count, count) if axis in axes else (0,) for axis in range(3)]
        inner = tuple(slice(3, -3) for _ in range(3))
        same = [
            np.array_equal(moved[inner], np.roll(frames.stored[0], steps, (0, 1, 2))[inner])
            for steps in np.stack(np.meshgrid(*ways), -1).reshape(-1, 3)
        ]
        assert same.count(True) == 1


def test_a_shift_is_scipys_linear_one_and_true_in_mm():
    rng = np.random.default_rng(3)
    values = rng.normal(100, 20, (2, *SHAPE)).astype(np.float32)
    for steps in ([0.3, -1.7, 0.0], [2.0, 0.25, -0.5]):
        expected = [ndimage.shift(v, steps, order=1, mode="grid-constant", cval=values.min()) for v in values]
        np.testing.assert_allclose(shift(values, np.array(steps)), expected, atol=1e-3)
    blob = make_blob([4.0, -6.0, 3.0])
    moves = [centre_mm(perturb(blob, "shift", i, 0)) - centre_mm(blob) for i in range(3)]
    assert [np.linalg.norm(move) for move in moves] == pytest.approx([0.5, 1, 2], rel=0.02)
    np.testing.assert_allclose(moves[0] * 4, moves[2], atol=0.05)  # all strengths in one direction


def test_a_rotation_turns_by_its_degrees_about_the_middle_in_mm():
    place = np.array([6.0, -9.0, 8.0])
    blob, axis = make_blob(place), np.array([1.0, 2.0, -0.5])
    rotation = Rotation.from_rotvec(np.radians(20) * axis / np.linalg.norm(axis)).as_matrix()
    np.testing.assert_allclose(centre_mm(rotate(blob, rotation)) - middle_mm(blob), rotation @ place, atol=0.1)
    turned = [rotate(blob, Rotation.from_rotvec([0, 0, np.radians(a)]).as_matrix()) for a in (0, 1)]
    np.testing.assert_array_equal(turned[0].stored, blob.stored)
    assert centre_mm(turned[1])[0] > centre_mm(blob)[0]  # anticlockwise about Z: what lies behind goes to the right
    moved = np.linalg.norm(centre_mm(perturb(blob, "rotation", 2, 0)) - centre_mm(blob))
    assert 0 < moved <= np.linalg.norm(place) * np.radians(5) * 1.02


def test_rotation_equals_simpleitks_resampling(head):
    import SimpleITK

    rotation = Rotation.from_rotvec([0.05, -0.08, 0.03]).as_matrix()
    values, zooms, flip = head.values()[0], voxel_sizes(OBLIQUE), np.diag([-1.0, -1.0, 1.0])
    image = SimpleITK.GetImageFromArray(np.ascontiguousarray(values.T, np.float64))
    image.SetSpacing(zooms.tolist())
    image.SetDirection((flip @ OBLIQUE[:3, :3] / zooms).ravel().tolist())
    image.SetOrigin((flip @ OBLIQUE[:3, 3]).tolist())
    transform = SimpleITK.AffineTransform(3)
    transform.SetMatrix((flip @ rotation.T @ flip).ravel().tolist())
    transform.SetCenter((flip @ middle_mm(head)).tolist())
    turned = SimpleITK.Resample(image, image, transform, SimpleITK.sitkLinear, float(values.min()))
    inner = (slice(3, -3),) * 3
    expected = SimpleITK.GetArrayFromImage(turned).T[inner]
    np.testing.assert_allclose(rotate(head, rotation).stored[0][inner], expected, rtol=1e-4, atol=0.1)


def test_halved_resolution_is_the_mean_of_neighbours_at_their_place(head):
    values = head.values()
    for strength, (factors, shape) in enumerate([((1, 1, 2), (22, 26, 9)), ((2, 2, 1), (11, 13, 18))]):
        halved = perturb(head, "resolution", strength, 0)
        assert halved.stored.shape == (1, *shape)
        blocks = values.reshape(11, 22 // 11, 13, 2, 9, 2).mean(axis=(1, 3, 5), dtype=np.float64)
        again = halved.stored[0].reshape(11, shape[0] // 11, 13, shape[1] // 13, 9, shape[2] // 9).mean(axis=(1, 3, 5))
        np.testing.assert_allclose(again, blocks, rtol=1e-5)
        np.testing.assert_allclose(centre_mm(halved), centre_mm(head), atol=1e-3)
        np.testing.assert_allclose(voxel_sizes(halved.affine), voxel_sizes(OBLIQUE) * factors)
    odd = perturb(make_frames(np.arange(75.0).reshape(1, 5, 3, 5)), "resolution", 2, 0)
    assert odd.stored.shape == (1, 3, 2, 3) and odd.stored[0, 2, 1, 2] == 74


def test_another_storage_order_is_the_same_scan_for_nibabel(head):
    for strength, order in enumerate(ORDERS):
        image = nibabel.Nifti2Image.from_bytes(perturb(head, "storage", strength, 0).to_bytes())
        assert "".join(nibabel.aff2axcodes(image.affine)) == order
        back = nibabel.as_closest_canonical(image)
        np.testing.assert_allclose(back.affine, head.affine, atol=1e-9)
        np.testing.assert_array_equal(back.get_fdata(), 0.5 * head.stored[0] + 3)


def test_the_intensity_is_scaled_by_the_header(head):
    for strength, factor in enumerate((0.5, 2, 10)):
        image = nibabel.Nifti2Image.from_bytes(perturb(head, "intensity", strength, 0).to_bytes())
        np.testing.assert_allclose(image.get_fdata(), factor * (0.5 * head.stored[0] + 3))


# ------------------------------------------------------------------------------------------------ all kinds


def test_a_series_is_written_frame_by_frame_as_nibabel_reads_it():
    series = np.random.default_rng(4).normal(50, 9, (3, 5, 6, 4)).astype(np.float32)
    image = nibabel.Nifti2Image.from_bytes(make_frames(series).to_bytes())
    np.testing.assert_array_equal(np.moveaxis(image.get_fdata(dtype=np.float32), -1, 0), series)
    np.testing.assert_array_equal(image.affine, OBLIQUE)


@pytest.mark.parametrize("kind", KINDS)
def test_a_mark_on_the_right_in_front_above_stays_there_and_the_scan_is_not_touched(kind, head):
    before = head.stored.copy()
    place = apply_affine(OBLIQUE, [15.5, 17.5, 12.5])
    for strength in range(3):
        changed = perturb(head, kind, strength, 0)
        brightest = np.unravel_index(changed.values()[0].argmax(), changed.stored.shape[1:])
        assert np.linalg.norm(apply_affine(changed.affine, brightest) - place) < 16  # 3 slices of 4 mm and a voxel
    np.testing.assert_array_equal(head.stored, before)


@pytest.mark.parametrize("kind", ["noise", "bias", "slices", "shift", "rotation"])
def test_what_is_drawn_depends_on_the_seed_and_the_voxels_alone(kind, head):
    first, again, other = (perturb(head, kind, 2, seed).stored for seed in (0, 0, 5))
    np.testing.assert_array_equal(first, again)
    assert kind == "slices" or not np.array_equal(first, other)
    draws = {tuple(perturb(head, kind, 2, seed).stored[0, :, 9, 9].round(3)) for seed in range(6)}
    assert len(draws) > 1


def test_values_that_float32_cannot_tell_apart_are_changed_in_float64():
    values = 1e9 + np.random.default_rng(5).uniform(0, 1, (1, 9, 9, 9))
    noisy = perturb(make_frames(values), "noise", 0, 0).stored
    assert noisy.dtype == np.float64 and (noisy - values).std() == pytest.approx(0.0098, rel=0.1)


def test_a_volume_has_no_other_slices():
    assert set(list_kinds("axial")) - set(list_kinds("volume")) == {"slices"} and len(KINDS) == 9
