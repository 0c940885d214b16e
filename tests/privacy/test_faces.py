"""The face heuristic on phantoms with a face, without one, defaced and skull-stripped, and on the MNI152 brain."""

from pathlib import Path

import numpy as np
import pytest
from phantom_heads import make_head

from umbrella.privacy.faces import has_nose, shows_face

N = 12  # heads of each kind


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
