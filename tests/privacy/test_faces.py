"""The face heuristic on phantoms with a face, without one, defaced and skull-stripped, and on the MNI152 brain."""

import dataclasses
from pathlib import Path

import numpy as np
import phantoms
import pytest

from umbrella.privacy.faces import has_nose, shows_face

N = 12  # heads of each kind


def draw_head(seed, spacing_mm):
    """A phantom's head on a grid that leaves room in front, and its points in mm from its middle."""
    rng = np.random.default_rng(seed)
    anatomy = phantoms.draw_anatomy(rng, ("female", "male")[seed % 2])
    acquisition = dataclasses.replace(phantoms.draw_acquisition(rng), offset_mm=(0.0, 0.0, 0.0))
    shape = [round(200 / spacing_mm[0]), round(270 / spacing_mm[1]), round(210 / spacing_mm[2])]
    axes = [(np.arange(n) - (n - 1) / 2) * mm for n, mm in zip(shape, spacing_mm, strict=True)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"))
    radius = np.sqrt(sum((p / a) ** 2 for p, a in zip(points, anatomy.semi_axes_mm, strict=True)))
    return anatomy, acquisition, points, radius, rng


def make_head(seed, nose=False, cut=False, brain_only=False, spacing_mm=(2.4, 2.6, 2.2)):
    anatomy, acquisition, (x, y, z), radius, rng = draw_head(seed, spacing_mm)
    image = np.where(radius < 1, 140.0, 4.0)
    brain = radius < 0.8
    image[(radius < 0.93) & ~brain] = 10.0
    image[brain] = 150.0
    if nose:
        # A wedge from the nasion down to the tip, 18 to 26 mm before the cheeks, 26 to 36 mm wide at its base.
        height, length, width = rng.uniform(40, 52), rng.uniform(18, 26), rng.uniform(13, 18)
        top = rng.uniform(-25, -10)
        below = np.clip((top - z) / height, 0, 1)
        surface = anatomy.semi_axes_mm[1] * np.sqrt(np.clip(1 - (z / anatomy.semi_axes_mm[2]) ** 2, 0.1, 1))
        reach = surface + length * below * np.clip(1 - np.abs(x) / width, 0, 1) ** 0.7
        image[(y > 0) & (y < reach) & (z < top) & (z > top - height) & (np.abs(x) < width)] = 140.0
    if cut:
        image[(y > 0.35 * anatomy.semi_axes_mm[1]) & (z < -5)] = 0.0
    if brain_only:
        image[~brain] = 0.0
        return image / 150, np.array(spacing_mm)
    noise = rng.normal(0, acquisition.noise_sd, (2, *image.shape))
    image = np.hypot(image + noise[0], noise[1]) * acquisition.gain
    return np.clip(image / np.percentile(image, 99), 0, 1), np.array(spacing_mm)


@pytest.mark.slow
def test_eleven_of_twelve_heads_with_a_nose_are_found():
    assert sum(has_nose(*make_head(seed, nose=True)) for seed in range(N)) >= 11


@pytest.mark.slow
@pytest.mark.parametrize("kind", [{}, {"nose": True, "cut": True}, {"brain_only": True}], ids=str)
def test_heads_without_a_nose_are_not_reported(kind):
    assert sum(has_nose(*make_head(seed, **kind)) for seed in range(N)) == 0


def test_voxels_too_large_for_a_face_are_not_reported():
    assert not has_nose(*make_head(0, nose=True, spacing_mm=(3.0, 3.0, 5.0)))


def test_orientation_of_the_file_does_not_matter(tmp_path):
    import nibabel

    volume, spacing_mm = make_head(3, nose=True)
    image = nibabel.Nifti1Image((volume * 1000).astype(np.int16), np.diag([*spacing_mm, 1.0]))
    for orientation in ("RAS", "LIA", "PSR"):
        turn = nibabel.orientations.ornt_transform(
            nibabel.orientations.axcodes2ornt("RAS"), nibabel.orientations.axcodes2ornt(orientation)
        )
        path = tmp_path / f"{orientation}.nii"
        image.as_reoriented(turn).to_filename(path)
        assert shows_face(path)


def test_sample_phantoms_have_no_face(small_data):
    assert not any(shows_face(path) for path in sorted(Path(small_data).glob("images/*/*.nii.gz"))[:6])


def test_mni152_brain_of_nilearn_which_has_no_skull_shows_no_face():
    nilearn = pytest.importorskip("nilearn", reason="nilearn carries the MNI152 brain")
    folder = Path(nilearn.__file__).parent / "datasets" / "data"
    assert not shows_face(folder / "mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz")
