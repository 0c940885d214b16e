"""Augmentation of the view "volume": moved in one resampling, no side exchanged, nothing else changed."""

import nibabel
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from umbrella.models.tiny3d import build_tiny3d_processor
from umbrella.rows.collator import ConversationCollator
from umbrella.rows.transform import ConversationTransform
from umbrella.views.augmentation import Augmentation, Change, WindowDraw, load_augmented_grid
from umbrella.views.loading import load_grid
from umbrella.views.settings import ViewSettings

pytest.importorskip("monai")

SETTINGS = ViewSettings("volume", None, True, True, "32x32x32", 2.0)
SHAPE, SPACING_MM = (40, 32, 28), np.array([1.5, 2.0, 2.5])


def make_head(mark_mm=None, radius_mm=28.0) -> np.ndarray:
    axes = [(np.arange(n) - (n - 1) / 2) * mm for n, mm in zip(SHAPE, SPACING_MM, strict=True)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), -1)
    head = 400 * np.clip(radius_mm + 1 - np.linalg.norm(points, axis=-1), 0, 1)
    if mark_mm is not None:
        head += 600 * np.clip(9.5 - np.linalg.norm(points - mark_mm, axis=-1), 0, 1)
    return head.astype(np.int16)


def save(path, voxels):
    nibabel.save(nibabel.Nifti1Image(voxels[::-1], np.diag([*SPACING_MM * [-1, 1, 1], 1])), path)  # from right to left
    return path


def find_mm(view) -> np.ndarray:
    """The middle of what is brighter than half the most, in mm from the grid's."""
    places = np.argwhere(view > (view.min() + view.max()) / 2)
    return (places.mean(axis=0) - (np.array(view.shape) - 1) / 2) * 2.0


class Still(Change):
    """A motion without a change of intensities."""

    def change_intensities(self, volumes):
        return volumes


def still(motion=None):
    return Still(np.eye(4) if motion is None else motion, np.random.default_rng(0), 1.0)


def test_no_change_gives_the_view_of_evaluation(tmp_path):
    path = save(tmp_path / "scan.nii", make_head([8, 0, 0]))
    for standardize in (True, False):
        settings = ViewSettings("volume", None, True, standardize, "32x32x32", 2.0)
        changed = load_augmented_grid(path, "sMRI", settings, still())
        np.testing.assert_allclose(changed, load_grid(path, "sMRI", settings), atol=1e-5)


def test_a_shift_stays_a_shift_and_is_not_undone_by_the_centring(tmp_path):
    path, motion = save(tmp_path / "scan.nii", make_head()), np.eye(4)
    motion[:3, 3] = 5.0, -4.0, 3.0
    before, after = (
        find_mm(load_augmented_grid(path, "sMRI", SETTINGS, change)[0]) for change in (still(), still(motion))
    )
    np.testing.assert_allclose(after - before, motion[:3, 3], atol=0.3)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_rotation_is_one_in_millimetres_about_the_middle_of_the_grid(tmp_path, axis):
    mark = np.array([6.0, 7.0, 8.0])
    path, motion, (i, j) = save(tmp_path / "scan.nii", make_head(mark)), np.eye(4), np.delete([0, 1, 2], axis)
    angle = np.radians(25)
    motion[[i, i, j, j], [i, j, i, j]] = np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)
    before, after = (
        find_mm(load_augmented_grid(path, "sMRI", SETTINGS, change)[0]) for change in (still(), still(motion))
    )
    assert np.linalg.norm(before - mark) < 4  # the grid's middle is the head's
    np.testing.assert_allclose(after, motion[:3, :3] @ before, atol=0.5)


def test_a_mark_on_the_right_above_in_front_is_there_afterwards(tmp_path):
    augment, path = Augmentation(seed=0), save(tmp_path / "scan.nii", make_head([14.0, 12.0, 12.0]))
    for epoch in range(12):
        augment.set_epoch(epoch)
        (view,) = load_augmented_grid(path, "sMRI", SETTINGS, augment.draw("row", 0))
        brightest = np.argwhere(view > np.quantile(view, 0.998)).mean(axis=0)
        assert np.all(brightest > 16), (epoch, brightest)


def test_all_frames_of_a_series_are_changed_alike_but_for_the_noise(tmp_path):
    head = make_head([8, 5, 0])
    path = tmp_path / "series.nii"
    save(path, np.repeat(head[..., None], 6, axis=3))
    settings = ViewSettings("volume", None, True, True, "32x32x32", 2.0, "3")
    augment = Augmentation(seed=1)
    frames = load_augmented_grid(path, "fMRI", settings, augment.draw("row", 0))
    assert frames.shape == (3, 32, 32, 32)
    difference, change = frames[0] - frames[1], frames[0] - load_grid(path, "fMRI", settings)[0]
    assert 0 < difference.std() < 0.5 * change.std()
    noiseless = augment.draw("row", 0)
    object.__setattr__(noiseless, "rng", Noiseless(noiseless.rng))
    frames = load_augmented_grid(path, "fMRI", settings, noiseless)
    np.testing.assert_array_equal(frames[0], frames[1])


