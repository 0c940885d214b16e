"""Claims about filling the cache: what a run leaves, goes on with, shares with others, and says of bad scans."""

import json
import os
import random
import signal
import time
from dataclasses import replace
from pathlib import Path

import cache_volumes
import nibabel
import numpy as np
import pytest
from conversation_folder import make_record, write_folder
from datasets import Dataset, DatasetDict

from umbrella.models.loading import load_processor
from umbrella.rows.cache_filling import CachedScans, fill_cache
from umbrella.rows.scan_list import list_scans
from umbrella.rows.transform import ConversationTransform
from umbrella.views.settings import ViewSettings
from umbrella.views.volume_cache import VolumeCache
from umbrella_dataset import load_umbrella

SCANS = {"train": [2, 1, 2, 0], "test": [1, 2]}  # 8
SETTINGS = ViewSettings("slices:5", 448, True, True)


@pytest.fixture
def json_dir(tmp_path):
    return write_folder(tmp_path / "conversations", SCANS)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.rglob("*.view")}


@pytest.mark.slow
def test_training_finds_every_view_that_the_recipe_cached(json_dir, tmp_path, call, monkeypatch):
    out = call(cache_volumes, "--json_dir", json_dir, "--volume_cache", "cache", "--view", "coronal")
    assert "8 scans: 8 decoded, 0 cached before, 0 unreadable" in out
    cache = VolumeCache(tmp_path / "cache")
    monkeypatch.setattr(cache, "put", lambda key, views: pytest.fail("this view was not in the cache"))
    transform = ConversationTransform(load_processor("tiny"), view="coronal", volume_cache=cache)
    for rows in load_umbrella(json_dir).values():
        for row in rows:
            transform.encode_row(row)


def test_volumes_and_series_are_cached_and_their_sizes_added_up(tmp_path, call):
    folder = write_folder(tmp_path / "conversations", {"train": [1, 1]})
    series = np.random.default_rng(0).integers(0, 900, (9, 11, 7, 5)).astype(np.int16)
    nibabel.Nifti1Image(series, np.diag([-2.0, 1.5, 3.0, 1.0])).to_filename(folder / "train_1_0.nii")
    record = json.loads((folder / "train" / "train_1.json").read_text().replace("sMRI", "fMRI"))
    (folder / "train" / "train_1.json").write_text(json.dumps(record))
    flags = ["--model_name_or_path", "tiny3d", "--volume_size", 16, "--frames", 4, "--num_workers", 0]
    out = call(cache_volumes, "--json_dir", folder, "--volume_cache", "cache", *flags)
    n_bytes = 2 * 28 + (1 + 4) * 16**3 * 4  # heads of the entries, then one frame and four
    assert f"2 scans: 2 decoded, 0 cached before, 0 unreadable\ntheir views take {n_bytes / 1e9:.3g} GB" in out
    transform = ConversationTransform(
        load_processor("tiny3d"), "volume", volume_size="16x16x16", frames="4", volume_cache=tmp_path / "cache"
    )
    cache = transform.volume_cache
    cache.put = lambda key, views: pytest.fail("this view was not in the cache")
    shapes = [transform.load_images(row, 0).shape for row in load_umbrella(folder, split="train")]
    assert shapes == [(1, 16, 16, 16), (4, 16, 16, 16)]


@pytest.mark.slow
def test_it_goes_on_where_it_stopped_and_shards_make_the_whole(json_dir, tmp_path, call):
    flags = ["--json_dir", json_dir, "--num_workers", 0, "--volume_cache"]
    call(cache_volumes, *flags, "whole")
    for shard, expected in enumerate(("3 scans: 3 decoded", "3 scans: 3 decoded", "2 scans: 2 decoded")):
        assert expected in call(cache_volumes, *flags, "sharded", "--shard_index", shard, "--num_shards", 3)
    assert contents(tmp_path / "sharded") == contents(tmp_path / "whole")
    next((tmp_path / "sharded").glob("*/*/*.view")).unlink()
    assert "8 scans: 1 decoded, 7 cached before" in call(cache_volumes, *flags, "sharded")


def test_a_scan_of_several_rows_is_decoded_once(tmp_path):
    folder = write_folder(tmp_path, {"train": [1, 1]})
    record = make_record("again", ["train_0_0.nii", "train_1_0.nii", "train_0_0.nii"])
    (folder / "train" / "again.json").write_text(json.dumps(record))
    assert len(list_scans(load_umbrella(folder))) == 2


def test_scans_in_a_published_table_are_cached_by_their_bytes(json_dir, tmp_path):
    rows = load_umbrella(json_dir, split="train")
    embedded = Dataset.from_list(
        [
            row
            | {"images": [scan | {"path": None, "bytes": Path(scan["path"]).read_bytes()} for scan in row["images"]]}
            for row in rows
        ]
    )
    splits, cache = DatasetDict(train=embedded), VolumeCache(tmp_path / "cache")
    scans = CachedScans(splits, list_scans(splits), cache, SETTINGS)
    assert [outcome.is_new for outcome in fill_cache(scans, 0)] == [True] * 5
    assert [outcome.is_new for outcome in fill_cache(scans, 0)] == [False] * 5
    transform = ConversationTransform(
        load_processor("tiny"), **replace(SETTINGS, image_size=64).stated(), volume_cache=tmp_path / "cache"
    )
    transform.encode_row(embedded[0])
    assert len(contents(tmp_path / "cache")) == 7  # two more, of another size


