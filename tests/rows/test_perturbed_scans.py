"""Perturbed scans take the way of every other scan: the same view, decoded once, and nothing of them is kept."""

import nibabel
import numpy as np
import pytest
from volume_rows import SHAPE, write_series

import umbrella.rows.perturbed_scans
from umbrella.models.loading import load_processor
from umbrella.rows.kept_views import CachingTransform, ViewCache
from umbrella.rows.perturbed_scans import PerturbedScans
from umbrella.scans.volumes import ScanError
from umbrella.views.loading import load_view
from umbrella.views.perturbation import KINDS, list_kinds
from umbrella.views.settings import ViewSettings
from umbrella.views.volume_cache import VolumeCache
from umbrella_dataset import load_umbrella

GRID = {"volume_size": "12x14x10", "volume_spacing": 8.0}
PLANES = [ViewSettings(view, 32, True, True) for view in ("axial", "triplanar", "slices:3", "montage:2")]
FRAMES = (None, "4", "window:3", "b0+2")


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """A volume of unequal, turned axes with a slope; a series of six volumes; the same with b-values."""
    folder = tmp_path_factory.mktemp("scans")
    rng = np.random.default_rng(0)
    head = (800 * (np.linalg.norm(np.indices(SHAPE).T / 6.0 - 1, axis=-1) < 0.9) + rng.normal(90, 9, SHAPE[::-1])).T
    affine = np.array([[0, 0, 9.0, -30], [-7.0, 0.4, 0, 20], [0.3, 6.0, 0, 4], [0, 0, 0, 1]])
    image = nibabel.Nifti1Image(head.astype(np.int16), affine)
    image.header.set_slope_inter(0.25, -7)
    image.to_filename(folder / "head.nii.gz")
    for name in ("series", "weighted"):
        write_series(folder / f"{name}.nii", 1)
    (folder / "weighted.bval").write_text("0 1000 1000 0 1000 1000")
    names = ("head.nii.gz", "sMRI"), ("series.nii", "fMRI"), ("weighted.nii", "dMRI")
    return {name.split(".")[0]: {"path": str(folder / name), "modality": kind} for name, kind in names}


def describe(settings):
    return f"{settings.view}-{settings.frames}"


VOLUMES = [ViewSettings("volume", None, True, True, frames=frames, **GRID) for frames in FRAMES]


@pytest.mark.parametrize("settings", [*PLANES, *VOLUMES], ids=describe)
def test_a_scan_that_is_written_anew_has_the_same_view(settings, scans):
    """Neither the header's factor nor the storage order shows, to the bit; on a volume's grid, but for rounding."""
    for name, scan in scans.items():
        if settings.frames == "b0+2" and name != "weighted":
            continue
        shown = load_view(scan["path"], scan["modality"], **settings.stated())
        perturbed = PerturbedScans(settings)
        for strength in range(3):
            for kind in ("intensity", "storage"):
                atol = 1e-5 if settings.view == "volume" else 0  # another order of the axes rounds otherwise
                np.testing.assert_allclose(perturbed.load(scan, kind, strength), shown, rtol=0, atol=atol)


@pytest.mark.slow
@pytest.mark.parametrize("settings", [PLANES[1], VOLUMES[0], VOLUMES[1]], ids=describe)
def test_each_scan_is_decoded_once_for_all_that_is_made_of_it(settings, scans, monkeypatch):
    decoded, read = [], umbrella.rows.perturbed_scans.read_shown_series
    spy = lambda *given: decoded.append(given[0]) or read(*given)  # noqa: E731
    monkeypatch.setattr(umbrella.rows.perturbed_scans, "read_shown_series", spy)
    perturbed, small = PerturbedScans(settings), PerturbedScans(settings, most_bytes=10)
    chosen = [scan for name, scan in scans.items() if name != "weighted"]
    views = {}
    for kind in list_kinds(settings.view):
        for strength in range(3):
            for scan in chosen:
                shown = load_view(scan["path"], scan["modality"], **settings.stated())
                view = views[kind, strength, scan["path"]] = perturbed.load(scan, kind, strength)
                assert (view.shape, view.dtype) == (shown.shape, np.float32)
                assert not np.array_equal(view, shown) or kind in ("intensity", "storage", "blur", "slices")
    assert decoded == [scan["path"] for scan in chosen]
    for scan in chosen:  # what no memory holds is decoded again, and is the same
        for kind in ("noise", "noise", "resolution"):
            np.testing.assert_array_equal(small.load(scan, kind, 1), views[kind, 1, scan["path"]])
    assert len(decoded) == 2 + 2 * 3


def test_variants_are_encoded_as_the_rows_that_they_are_of_and_leave_the_caches_alone(small_data, tmp_path):
    rows, processor = load_umbrella(str(small_data), split="test"), load_processor("tiny")
    kept = VolumeCache(tmp_path)
    options = {"max_length": 256, "volume_cache": kept}
    plain = CachingTransform(processor, ViewCache(), **options)
    scans = PerturbedScans(plain.settings, seed=1)
    changed = CachingTransform(processor, ViewCache(), variants_of=rows, perturb=scans.load, **options)
    variant = {"row": 3, "task_id": "a variant", "perturbation": "noise", "strength": 2}
    example, original = changed.encode_row(variant), plain.encode_row(rows[3])
    assert example["input_ids"] == original["input_ids"] and example["task_id"] == "a variant"
    assert not changed.shows_scans_as_they_are and plain.shows_scans_as_they_are
    for image, scan in zip(example["pixel_values"], rows[3]["images"], strict=True):
        np.testing.assert_array_equal(image, scans.load(scan, "noise", 2)[0])
    entries = sorted(tmp_path.rglob("*.view"))
    assert len(entries) == len({scan["path"] for scan in rows[3]["images"]})
    reworded = CachingTransform(processor, ViewCache(), variants_of=rows, **options)
    turns = [*rows[3]["conversations"][:-1], {"role": "assistant", "content": [{"type": "text", "text": "No."}]}]
    other = reworded.encode_row({"row": 3, "task_id": "b", "conversations": turns})
    np.testing.assert_array_equal(other["pixel_values"], original["pixel_values"])
    assert other["input_ids"] != original["input_ids"] and reworded.shows_scans_as_they_are


def test_a_scan_that_cannot_be_perturbed_so_is_named_with_what_was_tried(tmp_path):
    """One voxel alone is bright: halved, no percentile can tell it from the others."""
    voxels = np.zeros((12, 12, 12), np.float32)
    voxels.ravel()[::40] = np.arange(44)
    nibabel.Nifti1Image(voxels, np.eye(4)).to_filename(tmp_path / "few.nii")
    settings = ViewSettings("slices:9", 16, True, True)
    scan = {"path": str(tmp_path / "few.nii"), "modality": "sMRI"}
    assert load_view(scan["path"], **settings.stated()).shape == (9, 3, 16, 16)
    with pytest.raises(ScanError, match=r"few\.nii, perturbed by resolution halved 1 axis: .*only 6 of"):
        PerturbedScans(settings).load(scan, "resolution", 0)
    assert set(KINDS) == set(list_kinds(settings.view))
