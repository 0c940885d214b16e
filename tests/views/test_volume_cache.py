"""Claims about the cache of views: what is the same scan, what is whole, what stays, who may use it at once."""

import multiprocessing
import os
import re
import resource
import shutil
import tempfile
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import nibabel
import numpy as np
import pytest
from conversation_folder import write_folder
from hypothesis import given
from hypothesis import strategies as st
from properties import examples

import umbrella.files.bounded_folder
import umbrella.views.loading
import umbrella.views.volume_cache
from umbrella.models.loading import load_processor
from umbrella.rows.transform import ConversationTransform
from umbrella.scans.volumes import ScanError
from umbrella.views.loading import load_view
from umbrella.views.volume_cache import VolumeCache
from umbrella_dataset import load_umbrella

OPTIONS = {"modality": "sMRI", "view": "axial", "image_size": 16, "normalize": True, "standardize": True}


def write_scan(path, seed=0):
    voxels = np.random.default_rng(seed).integers(0, 1000, (7, 6, 5)).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(voxels, np.diag([-1, 2, 3, 1.0])), path)
    return path


@pytest.fixture
def scan(tmp_path):
    return write_scan(tmp_path / "scan.nii.gz")


@pytest.fixture
def cache(tmp_path):
    return VolumeCache(tmp_path / "cache")


class CountingLoad:
    """`load_view` that counts its calls."""

    def __init__(self):
        self.calls, self.__qualname__ = 0, load_view.__qualname__

    def __call__(self, source, **options):
        self.calls += 1
        return load_view(source, **options)


def entries(cache):
    return sorted(cache.folder.glob("*/*.view"))


@pytest.mark.parametrize("view", ["axial", "triplanar", "slices:3", "montage:2"])
def test_a_hit_equals_the_decoded_view_bit_for_bit_and_can_be_changed(cache, scan, view):
    options = OPTIONS | {"view": view}
    load = CountingLoad()
    first, second = (cache.load(load, scan, **options) for _ in range(2))
    assert load.calls == 1
    np.testing.assert_array_equal(first, load_view(scan, **options))
    np.testing.assert_array_equal(second, first)
    assert second.dtype == np.float32
    second[:] = 0  # torch warns of arrays that cannot be written
    np.testing.assert_array_equal(cache.load(load, scan, **options), first)


def test_equal_channels_are_stored_once(cache, scan):
    cache.load(load_view, scan, **OPTIONS)
    assert entries(cache)[0].stat().st_size == 28 + 16 * 16 * 4


@pytest.mark.parametrize(
    "other",
    [
        {"modality": "fMRI"},
        {"view": "coronal"},
        {"image_size": 8},
        {"normalize": False},
        {"standardize": False},
    ],
)
def test_every_option_makes_another_entry(cache, scan, other):
    assert cache.make_key(load_view, scan, **OPTIONS) != cache.make_key(load_view, scan, **(OPTIONS | other))


@pytest.mark.parametrize("is_flat", [False, True], ids=["volumes", "the same in each X"])
@pytest.mark.parametrize("shape", [(1, 6, 5, 4), (2, 3, 5, 4), (4, 2, 3, 3)], ids=str)
def test_volumes_come_back_as_they_went_in_three_voxels_along_x_too(cache, shape, is_flat):
    """Three along the second axis are the channels of a picture, of which one is stored where all are the same."""
    volumes = np.random.default_rng(0).random(shape, np.float32)
    volumes = volumes[:, :1].repeat(shape[1], axis=1) if is_flat else volumes
    key = "ab" * 16
    cache.put(key, volumes)
    np.testing.assert_array_equal(cache.get(key), volumes)


def test_other_code_makes_another_entry(cache, scan, monkeypatch):
    key = cache.make_key(load_view, scan, **OPTIONS)
    monkeypatch.setattr(umbrella.views.volume_cache, "hash_code", lambda: "another version")
    assert cache.make_key(load_view, scan, **OPTIONS) != key


def test_the_hash_of_the_code_covers_every_module_that_load_view_runs_through():
    package = Path(umbrella.views.volume_cache.__file__).parents[1]
    # Bytes that are the same whoever inflates them, and names (of what is no scan, of modalities, of settings, whose
    # values are in the key) decide nothing of a view.
    nothing = {
        "scans/inflate.py",
        "scans/not_a_scan.py",
        "options/extras.py",
        "files/data_format.py",
        "views/settings.py",
    }
    nothing |= {"options/data/volume_flags.py"}
    reached, to_read = set(), ["views/loading.py"]
    while to_read:
        name = to_read.pop()
        reached.add(name)
        imported = re.findall(
            r"^from umbrella\.(\S+) import", (package / name).read_text(encoding="utf-8"), re.MULTILINE
        )
        to_read += {f"{module.replace('.', '/')}.py" for module in imported} - nothing - reached
    assert reached == set(umbrella.views.volume_cache.CODE)