@pytest.mark.slow
def test_unreadable_scans_are_named_at_the_end_and_the_rest_is_cached(json_dir, tmp_path, call, capsys):
    (json_dir / "train_0_1.nii").write_bytes(b"")
    (json_dir / "test_1_0.nii").unlink()
    with pytest.raises(SystemExit) as ended:
        call(cache_volumes, "--json_dir", json_dir, "--volume_cache", "cache", "--num_workers", 2)
    out, err = capsys.readouterr()
    assert ended.value.code == 1
    assert "8 scans: 6 decoded, 0 cached before, 2 unreadable" in out
    assert "train/train_0.json: " in err and "train_0_1.nii: expected a NIfTI scan, found an empty file" in err
    assert "test/test_1.json: " in err and "test_1_0.nii: expected a scan, found no such file" in err
    assert len(contents(tmp_path / "cache")) == 6


@pytest.mark.slow
def test_a_bound_that_is_too_low_for_all_scans_is_told_with_the_right_one(json_dir, call):
    out = call(cache_volumes, "--json_dir", json_dir, "--volume_cache", "cache", "--volume_cache_gb", 5e-5)
    assert "warning: --volume_cache_gb 5e-05 is too little: set it above 0.000131" in out


def test_flags_that_do_not_fit_are_refused(json_dir, tmp_path, call):
    with pytest.raises(SystemExit, match="expected --volume_cache FOLDER"):
        call(cache_volumes, "--json_dir", json_dir)
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit, match="expected a folder to write to, found that it cannot be written"):
        call(cache_volumes, "--json_dir", json_dir, "--volume_cache", "file")


@pytest.fixture
def many(tmp_path):
    """40 scans whose views take 4 MB each, so that a kill often falls into the writing of one."""
    return load_umbrella(write_folder(tmp_path / "many", {"train": [2] * 20}))


def start_filler(splits, folder, num_workers):
    """Fill in a process of its own; returns its id and a pipe that tells how many scans it decoded."""
    reader, writer = os.pipe()
    if pid := os.fork():
        os.close(writer)
        os.setpgid(pid, pid)  # its workers are killed with it; set on both sides, whichever comes first
        return pid, reader
    os.setpgid(0, 0)
    outcomes = fill_cache(CachedScans(splits, list_scans(splits), VolumeCache(folder), SETTINGS), num_workers)
    os.write(writer, b"%d" % sum(outcome.is_new for outcome in outcomes))
    os._exit(0)


def end_filler(pid, reader):
    with os.fdopen(reader) as pipe:
        n_decoded = pipe.read()
    os.waitpid(pid, 0)
    return int(n_decoded or 0)


@pytest.mark.slow
def test_a_filler_killed_at_any_moment_leaves_no_entry_that_counts_as_whole_and_is_not(many, tmp_path):
    rng, folder = random.Random(0), tmp_path / "cache"
    n_before = -1
    for kill in range(20):
        pid, reader = start_filler(many, folder, num_workers=kill % 3)
        time.sleep(rng.uniform(0.02, 0.2))
        os.killpg(pid, signal.SIGKILL)
        end_filler(pid, reader)
        cache = VolumeCache(folder)
        names = [path.stem for path in folder.glob("*/*/*.view")]
        assert all(cache.get(name) is not None for name in names)  # none is torn, and none vanished
        assert len(names) >= n_before
        n_before = len(names)
    end_filler(*start_filler(many, folder, 0))
    end_filler(*start_filler(many, tmp_path / "undisturbed", 0))
    assert len(contents(folder)) == 40
    assert contents(folder) == contents(tmp_path / "undisturbed")


@pytest.mark.slow
def test_two_fillers_at_once_share_the_work_and_end_with_the_same_content(many, tmp_path):
    fillers = [start_filler(many, tmp_path / "two", 0) for _ in range(2)]
    decoded = [end_filler(*filler) for filler in fillers]
    end_filler(*start_filler(many, tmp_path / "one", 0))
    assert min(decoded) > 0
    assert 40 <= sum(decoded) <= 58  # twice only what both had in hand at the same moment
    assert contents(tmp_path / "two") == contents(tmp_path / "one")


@pytest.mark.slow
def test_reading_is_whole_while_another_process_writes(tmp_path):
    splits = load_umbrella(write_folder(tmp_path / "data", {"train": [1]}))
    cache = VolumeCache(tmp_path / "cache")
    scans = CachedScans(splits, list_scans(splits), cache, SETTINGS)
    assert scans[0][1].is_new
    (key,) = (path.stem for path in cache.folder.glob("*/*.view"))
    views = cache.get(key)
    if (pid := os.fork()) == 0:
        while True:
            cache.put(key, views)
    try:
        assert all(cache.get(key) is not None for _ in range(200))
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


@pytest.mark.slow
def test_four_writers_at_once_stay_below_the_bound(tmp_path):
    cache = VolumeCache(tmp_path / "cache", most_gb=100_000e-9)  # 81 entries
    views = np.random.default_rng(0).random((1, 3, 10, 10), np.float32)
    writers = []
    for writer in range(4):
        if (pid := os.fork()) == 0:
            for number in range(100):
                cache.put(f"{number:02x}{writer:030x}", views)
            os._exit(0 if cache.is_writable else 1)
        writers.append(pid)
    assert [os.waitpid(pid, 0)[1] for pid in writers] == [0] * 4
    total = sum(len(entry) for entry in contents(cache.folder).values())
    assert 0.8 * 100_000 < total <= 100_000 + 4 * 1228  # one in hand each
    assert list(cache.folder.glob("*/*.tmp")) == []
