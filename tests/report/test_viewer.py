"""What the page's viewer is given: the scan's own values in their places; and what the model saw of it."""

import os
import re
from pathlib import Path

import nibabel
import numpy as np
import pytest
from conversation_folder import make_record, write_scan
from families import FAMILIES
from nibabel.affines import apply_affine
from volume_rows import write_series

from umbrella.report.demo import shown_files, viewer
from umbrella.report.demo.own_folders import make_own_folder
from umbrella.report.demo.seen import find_pixels, picture_what_was_seen
from umbrella.report.demo.viewer import Overlay, find_module, make_viewer, show_scan
from umbrella.rows.transform import ConversationTransform
from umbrella.scans.volumes import ScanError
from umbrella.views.loading import load_grid, load_view

OBLIQUE = np.array([[0, -1.9, 0.4, 30], [-2.1, 0, 0.1, 40], [0.2, 0.3, 3.1, -50], [0, 0, 0, 1]])


def reorient(path):
    image = nibabel.as_closest_canonical(nibabel.load(path))
    return image.get_fdata(), image.affine


def make_row(*paths, modality="sMRI"):
    record = make_record("one", [str(path) for path in paths])
    images = [{"path": str(path), "modality": modality} for path in paths]
    return {**record, "images": images, "source": "one.json"}


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """Name → path: what NIfTI and FreeSurfer files store, each in an order of axes of its own."""
    folder, draw = tmp_path_factory.mktemp("shown"), np.random.default_rng(0)
    images = {
        "scaled.nii.gz": nibabel.Nifti1Image(draw.normal(300, 90, (7, 9, 5)).astype(np.float32), OBLIQUE),
        "free.mgz": nibabel.MGHImage(draw.normal(0, 1, (6, 8, 7)).astype(np.float32), OBLIQUE),
        "wide.nii": nibabel.Nifti1Image(draw.normal(0, 1e5, (5, 6, 7)), np.diag([-1, 2, -3, 1.0])),
        "series.nii": nibabel.Nifti1Image(draw.integers(0, 900, (5, 6, 4, 3)).astype(np.uint16), OBLIQUE),
    }
    images["scaled.nii.gz"].set_data_dtype(np.int16)
    for name, image in images.items():
        image.to_filename(folder / name)
    write_scan(folder / "plain.nii", 0)
    return {path.name: path for path in folder.iterdir()}


@pytest.mark.parametrize("name", ["scaled.nii.gz", "free.mgz", "wide.nii", "series.nii", "plain.nii"])
def test_the_browser_is_given_the_values_and_the_places_that_nibabel_reads(scans, name):
    shown = show_scan(scans[name])
    values, affine = reorient(scans[name])
    given = nibabel.load(shown["url"])
    np.testing.assert_allclose(given.get_fdata(), values, rtol=1e-6)
    np.testing.assert_allclose(given.affine, affine, atol=1e-4)
    assert shown["n_frames"] == (values.shape[3] if values.ndim == 4 else 1)
    assert (shown["name"], shown["sides_known"], shown["note"]) == (name, True, "")
    np.testing.assert_allclose([shown["least"], shown["most"]], [values.min(), values.max()], rtol=1e-6)
    np.testing.assert_allclose([shown["low"], shown["high"]], np.percentile(values, [1, 99]), rtol=1e-5)


def test_the_crosshair_starts_where_it_is_asked_to(scans):
    shown = show_scan(scans["scaled.nii.gz"], start_mm=apply_affine(reorient(scans["scaled.nii.gz"])[1], [1, 5, 3]))
    given = nibabel.load(shown["url"])
    np.testing.assert_allclose(np.multiply(shown["start"], given.shape) - 0.5, [1, 5, 3], atol=1e-4)
    assert show_scan(scans["plain.nii"])["start"] == [0.5, 0.5, 0.5]


