"""What is said of whole volumes before training: short series, b-values, heads that the grid cuts."""

import re
import time
from dataclasses import replace

import nibabel
import numpy as np
import pytest
from datasets import Dataset

from umbrella.planning import volume_checks
from umbrella.planning.volume_checks import check_volumes
from umbrella.views.settings import ViewSettings


def save_series(path, n_volumes, shape=(10, 12, 8)):
    voxels = np.random.default_rng(0).integers(1, 100, (*shape, n_volumes)).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(voxels, np.diag([2.0, 2, 2, 1])), path)
    return str(path)


def save_head(path, size_mm):
    """A block of tissue in a field of view of 256 mm."""
    head, half = np.zeros((64, 64, 64), np.int16), [round(mm / 8) for mm in size_mm]
    inside = tuple(slice(32 - n, 32 + n) for n in half)
    head[inside] = np.random.default_rng(0).integers(500, 900, head[inside].shape)
    nibabel.save(nibabel.Nifti1Image(head, np.diag([4.0, 4, 4, 1])), path)
    return str(path)


def make_rows(paths, modality="dMRI"):
    images = [[{"path": path, "modality": modality, "bytes": None}] for path in paths]
    return {"train": Dataset.from_dict({"images": images, "source": [f"train/{i}.json" for i in range(len(paths))]})}


def settings(frames=None, size="8x8x8"):
    return ViewSettings("volume", None, True, True, size, 2.0, frames)


def test_all_series_that_are_too_short_are_named_and_the_remedy_works(tmp_path):
    rows = make_rows([save_series(tmp_path / f"{n}.nii", n) for n in (6, 3, 1, 2)], "fMRI")
    with pytest.raises(SystemExit) as stop:
        check_volumes(rows, settings("4"))
    lines = str(stop.value).splitlines()
    assert lines[0] == "error: --frames 4: 2 scans do not have them:" and len(lines) == 3
    assert re.match(r"  train/1\.json: \S*/3\.nii: expected a series of at least 4 volumes.* found 3", lines[1])
    check_volumes(rows, settings("2"))


def test_what_is_found_of_b_values_is_said(tmp_path, capsys):
    rows = make_rows([save_series(tmp_path / f"{n}.nii", n) for n in (6, 5, 4)])
    (tmp_path / "6.bval").write_text("0 1000 1000 1000 1000 1000")
    (tmp_path / "5.bval").write_text("0 5 1000 1000 1000")
    check_volumes(rows, settings("3", "16x16x16"))
    assert capsys.readouterr().out.splitlines() == [
        "frames 3: 2 series with a .bval, 3 to 5 weighted volumes and 1 to 2 b0",
        "frames 3: 1 dMRI series without a .bval, all of their volumes count alike",
    ]
    (tmp_path / "5.bval").write_text("0 5 1000")
    with pytest.raises(SystemExit, match=r"5\.bval: expected a b-value .* found 3"):
        check_volumes(rows, settings("3", "16x16x16"))


def test_a_head_that_the_grid_cuts_is_warned_of_with_a_size_that_holds_it(tmp_path, capsys):
    sizes = {"small": (80, 80, 64), "wide": (160, 80, 64), "long": (80, 160, 80)}
    rows = make_rows([save_head(tmp_path / f"{name}.nii", size) for name, size in sizes.items()], "sMRI")
    check_volumes(rows, settings(size="48x48x48"))
    warning = capsys.readouterr().out
    start = "warning: 2 of 3 scans looked at lose more than 2 % of the head, which lies beyond the grid: "
    assert warning.startswith(start) and re.search(r"(wide|long)\.nii 40\.\d %, (wide|long)\.nii 40\.\d %", warning)
    advised = re.search(r"--volume_size (\S+) would hold it", warning)[1]
    assert advised == "96x96x48"
    check_volumes(rows, settings(size=advised))
    assert capsys.readouterr().out == ""


def test_at_most_sixteen_scans_are_looked_at_and_for_a_while_only(tmp_path, monkeypatch):
    path = save_head(tmp_path / "scan.nii", (80, 80, 64))
    looked_at, measure = [], volume_checks.measure_cut
    monkeypatch.setattr(volume_checks, "measure_cut", lambda *scan: looked_at.append(scan) or measure(*scan))
    scans = [(f"train/{i}.json", {"path": path, "modality": "sMRI", "bytes": None}) for i in range(100)]
    volume_checks.warn_of_cuts(scans, settings())
    assert len(looked_at) == 16
    monkeypatch.setattr(volume_checks, "measure_cut", lambda *scan: time.sleep(0.02) or measure(*scan))
    monkeypatch.setattr(volume_checks, "MOST_SECONDS", 0.01)
    assert volume_checks.warn_of_cuts(scans, settings()).startswith("warning: 1 of 1 scans looked at")


def test_all_scans_that_the_encoder_does_not_expect_are_named_before_training_and_can_be_overruled(tmp_path, capsys):
    rows = make_rows([save_series(tmp_path / f"{n}.nii", n) for n in (6, 1, 3)], "fMRI")
    with pytest.raises(SystemExit) as stop:
        check_volumes(rows, replace(settings(), expects="one_volume"))
    lines = str(stop.value).splitlines()
    assert lines[0] == "error: 2 scans are not as the encoder expects:" and len(lines) == 3
    assert re.match(
        r"  train/0\.json: \S*/6\.nii: expected one volume.* found a series of 6.*--expects none", lines[1]
    )
    for expects in ("none", None, "stripped"):
        check_volumes(rows, replace(settings(), expects=expects))


def test_views_of_pictures_are_not_looked_at(tmp_path, capsys):
    check_volumes(make_rows([str(tmp_path / "no such scan.nii")]), ViewSettings("axial", 224, True, True))
    assert capsys.readouterr().out == ""


def test_of_very_many_scans_as_many_are_looked_at_evenly_spaced_and_this_is_said(monkeypatch, capsys):
    monkeypatch.setattr(volume_checks, "MOST_OPENED", 3)
    found = volume_checks.list_distinct(make_rows(["a", "b", "a", "c", "d", "e"]))
    assert [(source, scan["path"]) for source, scan in found] == [
        ("train/0.json", "a"),
        ("train/3.json", "c"),
        ("train/5.json", "e"),
    ]
    assert capsys.readouterr().out == "volumes: 3 of 5 scans, evenly spaced, are looked at\n"
