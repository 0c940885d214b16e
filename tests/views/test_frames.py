"""Which frames of a series are chosen, with b-values and without, and how a model's view follows."""

import nibabel
import numpy as np
import pytest

from umbrella.scans.volumes import ScanError
from umbrella.views.augmentation import WindowDraw
from umbrella.views.frames import choose_frames, find_frames
from umbrella.views.loading import load_view
from umbrella.views.settings import count_frames, is_window, parse_frames
from umbrella.views.volume_cache import VolumeCache

B_VALUES = np.array([0, 1000, 1000, 50, 2000, 2000, 5, 3000])


def numbers(frames, n_volumes, **options):
    chosen = choose_frames(frames, n_volumes, **options)
    assert len(chosen) == count_frames(frames)
    return [frame[0] if len(frame) == 1 else tuple(frame) for frame in chosen]


@pytest.mark.parametrize(
    ("frames", "n_volumes", "expected"),
    [
        ("1", 9, [4]),
        ("4", 8, [1, 3, 5, 7]),
        ("3", 3, [0, 1, 2]),
        ("window:3", 9, [3, 4, 5]),
        ("window:4", 9, [2, 3, 4, 5]),
        ("window:9", 9, list(range(9))),
    ],
)
def test_frames_are_evenly_spaced_or_neighbours_in_the_middle(frames, n_volumes, expected):
    assert numbers(frames, n_volumes) == expected


def test_windows_lie_anywhere_each_alike_often():
    firsts = [numbers("window:3", 6, start=start)[0] for start in np.linspace(0, 1, 4001)]
    assert np.bincount(firsts).tolist() == pytest.approx([1000] * 4, abs=2)
    assert all(np.diff(numbers("window:3", 6, start=start)).tolist() == [1, 1] for start in (0.0, 0.3, 1.0))


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        ("5", [1, 2, 4, 5, 7]),
        ("2", [2, 5]),
        ("window:3", [2, 4, 5]),
        ("b0+1", [(0, 3, 6), 4]),
        ("b0+5", [(0, 3, 6), 1, 2, 4, 5, 7]),
    ],
)
def test_with_b_values_frames_are_chosen_among_the_weighted_volumes(frames, expected):
    assert numbers(frames, 8, b_values=B_VALUES) == expected


def test_where_no_volume_is_weighted_all_count_alike():
    assert numbers("2", 4, b_values=np.zeros(4)) == numbers("2", 4)


@pytest.mark.parametrize(
    ("frames", "b_values", "message", "remedy"),
    [
        ("9", None, "at least 9 volumes, as --frames 9 takes, found 8", "8"),
        ("window:6", B_VALUES, "at least 6 weighted volumes, as --frames window:6 takes, found 5", "window:5"),
        ("b0+2", None, "found no .bval beside it: .* or take --frames 2", "2"),
        ("b0+2", np.full(8, 1000), r"found none \(the least is 1000\)", "2"),
    ],
)
def test_what_a_series_does_not_have_is_said_with_a_remedy_that_works(frames, b_values, message, remedy):
    with pytest.raises(ValueError, match=message):
        choose_frames(frames, 8, b_values=b_values)
    assert choose_frames(remedy, 8, b_values=b_values)


@pytest.mark.parametrize(
    "text", ["0", "-1", "b0", "b0+", "b0+0", "window", "window:", "x:3", "3.5", "", "b0+window:3", "²"]
)
def test_another_text_is_refused(text):
    with pytest.raises(ValueError, match=r"frames: expected K, window:K or b0\+K"):
        parse_frames(text)


def test_windows_alone_are_drawn():
    assert [is_window(frames) for frames in (None, "4", "b0+4", "window:4")] == [False, False, False, True]


def test_what_is_drawn_depends_on_seed_epoch_row_and_scan_alone():
    def draw(seed=0, epoch=0, task_id="row", scan=0):
        windows = WindowDraw(seed)
        windows.set_epoch(epoch)
        return windows(task_id, scan)

    assert draw() == draw()
    assert len({draw(), draw(seed=1), draw(epoch=1), draw(task_id="row 2"), draw(scan=1)}) == 5


@pytest.fixture
def series(tmp_path):
    """Volume t is a head whose left half is brighter than its right half by t tenths."""
    head = np.zeros((12, 14, 10, 8), np.int16)
    head[2:10, 2:12, 2:8] = np.random.default_rng(0).integers(90, 110, (8, 10, 6, 1))
    head[:6] = head[:6] * (1 + np.arange(8) / 10)
    nibabel.save(nibabel.Nifti1Image(head, np.diag([2.0, 2, 2, 1])), tmp_path / "scan.nii.gz")
    return tmp_path / "scan.nii.gz"


def show(path, frames, modality="dMRI", **options):
    return load_view(path, modality, "volume", volume_size="12x14x10", volume_spacing=2.0, frames=frames, **options)


def test_a_view_shows_the_frames_in_their_order_with_one_map(series):
    view = show(series, "4", "fMRI", standardize=False)
    assert view.shape == (4, 12, 14, 10)
    left, right = view[:, 2:5, 4:10, 3:7].mean(axis=(1, 2, 3)), view[:, 7:9, 4:10, 3:7].mean(axis=(1, 2, 3))
    np.testing.assert_allclose(left / right, [1.1, 1.3, 1.5, 1.7], rtol=0.05)
    np.testing.assert_allclose(right, right[0], rtol=1e-5)
    assert show(series, None, "fMRI").shape[0] == 1


def test_the_cache_follows_the_b_values(series, tmp_path):
    cache = VolumeCache(tmp_path / "cache")
    options = {"modality": "dMRI", "view": "volume", "volume_size": "12x14x10", "volume_spacing": 2.0, "frames": "3"}
    before = cache.load(load_view, series, **options)
    series.with_name("scan.bval").write_text("0 0 0 0 0 1000 1000 1000")
    after = cache.load(load_view, series, **options)
    np.testing.assert_array_equal(after, show(series, "3"))
    assert not np.array_equal(before, after)
    series.with_name("scan.bval").write_text("1000 1000 1000 0 0 0 0 0")
    np.testing.assert_array_equal(cache.load(load_view, series, **options), show(series, "3"))


def test_what_is_found_can_be_said_without_the_voxels(series):
    assert (find_frames(series, "dMRI", "2").n_volumes, find_frames(series, "dMRI", "2").n_b0) == (8, None)
    series.with_name("scan.bval").write_text("0 0 5 1000 1000 1000 2000 2000")
    found = find_frames(series, "dMRI", "b0+2")
    assert (found.n_volumes, found.n_b0, found.frames) == (8, 3, [[0, 1, 2], [4], [6]])
    with pytest.raises(ScanError, match=r"scan\.nii\.gz: expected a series of at least 6 weighted volumes"):
        find_frames(series, "dMRI", "6")
    with pytest.raises(ScanError, match=r"scan\.nii\.gz: expected a series of at least 6 weighted volumes"):
        show(series, "6")


def test_a_volume_without_time_is_one_frame_whatever_is_asked_for(tmp_path):
    head = np.random.default_rng(0).integers(0, 100, (12, 14, 10)).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(head, np.eye(4)), tmp_path / "scan.nii")
    for frames in ("4", "window:4", "b0+4"):
        for modality in ("sMRI", "fMRI", "dMRI"):
            assert show(tmp_path / "scan.nii", frames, modality).shape == (1, 12, 14, 10)
            assert find_frames(tmp_path / "scan.nii", modality, frames).frames == [[0]]