def test_a_scan_without_an_orientation_says_so(scans, tmp_path):
    header = nibabel.Nifti1Header()
    image = nibabel.Nifti1Image(np.arange(60, dtype=np.int16).reshape(3, 4, 5), None, header)
    image.set_sform(None, 0)
    image.set_qform(None, 0)
    image.to_filename(tmp_path / "none.nii")
    with pytest.warns(UserWarning, match="orientation"):
        shown = show_scan(tmp_path / "none.nii")
    assert not shown["sides_known"]
    assert shown["note"] == "The header states no orientation: left and right are not known."


def test_what_the_loader_refuses_is_refused_with_its_sentence(tmp_path):
    (tmp_path / "page.nii.gz").write_text("<html>")
    with pytest.raises(ScanError, match="expected a NIfTI or FreeSurfer scan, found"):
        show_scan(tmp_path / "page.nii.gz")
    nibabel.Nifti1Image(np.ones((3, 3, 3), np.int16), np.eye(4)).to_filename(tmp_path / "flat.nii")
    with pytest.raises(ScanError, match="the same value"):
        show_scan(tmp_path / "flat.nii")


def test_more_than_a_browser_holds_is_thinned_and_said(scans, monkeypatch):
    monkeypatch.setattr(viewer, "MOST_SHOWN_BYTES", 2 * 5 * 6 * 4 * 2)
    shown = show_scan(scans["series.nii"])
    values, affine = reorient(scans["series.nii"])
    assert (shown["n_frames"], "Of 3 volumes 2, evenly spread, are shown" in shown["note"]) == (2, True)
    np.testing.assert_array_equal(nibabel.load(shown["url"]).get_fdata(), values[..., [0, 2]])
    monkeypatch.setattr(viewer, "MOST_SIDE", 3)
    shown = show_scan(scans["plain.nii"])
    values, affine = reorient(scans["plain.nii"])
    assert "Every voxel in 4 along each axis" in shown["note"]
    given = nibabel.load(shown["url"])
    np.testing.assert_array_equal(given.get_fdata(), values[::4, ::4, ::4])
    np.testing.assert_allclose(given.affine @ [1, 1, 1, 1], affine @ [4, 4, 4, 1], rtol=1e-6)


def test_an_overlay_keeps_its_own_scale(scans, tmp_path):
    marked = np.zeros((9, 11, 7), np.float32)
    marked[2, 3, 4], marked[5, 5, 5] = -0.5, 0.25
    nibabel.Nifti1Image(marked, np.diag([-2.0, 1.5, 3.0, 1.0])).to_filename(tmp_path / "map.nii.gz")
    both = Overlay(tmp_path / "map.nii.gz", "Looked <b>here</b>", colormap_negative="winter")
    (shown,) = show_scan(scans["plain.nii"], overlays=[both])["overlays"]
    assert (shown["name"], shown["low"], shown["high"], shown["opacity"]) == ("Looked <b>here</b>", 0.005, 0.5, 0.6)
    (shown,) = show_scan(scans["plain.nii"], overlays=[Overlay(both.path, "up", low=0.1)])["overlays"]
    assert (shown["low"], shown["high"], shown["colormap_negative"]) == (0.1, 0.25, "")


def test_shown_files_are_private_and_the_oldest_go(scans, monkeypatch):
    monkeypatch.setattr(shown_files, "MOST_FILES", 2)
    paths = [Path(show_scan(scans["plain.nii"])["url"]) for _ in range(4)]
    assert [path.exists() for path in paths] == [False, False, True, True]
    assert shown_files.find_folder().stat().st_mode & 0o077 == 0
    with pytest.raises(RuntimeError):
        shown_files.keep_file(lambda path: (_ for _ in ()).throw(RuntimeError))
    assert len(list(shown_files.find_folder().iterdir())) == 2


def test_folders_of_killed_processes_go_and_those_of_others_stay(tmp_path, monkeypatch):
    ours = make_own_folder("shown", str(tmp_path))
    dead = tmp_path / ours.name.replace(f"-{os.getpid()}-", "-4194305-")  # above any process's number
    monkeypatch.setattr("platform.node", lambda: "elsewhere")
    far = make_own_folder("shown", str(tmp_path))
    elsewhere = far.rename(tmp_path / far.name.replace(f"-{os.getpid()}-", "-4194305-"))
    monkeypatch.undo()
    dead.mkdir()
    other = make_own_folder("sent", str(tmp_path))
    assert dead.exists() and ours.exists()
    again = make_own_folder("shown", str(tmp_path))
    assert set(tmp_path.iterdir()) == {ours, elsewhere, other, again}
    assert again.stat().st_mode & 0o077 == 0


