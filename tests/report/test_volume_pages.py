"""Pages of a model for volumes: what the grid holds, its frames, and the place that a row is about."""

import json
import re

import eval
import nibabel
import numpy as np
import preview
import pytest
from page_probe import needs_chromium, probe
from volume_rows import write_series, write_series_folder

from umbrella.models.loading import load_processor
from umbrella.report.on_grid import place_on_grid
from umbrella.report.scan_roles import find_place
from umbrella.rows.transform import ConversationTransform
from umbrella.views.loading import load_grid, locate_grid
from umbrella_dataset import load_umbrella

SHOWN = ["--model_name_or_path", "tiny3d", "--volume_size", "16", "--volume_spacing", "8", "--frames", "3"]
BRIGHT_MM = [28.0, 56.0, 40.0]  # in `volume_rows`: the middle of the voxels that are brighter in every other volume


@pytest.fixture(scope="module")
def series(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages") / "data"
    return write_series_folder(folder, {"train": 2, "test": 2}, lesion_centre_mm=BRIGHT_MM)


@pytest.fixture(scope="module")
def page(series, tmp_path_factory):
    path = tmp_path_factory.mktemp("preview") / "preview.html"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["preview.py", "--json_dir", str(series), *SHOWN, "--output", str(path)])
        preview.main()
    return path


@pytest.mark.slow
def test_the_preview_shows_the_grid_its_frames_and_the_place(page):
    text = page.read_text(encoding="utf-8")
    assert "volume, 16x16x16 voxels of 8 mm, frames 3: 8 tokens, one for each cube of 64 mm over all frames" in text
    assert "12 × 14 × 10 voxels of 8.0 × 8.0 × 8.0 mm, 6 volumes, stored RAS" in text
    captions = re.findall("<figcaption>(.*?)</figcaption>", text)
    planes = ["axial", "coronal", "sagittal"]
    frames = [f"frame {n} of 3" for n in (1, 2, 3)]
    assert captions == 2 * [*(f"as trained, {plane}" for plane in planes), *planes, *frames, *planes]
    assert text.count("as trained, through the lesion") == text.count("0.0 % of the head lies beyond the grid") == 2


@pytest.mark.slow
def test_the_report_shows_the_scans_of_its_rows_as_volumes(series, call, tmp_path):
    flags = ["--split", "test", "--output_dir", tmp_path / "eval", "--bootstrap", 20, "--max_new_tokens", 2]
    shown = ["--model_name_or_path", "tiny3d", "--volume_size", "64", "--frames", "3"]
    call(eval, "--json_dir", series, *flags, *shown, "--baselines", "false")
    text = (tmp_path / "eval" / "report.html").read_text(encoding="utf-8")
    assert text.count("axial, coronal, sagittal, frame 1 of 3, frame 2 of 3, frame 3 of 3") == 2
    assert text.count('<p class="role">through the lesion</p>') == 2
    assert text.count("data:image/png") == 2 * (3 + 3 + 3)
    assert "data:image/png" not in (tmp_path / "eval" / "report_public.html").read_text(encoding="utf-8")


def test_the_planes_go_through_the_voxel_that_holds_the_place(series):
    row = load_umbrella(str(series), split="train")[0]
    transform = ConversationTransform(
        load_processor("tiny3d"), "volume", volume_size="16x16x16", volume_spacing=8.0, frames="3"
    )
    volumes = transform.load_images(row, 0)
    on_grid = place_on_grid(row, 0, transform, volumes, sides_known=True)
    assert (on_grid.place, len(on_grid.planes), on_grid.cut) == ("lesion", 3, 0)
    beyond = {**row, "metadata": {**row["metadata"], "extra": '{"lesion_centre_mm": [500, 0, 0]}'}}
    assert place_on_grid(beyond, 0, transform, volumes, sides_known=True).planes == []
    nowhere = {**row, "metadata": {**row["metadata"], "extra": "{}"}}
    assert place_on_grid(nowhere, 0, transform, volumes, sides_known=True).place == ""


def test_a_place_of_the_world_is_found_on_the_grid_for_every_orientation(tmp_path):
    """A voxel that is far brighter than all others lies in the grid's voxel that its place in mm leads to."""
    write_series(tmp_path / "scan.nii", 0, 1)
    voxels = np.asarray(nibabel.load(tmp_path / "scan.nii").dataobj)[..., 0]
    voxels[8, 3, 6] = 30_000
    turned = np.array([[0, -7.0, 0, 30], [6.0, 0, 0, -50], [0, 0, 9.0, 12], [0, 0, 0, 1]])
    for affine in (np.diag([8.0, 8, 8, 1]), np.diag([-8.0, 8, -6, 1]), turned):
        nibabel.Nifti1Image(voxels, affine).to_filename(tmp_path / "turned.nii")
        path = str(tmp_path / "turned.nii")
        settings = ConversationTransform(
            load_processor("tiny3d"), "volume", volume_size="48x48x32", volume_spacing=4.0, normalize=False
        ).settings
        (volume,) = load_grid(path, "sMRI", settings)
        grid, _ = locate_grid(path, "sMRI", settings)
        found = grid.find_voxel(affine[:3, :3] @ [8, 3, 6] + affine[:3, 3])
        brightest = np.unravel_index(volume.argmax(), volume.shape)
        assert np.abs(np.subtract(found, brightest)).max() <= 1
        assert volume[found] > 0.8 * volume.max()
        assert grid.find_voxel(affine[:3, 3] + 1000) is None


@pytest.mark.parametrize(
    "extra, expected",
    [
        ({"lesion_centre_mm": [1, 2.5, -3]}, ("lesion", (1, 2.5, -3))),
        ({"left_region_center_mm": [0.0, 0.0, 0.0]}, ("left region", (0.0, 0.0, 0.0))),
        ({"centre_mm": [1, 2, 3]}, ("target", (1, 2, 3))),
        ({"lesion_centre_mm": [1, 2]}, None),
        ({"lesion_centre_mm": "1 2 3"}, None),
        ({"lesion_centre_mm": [1, None, 3], "lesion_radius_mm": 12}, None),
        ({}, None),
    ],
)
def test_a_place_is_what_metadata_call_a_centre_in_mm(extra, expected):
    assert find_place({"metadata": {"extra": json.dumps(extra)}}) == expected
    assert find_place({"metadata": {"extra": None}}) is None


@pytest.mark.slow
@needs_chromium
@pytest.mark.parametrize("width", [1280, 375])
def test_nothing_overlaps_or_fails_in_chromium(page, width, tmp_path):
    assert probe(page, width, tmp_path) == ("[]", [])
