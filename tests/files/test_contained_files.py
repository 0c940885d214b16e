"""No scan outside the folder that a row is held to is read, whatever becomes of links after the rows were made."""

import contextlib
import os
import random
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest
from conversation_folder import make_record
from test_umbrella_dataset import _write

import umbrella_dataset
from umbrella.evaluation.confounds import _read_head_volumes
from umbrella.files.contained_files import open_file
from umbrella.files.data_format import ROOT_MARK
from umbrella.hub.dataset import Publication
from umbrella.planning.throughput import time_scans
from umbrella.privacy.scrub import clean_scan
from umbrella.privacy.search import find_in_scan
from umbrella.rows.cache_filling import CachedScans
from umbrella.rows.scan_list import list_scans
from umbrella.scans.scan_files import ScanError
from umbrella.scans.survey import states_orientation, survey_scan
from umbrella.scans.volumes import check_header, load_image
from umbrella.training.preflight import check_scans
from umbrella.views.loading import load_view
from umbrella.views.settings import ViewSettings
from umbrella.views.volume_cache import VolumeCache


def _save(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    voxels = np.random.default_rng(seed).integers(0, 1000, (9, 11, 7)).astype(np.int16)
    nibabel.save((nibabel.Nifti1Pair if path.suffix == ".img" else nibabel.Nifti1Image)(voxels, np.eye(4)), path)


@pytest.fixture
def load(tmp_path):
    """(name) → the rows of a folder whose one row names a scan in image_root."""
    for name in ("root/sub/a.nii", "root/sub/pair.img", "outside/a.nii", "outside/pair.img"):
        _save(tmp_path / name, len(name))

    def load(name):
        data = _write(tmp_path / "data" / name.replace("/", "_"), {"train/x.json": make_record("x", [name])})
        options = {"image_root": str(tmp_path / "root"), "cache_dir": str(tmp_path / "cache")}
        return umbrella_dataset.load_umbrella(data, **options)

    return load


def _link(path: Path, target: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    path.symlink_to(target)


OPTIONS = {"view": "axial", "image_size": 8}
SETTINGS = ViewSettings("axial", 8, True, True)
READERS = {
    "load_image": lambda rows, path, folder: load_image(path),
    "load_view": lambda rows, path, folder: load_view(path),
    "check_header": lambda rows, path, folder: check_header(path),
    "survey": lambda rows, path, folder: survey_scan(path, "sMRI"),
    "orientation": lambda rows, path, folder: states_orientation(path),
    "privacy": lambda rows, path, folder: find_in_scan(path, path, "sMRI"),
    "confounds": lambda rows, path, folder: _read_head_volumes(rows["train"], {}),
    "upload": lambda rows, path, folder: Publication(rows, "/", "embed").scan_bytes(path),
    "clean": lambda rows, path, folder: clean_scan(path),
    "benchmark": lambda rows, path, folder: time_scans(
        rows["train"][0]["images"], SETTINGS, VolumeCache(folder), False
    ),
}


NO_PAIRS = {"upload", "clean", "benchmark"}  # take single files alone


def _find_reading(rows, folder) -> list[str]:
    """The names of the readers that read the row's scan."""
    path = rows["train"][0]["images"][0]["path"]
    reading = []
    for name, read in READERS.items():
        try:
            read(rows, path, folder)
        except ScanError as error:
            assert "leads out of" in str(error) or name in NO_PAIRS
        else:
            reading.append(name)
    return reading


@pytest.mark.parametrize(
    ("name", "link", "target"),
    [
        ("sub/a.nii", "root/sub/a.nii", "outside/a.nii"),
        ("sub/a.nii", "root/sub", "outside"),
        ("sub/pair.hdr", "root/sub/pair.img", "outside/pair.img"),
        ("sub/pair.hdr", "root/sub/pair.hdr", "outside/pair.hdr"),
        ("sub/pair.img", "root/sub/pair.img", "outside/pair.img"),
    ],
)
def test_a_link_to_outside_that_is_put_in_after_the_rows_were_made_is_not_read(tmp_path, load, name, link, target):
    rows = load(name)
    folder, is_named = tmp_path / "views", f"root/{name}".startswith(link)
    assert check_scans(rows["train"]) == 1
    cache = VolumeCache(folder)
    for outside in ("outside/a.nii", "outside/pair.hdr"):  # views of what lies there may be in the cache already
        cache.load(load_view, str(tmp_path / outside), modality="sMRI", **OPTIONS)
    _link(tmp_path / link, tmp_path / target)
    assert _find_reading(rows, folder) == []
    with pytest.raises(ScanError, match="leads out of"):
        cache.load(load_view, rows["train"][0]["images"][0]["path"], modality="sMRI", **OPTIONS)
    _, outcome = CachedScans(rows, list_scans(rows), cache, SETTINGS)[0]
    assert "leads out of" in outcome.problem
    with pytest.raises(SystemExit, match="leads out of"):
        check_scans(rows["train"])
    with pytest.raises(ScanError, match="leads out of") if is_named else contextlib.nullcontext():
        Publication(rows, str(tmp_path / "root"), "files").stage(tmp_path / "upload", 10**6)


@pytest.mark.slow
def test_links_inside_and_files_as_they_were_are_read(tmp_path, load):
    (tmp_path / "root" / "b.nii").symlink_to("sub/a.nii")
    (tmp_path / "root" / "also").symlink_to("sub")
    for name in ("sub/a.nii", "b.nii", "also/a.nii"):
        assert set(_find_reading(load(name), tmp_path / "views")) == set(READERS)
    for name in ("sub/pair.hdr", "also/pair.img"):
        rows = load(name)
        for read in set(READERS) - NO_PAIRS:
            READERS[read](rows, rows["train"][0]["images"][0]["path"], tmp_path / "views")


def test_the_mark_is_that_of_the_rows():
    assert umbrella_dataset.hold_inside("/a/b/c.nii", "/a") == "/a/././b/c.nii"
    assert umbrella_dataset.hold_inside("/a/b/c.nii", "/") == "/././a/b/c.nii"


def test_a_users_own_spelling_is_no_mark_and_a_relative_root_holds(tmp_path, monkeypatch):
    _save(tmp_path / "x.nii", 0)
    (tmp_path / "here").mkdir()
    (tmp_path / "here/link.nii").symlink_to("../x.nii")
    monkeypatch.chdir(tmp_path / "here")
    for spelling in ("link.nii", "./link.nii", "././link.nii", "./././link.nii", "../here/././link.nii"):
        load_image(spelling)
        open_file(spelling).close()
    held = umbrella_dataset.hold_inside("./link.nii", ".")
    assert held == f"{tmp_path}/here/././link.nii"
    with pytest.raises(PermissionError, match="leads out of"):
        open_file(held)


def test_a_pipe_in_a_scans_place_is_an_error_at_once(tmp_path):
    os.mkfifo(tmp_path / "x.nii")
    for read in (load_image, clean_scan, check_header):
        with pytest.raises(ScanError, match="no regular file"):
            read(tmp_path / "x.nii")


def test_in_trees_of_random_links_what_is_opened_lies_inside_as_pathlib_resolves_it(tmp_path):
    draw, opened = random.Random(0), 0
    for number in range(40):
        top = tmp_path / str(number)
        folders = [top / name for name in ("root", "root/a", "root/a/b", "out", "out/a", "rootlike")]
        names = [folder / name for folder in folders for name in ("x", "y")]
        for folder in folders:
            folder.mkdir(parents=True)
        for name in names:
            if draw.random() < 0.5:
                name.write_text("x")
            else:
                target = draw.choice([*names, *folders, Path("/etc/hostname"), Path("/dev/zero")])
                name.symlink_to(draw.choice([target, os.path.relpath(target, name.parent)]))
        root = draw.choice([top / "root", top / "out" / ".." / "root"])
        for rest in ("x", "y", "a/x", "a/y", "a/b/x", "x/x", "y/a/x", "x/b/y"):
            try:
                real = (root / rest).resolve(strict=True)
                expected = real.is_file() and real.is_relative_to(root.resolve())
            except (OSError, RuntimeError):
                expected = False
            try:
                open_file(f"{root}{ROOT_MARK}{rest}").close()
                found = True
            except OSError:
                found = False
            assert found == expected, (number, rest)
            opened += found
    assert opened > 40