def test_the_installed_package_holds_a_widget_of_one_file():
    """Its own imports would be addresses that the page does not serve."""
    code = find_module().read_text(encoding="utf-8").rstrip()
    assert make_viewer("one").props == {}  # which Gradio forgets where it updates a part that was never opened
    assert re.search(r"export\{\w+ as default\};$", code)
    assert not re.search(r"(^|;)import[ {\"']", code[:2000])


# ------------------------------------------------------------------------------------------------ what the model saw


@pytest.mark.parametrize(
    "family, shown",
    [(name, {"standardize": False}) for name in FAMILIES if name != "volumes"]
    + [(name, {"intensity": "encoder"}) for name in ("llava_1_5", "qwen2_5_vl")],
)
def test_the_pictures_are_the_numbers_that_the_processor_hands_its_model(scans, family, shown):
    processor = FAMILIES[family]()
    row = make_row(scans["plain.nii"], scans["free.mgz"])
    transform = ConversationTransform(processor, "triplanar", **shown)
    given = np.asarray(transform.encode_row(row)["pixel_values"])
    pixels = [find_pixels(transform, row, number) for number in range(2)]
    np.testing.assert_array_equal(np.unique(np.concatenate(pixels)), np.unique(given))
    view = load_view(scans["free.mgz"], **transform.settings.stated())
    images = processor.image_processor
    view = (view - np.array(images.image_mean)[:, None, None]) / np.array(images.image_std)[:, None, None]
    assert any(p.shape == view[0].shape and np.allclose(p, view[0], atol=1e-5) for p in pixels[1])


def test_the_pictures_of_a_row_say_their_range_and_their_sides(scans):
    row = make_row(scans["plain.nii"])
    transform = ConversationTransform(FAMILIES["llava_1_5"](), "triplanar")
    seen = picture_what_was_seen(transform, row, 0)
    low, high = seen.values.min(), seen.values.max()
    assert f"Black is {low:.3g}, white {high:.3g}" in seen.html
    assert seen.html.count("data:image/png") == 3 and seen.volume is None
    assert all(f"<figcaption>{plane}</figcaption>" in seen.html for plane in ("axial", "coronal", "sagittal"))
    assert seen.html.count("L <img") == 2 and seen.html.count("P <img") == 1


def test_the_volume_that_the_model_saw_lies_where_the_head_lies(tmp_path):
    write_series(tmp_path / "series.nii", 0)
    row = make_row(tmp_path / "series.nii", modality="fMRI")
    processor = FAMILIES["volumes"]()
    transform = ConversationTransform(processor, volume_size="16x16x16", volume_spacing=8.0, frames="3")
    seen = picture_what_was_seen(transform, row, 0)
    np.testing.assert_array_equal(seen.values, load_grid(str(tmp_path / "series.nii"), "fMRI", transform.settings))
    given = nibabel.load(seen.volume["url"])
    np.testing.assert_array_equal(np.moveaxis(given.get_fdata(), -1, 0), seen.values)
    # the brighter part of every other volume, at its own millimetres in the scan and in what the model saw
    difference = given.get_fdata()[..., 0] - given.get_fdata().min()
    stored = nibabel.load(tmp_path / "series.nii")
    bright_mm = stored.affine @ [3.5, 7, 5, 1]
    found = np.round(np.linalg.inv(given.affine) @ bright_mm)[:3].astype(int)
    assert difference[tuple(found)] > 0.9 * difference.max()
    assert "3 volumes of 16 × 16 × 16 voxels of 8 mm" in seen.html
    pixels = transform.encode_row(row)["pixel_values"]
    np.testing.assert_array_equal(np.unique(np.asarray(pixels)), np.unique(seen.values))