def test_a_changed_scan_is_decoded_anew(cache, scan):
    before = cache.load(load_view, scan, **OPTIONS)
    write_scan(scan, seed=1)
    after = cache.load(load_view, scan, **OPTIONS)
    assert not np.array_equal(before, after)
    np.testing.assert_array_equal(after, load_view(scan, **OPTIONS))


def test_a_scan_is_the_same_under_a_link_and_as_a_relative_path(cache, scan, tmp_path, monkeypatch):
    link = tmp_path / "link.nii.gz"
    link.symlink_to(scan)
    monkeypatch.chdir(tmp_path)
    keys = {cache.make_key(load_view, name, **OPTIONS) for name in (scan, str(scan), link, "scan.nii.gz")}
    assert len(keys) == 1


def test_a_scan_in_bytes_is_known_by_its_content(cache, scan, tmp_path):
    load = CountingLoad()
    for source in (scan.read_bytes(), scan.read_bytes(), write_scan(tmp_path / "other.nii.gz", 1).read_bytes()):
        cache.load(load, source, **OPTIONS)
    assert load.calls == 2


def test_a_pair_changes_with_either_of_its_files(cache, tmp_path):
    voxels = np.arange(210, dtype=np.int16).reshape(7, 6, 5)
    nibabel.save(nibabel.Nifti1Pair(voxels, np.eye(4)), tmp_path / "scan.img")
    keys = {cache.make_key(load_view, tmp_path / "scan.hdr", **OPTIONS)}
    for name in ("scan.img", "scan.hdr"):
        os.utime(tmp_path / name, ns=(0, 0))
        keys.add(cache.make_key(load_view, tmp_path / "scan.hdr", **OPTIONS))
    assert len(keys) == 3


def test_unreadable_scans_raise_and_leave_no_entry(cache, tmp_path):
    (tmp_path / "empty.nii").touch()
    for name, message in (("missing.nii", "no such file"), ("empty.nii", "empty file")):
        with pytest.raises(ScanError, match=message):
            cache.load(load_view, tmp_path / name, **OPTIONS)
    assert entries(cache) == []


def test_an_entry_cut_at_any_byte_damaged_or_under_another_name_counts_as_absent(cache, scan):
    views = cache.load(load_view, scan, **OPTIONS)
    key, (path,) = cache.make_key(load_view, scan, **OPTIONS), entries(cache)
    whole = path.read_bytes()
    for length in (*range(40), *range(40, len(whole), 13), len(whole) - 1):
        path.write_bytes(whole[:length])
        assert cache.get(key) is None
    for position in range(0, len(whole), 7):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        assert cache.get(key) is None
    another = f"{'0' if key[0] != '0' else '1'}{key[1:]}"
    cache._path(another).parent.mkdir()
    cache._path(another).write_bytes(whole)
    assert cache.get(another) is None
    np.testing.assert_array_equal(cache.load(load_view, scan, **OPTIONS), views)  # and is mended
    assert path.read_bytes() == whole


def test_the_least_recently_used_go_out_first(tmp_path):
    views = np.random.default_rng(0).random((1, 3, 10, 10), np.float32)  # 1228 bytes an entry
    cache = VolumeCache(tmp_path / "cache", most_gb=5000e-9)
    keys = [f"{number:032x}" for number in range(6)]
    for key in keys[:4]:
        cache.put(key, views)
    assert [cache.entry_size(key) > 0 for key in keys[:4]] == [True] * 4
    cache.get(keys[0])
    cache.put(keys[4], views)  # 5 × 1228 is above 5000: down to nine tenths of it, 3 entries
    assert [cache.entry_size(key) > 0 for key in keys[:5]] == [True, False, False, True, True]
    cache.put(keys[5], views)
    assert [cache.entry_size(key) > 0 for key in keys] == [True, False, False, True, True, True]
    assert int((cache.folder / "size").read_text()) == sum(path.stat().st_size for path in entries(cache))


def test_most_writes_list_no_folder(cache, scan, monkeypatch):
    cache.load(load_view, scan, **OPTIONS)
    monkeypatch.setattr(
        umbrella.files.bounded_folder, "_list_files", lambda folder: pytest.fail("listed the whole folder")
    )
    for size in (8, 12, 24):
        cache.load(load_view, scan, **(OPTIONS | {"image_size": size}))
    assert int((cache.folder / "size").read_text()) == sum(path.stat().st_size for path in entries(cache))


