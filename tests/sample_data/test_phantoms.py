"""The head phantoms: one head is one head however it is stored, and what is drawn can be measured."""

from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
from phantoms import (
    FIELD_OF_VIEW_MM,
    GRID_SHAPE,
    LABELS,
    ORIENTATIONS,
    SPACING_MM,
    Acquisition,
    draw_acquisition,
    draw_anatomy,
    make_labels,
    make_scan,
    write_scan,
)

UPRIGHT = Acquisition((0.0, 0.0, 0.0), (0.0, 0.0, 0.0), 1.0, (0.0, 0.0, 0.0), 2.0, 7, "RAS")


def anatomy(size: float = 0.15, seed: int = 0):
    return replace(draw_anatomy(np.random.default_rng(seed), "female"), ventricle_size=size, bumps=(0.0,) * 5)


@pytest.fixture(scope="module")
def scan() -> np.ndarray:
    return make_scan(anatomy(), UPRIGHT)


@pytest.mark.slow
def test_one_head_is_the_same_head_in_every_storage_orientation(tmp_path, scan):
    """Only the storage differs: read back as RAS+, voxels and affine are equal bit for bit."""
    stored_shapes = set()
    for orientation in ORIENTATIONS:
        path = tmp_path / f"{orientation}.nii.gz"
        write_scan(path, scan, orientation)
        image = nib.load(path)
        assert nib.aff2axcodes(image.affine) == tuple(orientation)
        assert image.get_data_dtype() == np.int16
        stored_shapes.add(image.shape)
        canonical = nib.as_closest_canonical(image)
        np.testing.assert_array_equal(np.asarray(canonical.dataobj), scan)
        np.testing.assert_allclose(canonical.header.get_zooms(), SPACING_MM, rtol=1e-6)
        np.testing.assert_allclose(canonical.affine @ [31.5, 39.5, 29.5, 1], [0, 0, 0, 1], atol=1e-4)
    assert len(stored_shapes) > 2


def test_the_scans_axes_are_right_anterior_superior():
    """A head moved 9 mm to the right, 14 mm forward and 17 mm up is found 3, 5 and 5 voxels further on each axis."""
    here = make_labels(anatomy(), UPRIGHT)
    there = make_labels(anatomy(), replace(UPRIGHT, offset_mm=(9.0, 14.0, 17.0)))
    np.testing.assert_array_equal(there[3:, 5:, 5:], here[:-3, :-5, :-5])


def test_a_rotation_about_z_turns_the_front_to_the_left():
    """Positive angles are right-handed: turned by 6° about Superior, the longer
    axis of the head leans to the left in front (covariance of a uniform ellipse)."""
    turned = make_labels(anatomy(), replace(UPRIGHT, rotation_deg=(0.0, 0.0, 6.0))) > 0
    x_mm, y_mm = (np.argwhere(turned[:, :, 30]) * SPACING_MM[:2]).T
    a, b, _ = anatomy().semi_axes_mm
    expected = -(b**2 - a**2) / 4 * np.sin(np.deg2rad(6)) * np.cos(np.deg2rad(6))
    assert np.cov(x_mm, y_mm)[0, 1] == pytest.approx(expected, rel=0.15)


def test_bytes_do_not_depend_on_time_or_file_name(tmp_path, scan, monkeypatch):
    write_scan(tmp_path / "a.nii.gz", scan, "LIA")
    monkeypatch.setattr("time.time", lambda: 1.0)
    write_scan(tmp_path / "b.nii.gz", scan, "LIA")
    data = (tmp_path / "a.nii.gz").read_bytes()
    assert data == (tmp_path / "b.nii.gz").read_bytes()
    assert data[3] == 0  # no file name in the gzip header
    assert data[4:8] == bytes(4)  # no time


@pytest.mark.parametrize("size", [0.02, 0.08, 0.16, 0.30])
def test_the_ventricle_size_is_the_share_of_the_middle_section(size):
    """Measured in the labelled phantom: ventricles over head in the middle axial slice, within 0.012."""
    middle = make_labels(anatomy(size), UPRIGHT)[:, :, GRID_SHAPE[2] // 2]
    assert (middle == LABELS["ventricles"]).sum() / (middle > 0).sum() == pytest.approx(size, abs=0.012)


def test_the_drawn_head_size_is_measurable():
    """The labelled head has the volume of the ellipsoid that was drawn, within 2 %."""
    head = anatomy(seed=3)
    volume_mm3 = (make_labels(head, UPRIGHT) > 0).sum() * np.prod(SPACING_MM)
    assert volume_mm3 == pytest.approx(4 / 3 * np.pi * np.prod(head.semi_axes_mm), rel=0.02)


def test_tissues_lie_inside_one_another():
    """From the border to the middle along +X: background, scalp, skull, CSF, grey matter, white matter, ventricle."""
    ray = make_labels(anatomy(), UPRIGHT)[:31, 40, 30]
    order = list(dict.fromkeys(ray.tolist()))
    names = ("background", "scalp", "skull", "csf", "grey", "white", "ventricles")
    assert order[:7] == [LABELS[name] for name in names]


def test_ventricles_are_dark_in_bright_white_matter(scan):
    labels = make_labels(anatomy(), UPRIGHT)
    ventricles, white = scan[labels == LABELS["ventricles"]], scan[labels == LABELS["white"]]
    assert ventricles.mean() < 0.4 * white.mean()


def test_head_sizes_overlap_between_the_sexes_and_differ_on_average():
    rng = np.random.default_rng(0)
    size = {
        sex: np.array([np.prod(draw_anatomy(rng, sex).semi_axes_mm) ** (1 / 3) for _ in range(200)])
        for sex in ("female", "male")
    }
    assert size["male"].mean() > 1.05 * size["female"].mean()
    assert size["female"].max() > np.quantile(size["male"], 0.05)
    assert size["male"].min() < np.quantile(size["female"], 0.95)


def test_every_head_fits_into_the_field_of_view():
    """No head of 20 touches the border, so its size can be seen."""
    rng = np.random.default_rng(1)
    for _ in range(20):
        head = make_labels(draw_anatomy(rng, "male"), draw_acquisition(rng)) > 0
        assert not any(head.take(edge, axis).any() for axis in range(3) for edge in (0, -1))
    np.testing.assert_allclose(FIELD_OF_VIEW_MM, (192, 224, 204))


def test_gain_bias_and_noise_belong_to_the_scan_not_to_the_head():
    """Two acquisitions of one head in one pose: other intensities, the same tissues."""
    other = replace(UPRIGHT, gain=0.5, bias=(0.1, -0.1, 0.1), noise_seed=8)
    assert not np.array_equal(make_scan(anatomy(), UPRIGHT), make_scan(anatomy(), other))
    np.testing.assert_array_equal(make_labels(anatomy(), UPRIGHT), make_labels(anatomy(), other))