class Noiseless:
    """A generator whose noise is none."""

    def __init__(self, rng):
        self.uniform, self.integers = rng.uniform, rng.integers

    def standard_normal(self, shape, dtype):
        return np.zeros(shape, dtype)


@pytest.mark.parametrize("standardize", [True, False])
def test_mean_and_deviation_stay_those_of_the_moved_view_and_the_range_stays(tmp_path, standardize):
    settings = ViewSettings("volume", None, True, standardize, "32x32x32", 2.0)
    path, change = save(tmp_path / "scan.nii", make_head([8, 5, 0])), Augmentation(seed=4, strength=2.0).draw("row", 0)
    moved = load_augmented_grid(path, "sMRI", settings, still(change.motion))
    changed = load_augmented_grid(path, "sMRI", settings, change)
    assert changed.dtype == np.float32 and not np.allclose(changed, moved, atol=0.1)
    if standardize:
        np.testing.assert_allclose([changed.mean(), changed.std()], [moved.mean(), moved.std()], atol=1e-4)
    else:
        assert changed.min() >= 0 and changed.max() <= 1


def test_a_grid_without_a_head_is_no_division_by_zero(tmp_path):
    path, far = save(tmp_path / "scan.nii", make_head()), np.eye(4)
    far[:3, 3] = 500.0
    view = load_augmented_grid(path, "sMRI", SETTINGS, still(far))
    np.testing.assert_allclose(view, load_grid(path, "sMRI", SETTINGS).min(), atol=1e-6)


# ---------------------------------------------------------------------------------------------- in the transform


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    folder = tmp_path_factory.mktemp("series")
    series = np.stack([make_head([8, 5, t]) + 20 * t for t in range(10)], axis=3)
    items = []
    for number in range(4):
        path = str(save(folder / f"{number}.nii", series))
        scan = {"type": "image", "modality": "fMRI", "image_path": path}
        question, answer = {"type": "text", "text": "Male or female?"}, {"type": "text", "text": "Female."}
        turns = [{"role": "user", "content": [scan, question]}, {"role": "assistant", "content": [answer]}]
        item = {"images": [{"path": path, "modality": "fMRI"}], "conversations": turns, "metadata": {}}
        items.append(item | {"task_id": str(number), "source": str(number)})
    return items


def make_transform(**options):
    processor = build_tiny3d_processor()
    settings = {"view": "volume", "volume_size": "32x32x32", "volume_spacing": 3.0, "frames": "window:4"}
    return ConversationTransform(processor, **settings, **options)


class Rows(torch.utils.data.Dataset):
    def __init__(self, rows, transform):
        self.rows, self.transform = rows, transform

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        return self.transform.encode_row(self.rows[index])


@pytest.mark.slow
def test_windows_and_changes_follow_the_epoch_in_workers_that_persist_and_nothing_else_changes(rows):
    augment, windows = Augmentation(seed=5), WindowDraw(seed=5)
    transform = make_transform(augment=augment, draw_window=windows)
    collate = ConversationCollator(transform.processor)
    options = {"batch_size": 2, "collate_fn": collate}
    workers = DataLoader(Rows(rows, transform), num_workers=1, persistent_workers=True, **options)
    epochs = []
    for epoch in (0, 1, 0):
        augment.set_epoch(epoch)
        windows.set_epoch(epoch)
        epochs.append(list(workers))
    plain = list(DataLoader(Rows(rows, make_transform()), **options))
    for first, second, again, shown in zip(*epochs, plain, strict=True):
        assert torch.equal(first["pixel_values"], again["pixel_values"])
        assert not torch.equal(first["pixel_values"], second["pixel_values"])
        assert not torch.equal(first["pixel_values"], shown["pixel_values"])
        for name in ("input_ids", "attention_mask", "labels", "image_sizes"):
            assert torch.equal(first[name], shown[name]), name


@pytest.mark.slow
def test_a_drawn_window_is_one_of_the_series_and_evaluation_shows_the_middle(rows):
    windows = WindowDraw(seed=0)
    drawn, shown = make_transform(draw_window=windows), make_transform()
    middle = load_grid(rows[0]["images"][0]["path"], "fMRI", shown.settings)
    np.testing.assert_array_equal(shown.load_images(rows[0], 0), middle)
    seen = []
    for epoch in range(12):
        windows.set_epoch(epoch)
        view = drawn.load_images(rows[0], 0)
        starts = [load_grid(rows[0]["images"][0]["path"], "fMRI", shown.settings, k / 7 + 0.01) for k in range(7)]
        seen.append([k for k, expected in enumerate(starts) if np.array_equal(view, expected)])
    assert all(len(found) == 1 for found in seen) and len({found[0] for found in seen}) > 3