def test_what_killed_processes_left_is_swept_out(cache, scan):
    cache.load(load_view, scan, **OPTIONS)
    key = entries(cache)[0].stem
    names = (f"{key}.{'0' * 32}.tmp", f"{key}.{'1' * 32}.tmp", "notes.txt", "old.tmp")
    old, young, *foreign = (entries(cache)[0].with_name(name) for name in names)
    for path in (old, young, *foreign):
        path.write_bytes(b"half an entr")
    for path in (old, *foreign):
        os.utime(path, (0, 0))
    cache._sweep()
    assert [path.exists() for path in (old, young, *foreign)] == [False, True, True, True]


HEX = "3f" + "0" * 30
NAMES = (
    "size",
    "lock",
    "a",
    "3f",
    f"{HEX}.view",
    f"{HEX}.{HEX}.tmp",
    "b.tmp",
    "x.view",
    "CACHEDIR.TAG",
    "umbrella_views",
)
TREES = st.dictionaries(
    st.lists(st.sampled_from(NAMES), min_size=1, max_size=3).map(tuple),
    st.sampled_from(["bytes", "digits", "link to a file", "link to a folder", "empty folder"]),
    max_size=8,
)


def write_tree(folder, tree, outside):
    """Those parts of the tree that do not need a file to be a folder; all of them old."""
    for names, kind in tree.items():
        path = folder.joinpath(*names)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if kind == "empty folder":
                path.mkdir()
            elif kind.startswith("link"):
                path.symlink_to(outside / kind.split()[-1])
            else:
                path.write_bytes(b"mine" if kind == "bytes" else b"%020d" % 7)
                os.utime(path, (0, 0))
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            continue


def read_tree(folder):
    """Path → (kind, content, times) of all below."""
    found = {}
    for path in folder.rglob("*"):
        is_file = path.is_file() and not path.is_symlink()
        content = os.readlink(path) if path.is_symlink() else path.read_bytes() if is_file else None
        found[path.relative_to(folder).as_posix()] = (content, path.lstat().st_mtime_ns if is_file else None)
    return found


@given(TREES)
@examples(30)
def test_whatever_lies_in_the_folder_before_stays_as_it_is(tree):
    with tempfile.TemporaryDirectory() as scratch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        folder, outside = Path(scratch, "DIR"), Path(scratch, "outside")
        (outside / "folder/3f").mkdir(parents=True)
        (outside / "file").write_bytes(b"%020d" % 7)
        (outside / f"folder/3f/{HEX}.view").write_bytes(b"mine")
        folder.mkdir()
        write_tree(folder, tree, outside)
        before, before_outside = read_tree(folder), read_tree(outside)
        cache, views = VolumeCache(folder, most_gb=3000e-9), np.ones((1, 3, 10, 10), np.float32)
        for number in range(16):
            key = f"{number:02x}{HEX[2:]}" if number else HEX
            cache.put(key, views + number)
            cache.get(key)
        if cache.is_writable:
            cache._sweep()
            assert cache.get(f"0f{HEX[2:]}") is not None
        after = read_tree(folder)
        assert {name: after.get(name) for name in before} == before
        assert read_tree(outside) == before_outside
        assert all(name.startswith("umbrella_views") for name in after.keys() - before.keys())


def test_a_folder_of_the_caches_name_without_its_marker_is_left_alone_with_a_warning(scan, tmp_path, capsys):
    (tmp_path / "umbrella_views").mkdir()
    (tmp_path / "umbrella_views/notes.txt").write_text("mine")
    cache = VolumeCache(tmp_path)
    assert "is in use by something else: expected CACHEDIR.TAG of this cache" in capsys.readouterr().err
    np.testing.assert_array_equal(cache.load(load_view, scan, **OPTIONS), load_view(scan, **OPTIONS))
    assert [path.name for path in (tmp_path / "umbrella_views").iterdir()] == ["notes.txt"]


def test_processes_that_make_one_folder_at_once_all_use_it(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        caches = list(pool.map(lambda _: VolumeCache(tmp_path / "cache"), range(16)))
    assert all(cache.is_writable for cache in caches)
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["umbrella_views"]


def keep_times(path, change):
    """What other programs do that set the time back: the same size, the same time of modification."""
    status = path.stat()
    change(path)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (status.st_size, status.st_mtime_ns)


def flip_a_voxel(path):
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))


def put_another_over_it(path):
    other = path.with_name("other")
    other.write_bytes(path.read_bytes()[::-1])
    other.replace(path)


def copy_another_over_it(path):
    other = path.with_name("other")
    other.write_bytes(path.read_bytes()[::-1])
    shutil.copy2(other, path)


@pytest.mark.parametrize("change", [flip_a_voxel, put_another_over_it, copy_another_over_it])
@pytest.mark.parametrize("name", ["scan.nii", "scan.hdr", "scan.img"])
def test_other_content_of_the_same_size_and_time_makes_another_entry(cache, tmp_path, name, change):
    for file in {name, "scan.hdr"} if name != "scan.nii" else {name}:
        (tmp_path / file).write_bytes(bytes(range(100)))
    source = tmp_path / ("scan.nii" if name == "scan.nii" else "scan.hdr")
    key = cache.make_key(load_view, source, **OPTIONS)
    keep_times(tmp_path / name, change)
    assert cache.make_key(load_view, source, **OPTIONS) != key


