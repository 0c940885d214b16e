"""Intensities by steps against MONAI's transforms and numpy, and scans that cannot be what an encoder expects."""

import warnings

import monai.transforms as mt
import nibabel as nib
import numpy as np
import pytest
from phantom_heads import make_head

from umbrella.scans.volumes import ScanError
from umbrella.views import expectations
from umbrella.views.expectations import parse_expects
from umbrella.views.intensity_steps import apply_intensity, parse_intensity
from umbrella.views.loading import load_view

GRID = np.random.default_rng(0).gamma(2, 300, (2, 7, 8, 9)).astype(np.float32)
GRID[:, :3] = 0
SHOWN = {"modality": "fMRI", "view": "volume", "volume_size": "32x40x32", "volume_spacing": 6.0}


@pytest.fixture(autouse=True)
def warn_anew(monkeypatch):
    monkeypatch.setattr(expectations, "_warned", set())


@pytest.mark.parametrize(
    ("text", "oracle"),
    [
        ("window 100 900", mt.ScaleIntensityRange(100, 900, 0, 1, clip=True)),
        ("minmax", mt.ScaleIntensity(0, 1)),
        ("zscore", mt.NormalizeIntensity()),
        ("zscore nonzero", mt.NormalizeIntensity(nonzero=True)),
        ("percentile 0.5 99.5", mt.ScaleIntensityRangePercentiles(0.5, 99.5, 0, 1, clip=True)),
        ("mean 14x16x9", lambda grid: grid / (grid.sum() / (2 * 14 * 16 * 9))),
        ("minmax + shift 0.449 0.226", lambda grid: (grid / grid.max() - 0.449) / 0.226),
    ],
)
def test_steps_are_those_of_monai_and_numpy(text, oracle):
    found = apply_intensity(GRID, text)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, np.asarray(oracle(GRID.copy())), atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "text", ["", "window 1", "window 2 1", "percentile -1 50", "zscore some", "mean 3x4", "shift 0 0", "minmax,zscore"]
)
def test_other_texts_are_refused(text):
    with pytest.raises(ValueError, match="intensity: expected steps out of window LOW HIGH"):
        parse_intensity(text)


@pytest.mark.parametrize("text", ["minmax", "zscore", "zscore nonzero", "mean 2x2x2", "percentile 1 99"])
def test_a_grid_without_what_a_step_divides_by_is_refused(text):
    with pytest.raises(ValueError, match="within the volume's grid"):
        apply_intensity(np.zeros((1, 2, 2, 2), np.float32), text)


def save(volume, path, spacing_mm=(2.4, 2.6, 2.2), codes="RAS"):
    image = nib.Nifti1Image(np.asarray(volume, np.float32), np.diag([*spacing_mm, 1.0]))
    target = nib.orientations.axcodes2ornt(codes)
    nib.save(image.as_reoriented(nib.orientations.ornt_transform(nib.io_orientation(image.affine), target)), path)
    return path


@pytest.fixture(scope="module")
def heads(tmp_path_factory):
    """A head, and its brain alone."""
    folder = tmp_path_factory.mktemp("heads")
    return [save(make_head(1, brain_only=only)[0] * 500, folder / f"{name}.nii.gz")
            for name, only in (("head", False), ("brain", True))]  # fmt: skip


@pytest.mark.slow
def test_intensity_stands_in_place_of_percentiles_and_z_score(heads):
    plain = load_view(heads[1], normalize=False, standardize=False, **SHOWN)
    found = load_view(heads[1], intensity="zscore nonzero", **SHOWN)
    np.testing.assert_array_equal(found, apply_intensity(plain, "zscore nonzero"))
    assert found[0, 0, 0, 0] == 0  # beyond the head it is what the encoder knows as nothing


def test_a_scan_with_a_skull_is_named_once_where_none_is_expected_and_the_reverse(heads):
    for path, expected in ((heads[0], "stripped"), (heads[1], "skull")):
        with pytest.warns(UserWarning, match=rf"{path.name}: expected a head with.* its skull.* directions") as said:
            load_view(path, expects=expected, **SHOWN)
            load_view(path, expects=expected, **SHOWN)
        assert len(said) == 1 and "--expects none" in str(said[0].message)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_view(heads[1], expects="stripped", intensity="minmax", **SHOWN)
        load_view(heads[0], expects="none", **SHOWN)


def test_scans_that_cannot_be_what_an_encoder_was_trained_on_are_refused_by_name(tmp_path):
    rng = np.random.default_rng(0)
    series = save(rng.normal(size=(20, 20, 20, 3)), tmp_path / "series.nii", (9, 9, 9))
    with pytest.raises(ScanError, match=r"series.nii: expected one volume.* found a series of 3"):
        load_view(series, expects="one_volume", **SHOWN)
    slab = save(rng.normal(size=(80, 100, 10)), tmp_path / "slab.nii", (2.4, 2.4, 2.4), "SAL")
    with pytest.raises(
        ScanError, match=r"slab.nii: expected a field of view of at least 96x120x96 mm.* 192x240x24 mm"
    ):
        load_view(slab, expects="field", **SHOWN)
    coarse = save(rng.normal(size=(80, 100, 8)), tmp_path / "coarse.nii", (2.4, 2.4, 26), "PIR")
    with pytest.raises(ScanError, match=r"coarse.nii: expected voxels of at most 24 mm.* found 2.4x2.4x26 mm"):
        load_view(coarse, expects="one_volume,field", **SHOWN)
    for path in (series, slab, coarse):  # the remedy
        assert load_view(path, expects="none", **SHOWN).shape == (1, 32, 40, 32)


@pytest.mark.parametrize("text", ["", "strip", "stripped,skull", "none,field"])
def test_other_words_are_refused(text):
    with pytest.raises(ValueError, match="expects: expected some of one_volume, field"):
        parse_expects(text)