def test_a_lost_count_is_taken_from_the_entries(cache, scan):
    for size, count in ((16, None), (8, b""), (12, b"\0\0")):
        cache.load(load_view, scan, **(OPTIONS | {"image_size": size}))
        if count is not None:
            (cache.folder / "size").write_bytes(count)
    cache.load(load_view, scan, **(OPTIONS | {"image_size": 24}))
    assert int((cache.folder / "size").read_text()) == sum(path.stat().st_size for path in entries(cache))


def test_a_folder_that_cannot_be_made_is_told_once_and_everything_goes_on(scan, tmp_path, capsys):
    (tmp_path / "file").touch()
    cache = VolumeCache(tmp_path / "file" / "cache")
    load = CountingLoad()
    np.testing.assert_array_equal(cache.load(load, scan, **OPTIONS), load_view(scan, **OPTIONS))
    cache.load(load, scan, **OPTIONS)
    assert load.calls == 2
    said = f"warning: volume cache {tmp_path}/file/cache/umbrella_views cannot be written (Not a directory): "
    assert capsys.readouterr().err == f"{said}what is not in it is decoded each time\n"


@pytest.mark.slow
def test_a_full_disk_is_told_once_by_all_workers_leaves_nothing_half_and_is_still_read(cache, scan, capfd):
    cache.load(load_view, scan, **(OPTIONS | {"image_size": 8}))
    load, limits = CountingLoad(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))  # no file of this process may grow above
    try:
        workers = [multiprocessing.get_context("fork").Process(target=cache.load, args=(load_view, scan),
                                                               kwargs=OPTIONS) for _ in range(3)]  # fmt: skip
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        for size in (16, 24, 8):
            view = cache.load(load, scan, **(OPTIONS | {"image_size": size}))
            np.testing.assert_array_equal(view, load_view(scan, **(OPTIONS | {"image_size": size})))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    (line,) = capfd.readouterr().err.splitlines()
    assert line.endswith("cannot be written (File too large): what is not in it is decoded each time")
    assert load.calls == 2  # the one of 8 pixels was there
    assert len(list(cache.folder.glob("??/*"))) == 1


def test_a_bound_of_nothing_is_refused(tmp_path):
    with pytest.raises(ValueError, match="volume_cache_gb: expected a size above 0, found 0"):
        VolumeCache(tmp_path, 0)


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    return load_umbrella(write_folder(tmp_path_factory.mktemp("conversations"), {"train": [2, 1, 0]}), split="train")


@pytest.mark.parametrize("standardize", [True, False])
def test_examples_are_the_same_with_and_without_a_cache(rows, tmp_path, standardize):
    options = {"view": "slices:2", "standardize": standardize}
    processor = load_processor("tiny")
    cached = ConversationTransform(processor, **options, volume_cache=tmp_path / "cache")
    for _ in range(2):
        for row in rows:
            plain = ConversationTransform(processor, **options).encode_row(row)
            example = cached.encode_row(row)
            assert example["input_ids"] == plain["input_ids"]
            assert ("pixel_values" in example) == ("pixel_values" in plain)
            if "pixel_values" in plain:
                np.testing.assert_array_equal(example["pixel_values"], plain["pixel_values"])


def test_the_second_epoch_reads_no_scan(tmp_path, monkeypatch):
    folder = write_folder(tmp_path / "conversations", {"train": [2, 1]})
    rows = load_umbrella(folder, split="train")
    transform = ConversationTransform(load_processor("tiny"), volume_cache=tmp_path / "cache")
    rows.set_transform(transform)
    first = rows[:]["pixel_values"]
    monkeypatch.setattr(umbrella.views.loading, "read_scan", lambda *_: pytest.fail("decoded again"))
    for images, again in zip(first, rows[:]["pixel_values"], strict=True):
        np.testing.assert_array_equal(images, again)


def test_augmented_scans_neither_come_from_the_cache_nor_go_to_it(rows, tmp_path):
    def augment(volume, spacing_mm, task_id, number):
        return volume[::-1]

    build = partial(ConversationTransform, load_processor("tiny"), volume_cache=tmp_path / "cache")
    plain = build().encode_row(rows[0])
    n_entries = len(list((tmp_path / "cache").glob("*/*/*.view")))
    augmented = build(augment=augment).encode_row(rows[0])
    assert not np.array_equal(augmented["pixel_values"], plain["pixel_values"])
    assert len(list((tmp_path / "cache").glob("*/*/*.view"))) == n_entries == 2
