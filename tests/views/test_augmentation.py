"""Augmentation: left stays left, a row in an epoch looks the same whatever loads it, evaluation sees none."""

import copy
import runpy
import shutil
import sys
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conversation_folder import write_folder
from datasets import concatenate_datasets
from tiny_trainer import trainer_parts
from torch.utils.data import DataLoader
from train import choose_callbacks

from umbrella.models.loading import load_model, load_processor
from umbrella.models.tiny_llava import build_tiny_processor
from umbrella.options.training_arguments import TrainArguments
from umbrella.rows.batches.cohorts import Cohorts
from umbrella.rows.cohort_names import name_rows
from umbrella.rows.collator import ConversationCollator
from umbrella.rows.transform import ConversationTransform
from umbrella.training.augmentation_epoch import SetEpoch
from umbrella.training.trainer import ConversationTrainer
from umbrella.views.augmentation import Augmentation, WindowDraw, draw_motion, move_head
from umbrella.views.planes import make_view
from umbrella_dataset import load_umbrella

monai = pytest.importorskip("monai")

TRAIN = str(Path(__file__).parents[2] / "recipes" / "train.py")
SHAPE, SPACING_MM = (40, 36, 20), np.array([1.0, 1.5, 4.0], np.float32)


def make_blob(centre_mm, radius_mm=7.0):
    """A ball at `centre_mm` from the volume's middle."""
    axes = [(np.arange(n) - (n - 1) / 2) * mm for n, mm in zip(SHAPE, SPACING_MM, strict=True)]
    distance = np.linalg.norm(np.stack(np.meshgrid(*axes, indexing="ij"), -1) - centre_mm, axis=-1)
    return np.clip(radius_mm + 1 - distance, 0, 1).astype(np.float32)


def find_centre_mm(volume):
    weights = volume / volume.sum()
    axes = [(np.arange(n) - (n - 1) / 2) * mm for n, mm in zip(SHAPE, SPACING_MM, strict=True)]
    return np.array([(weights.sum(tuple({0, 1, 2} - {i})) * axes[i]).sum() for i in range(3)])


# ------------------------------------------------------------------------------------------------ what is done


def test_right_stays_right_up_stays_up_whatever_is_drawn():
    for draw in range(500):
        motion = draw_motion(np.random.default_rng(draw), strength=2.0)
        assert np.linalg.det(motion[:3, :3]) > 0  # no flip
        assert np.all(np.diag(motion)[:3] > 0.7)  # each axis goes the way it went


def test_a_mark_on_the_right_is_on_the_right_afterwards():
    augment = Augmentation(seed=0, strength=2.0)
    marked = make_blob([13.0, 0.0, 0.0], radius_mm=5.0)
    for epoch in range(10):
        augment.set_epoch(epoch)
        changed = augment(marked, SPACING_MM, "row", 0)
        x, _, _ = np.unravel_index(np.argmax(changed), SHAPE)
        assert x > SHAPE[0] / 2 + 2


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_rotation_is_one_in_millimetres(axis):
    """In voxels of 1 × 1.5 × 4 mm a rotation of the voxel grid would be a shear of the head."""
    motion, (i, j) = np.eye(4), np.delete([0, 1, 2], axis)
    angle = np.radians(30)
    motion[[i, i, j, j], [i, j, i, j]] = np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)
    motion[:3, 3] = 2.0, -1.5, 4.0
    start = np.array([5.0, 6.0, 8.0])
    moved = move_head(make_blob(start), motion, SPACING_MM)
    np.testing.assert_allclose(find_centre_mm(moved), motion[:3, :3] @ start + motion[:3, 3], atol=0.3)


def test_scans_of_a_row_are_moved_alike_and_look_different():
    augment, blob = Augmentation(seed=3, strength=2.0), make_blob([4.0, -4.0, 6.0], radius_mm=9.0)
    scans = {(row, scan): augment(blob, SPACING_MM, row, scan) for row in "abcd" for scan in (0, 1)}
    centres = {key: find_centre_mm(volume > 0.3) for key, volume in scans.items()}
    for row, other in ("ab", "bc", "cd", "da"):
        assert np.linalg.norm(centres[row, 0] - centres[row, 1]) < 1.0  # a voxel is 1 × 1.5 × 4 mm
        assert np.linalg.norm(centres[row, 0] - centres[other, 0]) > 2.0
        assert not np.array_equal(scans[row, 0], scans[row, 1])


def test_a_volume_stays_in_its_range_and_is_not_changed_itself():
    blob = make_blob([0.0, 0.0, 0.0])
    before, states = blob.copy(), (np.random.get_state()[1].copy(), torch.random.get_rng_state())
    changed = Augmentation(seed=0, strength=2.0)(blob, SPACING_MM, "row", 0)
    assert changed.dtype == np.float32 and changed.shape == SHAPE
    assert changed.min() >= 0 and changed.max() <= 1
    np.testing.assert_array_equal(blob, before)
    np.testing.assert_array_equal(np.random.get_state()[1], states[0])  # nor the random state of anything else
    assert torch.equal(torch.random.get_rng_state(), states[1])


def test_what_is_drawn_depends_on_seed_epoch_row_and_scan_and_on_nothing_else():
    blob = make_blob([0.0, 0.0, 0.0])

    def draw(seed=0, epoch=0, task_id="row", scan=0):
        augment = Augmentation(seed)
        augment.set_epoch(epoch)
        return augment(blob, SPACING_MM, task_id, scan)

    np.testing.assert_array_equal(draw(), draw())
    for change in ({"seed": 1}, {"epoch": 1}, {"task_id": "row 2"}, {"scan": 1}):
        assert not np.array_equal(draw(), draw(**change)), change


@pytest.mark.parametrize("strength", [0, -1, 2.5])
def test_another_strength_is_refused(strength):
    with pytest.raises(ValueError, match="--augment_strength: expected more than 0 and at most 2"):
        Augmentation(0, strength)


def test_missing_monai_is_named_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "monai", None)
    with pytest.raises(ImportError, match=r'--augment: expected the package monai, .* pip install -e "\.\[augment\]"'):
        Augmentation(0)


# ------------------------------------------------------------------------------------------------ in the transform


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    return load_umbrella(str(write_folder(tmp_path_factory.mktemp("data"), {"train": [1] * 8})), split="train")


def test_augmentation_is_refused_in_evaluation_and_without_normalisation():
    for option in ({"add_generation_prompt": True}, {"normalize": False}):
        with pytest.raises(ValueError, match="augment: expected add_generation_prompt=False"):
            ConversationTransform(build_tiny_processor(32), augment=Augmentation(0), **option)


def test_a_volume_is_standardised_after_it_was_augmented(rows):
    """So a change of gain and offset leaves no trace, and the encoder always sees the same mean and variance."""
    processor = build_tiny_processor(32)
    halved = ConversationTransform(processor, augment=lambda volume, spacing_mm, task_id, scan: volume / 2 + 0.3)
    plain = ConversationTransform(processor)
    for row in rows.select(range(2)):
        ours, expected = (transform.encode_row(row)["pixel_values"] for transform in (halved, plain))
        torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-4)


def test_augmentation_sees_the_normalised_volume_its_spacing_row_and_scan(rows):
    seen = []

    def record(volume, spacing_mm, task_id, scan):
        seen.append((volume.min(), volume.max(), spacing_mm.tolist(), task_id, scan))
        return np.ones_like(volume)

    transform = ConversationTransform(build_tiny_processor(32), standardize=False, augment=record)
    images = transform.load_images(rows[3], 0)
    assert seen == [(0.0, 1.0, [2.0, 1.5, 3.0], "train_3", 0)]
    np.testing.assert_array_equal(images, make_view(np.ones((9, 11, 7), np.float32), "axial", 32, np.ones(3)))


# ------------------------------------------------------------------------------------------------ in training


def load_epoch(loader):
    """task_id → pixel values, of all rows of an epoch."""
    batches = list(loader)
    ids = [task_id for batch in batches for task_id in batch["task_ids"]]
    return dict(zip(ids, torch.cat([batch["pixel_values"] for batch in batches]), strict=True))


def is_same(one, other):
    return [torch.equal(one[task_id], other[task_id]) for task_id in sorted(one)]


def make_loader(rows, augment, **options):
    processor = build_tiny_processor(32)
    rows = rows.with_transform(ConversationTransform(processor, augment=augment))
    return DataLoader(rows, batch_size=2, collate_fn=ConversationCollator(processor, keep_metadata=True), **options)


@pytest.mark.slow
def test_persistent_workers_follow_the_epoch_and_no_worker_looks_different(rows):
    augment = Augmentation(seed=5)
    workers = make_loader(rows, augment, num_workers=2, persistent_workers=True)
    epochs = []
    for epoch in (0, 1, 0):
        augment.set_epoch(epoch)
        epochs.append(load_epoch(workers))
    assert is_same(epochs[0], epochs[2]) == [True] * 8
    assert is_same(epochs[0], epochs[1]) == [False] * 8
    # Each row by another worker, in another order, and by none.
    reversed_order = make_loader(rows, augment, num_workers=2, sampler=list(range(7, -1, -1)))
    assert is_same(epochs[0], load_epoch(reversed_order)) == [True] * 8
    assert is_same(epochs[0], load_epoch(make_loader(rows, augment))) == [True] * 8


def test_a_copy_of_the_rows_follows_the_same_epochs(rows):
    """datasets copies a transform in depth where it makes a dataset of a dataset, as `with_format` does."""
    augment = Augmentation(seed=5)
    rows = rows.with_transform(ConversationTransform(build_tiny_processor(32), augment=augment))
    copied = copy.deepcopy(rows)
    augment.set_epoch(3)
    assert torch.equal(rows[0]["pixel_values"], copied[0]["pixel_values"])


@pytest.mark.slow
def test_workers_that_are_spawned_follow_the_epoch_too(rows):
    augment = Augmentation(seed=5)
    workers = make_loader(
        rows, augment, num_workers=1, persistent_workers=True, multiprocessing_context="spawn", prefetch_factor=2
    )
    for epoch in (0, 1):
        augment.set_epoch(epoch)
        assert is_same(load_epoch(workers), load_epoch(make_loader(rows, augment))) == [True] * 8


class RecordingTrainer(ConversationTrainer):
    def training_step(self, model, inputs, num_items_in_batch=None):
        self.seen.append((inputs["task_ids"], inputs["pixel_values"].clone()))
        return super().training_step(model, inputs, num_items_in_batch)


def train(rows, folder, workers, resume=None):
    """Two epochs of four steps, of two cohorts, of one of which each row comes twice an epoch. Returns what each step
    saw."""
    processor = load_processor("tiny")
    augment = Augmentation(seed=5)
    rows = concatenate_datasets([name_rows(rows.select(range(6)), "A"), name_rows(rows.select([6, 7]), "B")])
    cohorts = Cohorts(("A", "B"), (torch.arange(6), torch.tensor([6, 7])), (0.5, 0.5))
    parts = trainer_parts(processor)
    parts["provenance"] = replace(parts["provenance"], cohorts=cohorts)
    trainer = RecordingTrainer(
        model=load_model("tiny"),
        args=TrainArguments(
            output_dir=str(folder),
            num_train_epochs=2,
            per_device_train_batch_size=2,
            save_steps=6,
            dataloader_num_workers=workers,
            use_cpu=True,
            report_to="none",
            disable_tqdm=True,
        ),
        train_dataset=rows.with_transform(ConversationTransform(processor, augment=augment)),
        callbacks=[SetEpoch(augment)],
        **parts,
    )
    trainer.seen = []
    trainer.train(resume_from_checkpoint=resume)
    return trainer.seen


@pytest.mark.slow
def test_training_resumed_in_the_middle_of_an_epoch_sees_what_it_would_have_seen(rows, tmp_path):
    whole = train(rows, tmp_path / "run", workers=2)
    resumed = train(rows, tmp_path / "run", workers=0, resume=str(tmp_path / "run" / "checkpoint-6"))
    assert len(whole) == 8 and len(resumed) == 2
    for (ids, images), (ids_resumed, images_resumed) in zip(whole[6:], resumed, strict=True):
        assert ids == ids_resumed
        assert torch.equal(images, images_resumed)
    of_row = {}
    for ids, images in whole:
        for task_id, image in zip(ids, images, strict=True):
            of_row.setdefault(task_id, []).append(image)
    assert sorted(map(len, of_row.values())) == [1, 1, 1, 1, 2, 2, 4, 4]
    assert not any(torch.equal(*pair) for images in of_row.values() for pair in combinations(images, 2))


@pytest.mark.slow
def test_train_py_augments_the_training_rows_alone(tmp_path, monkeypatch):
    class Reached(Exception):
        pass

    def look(trainer, **_):
        seen.append(
            [
                rows.format["format_kwargs"]["transform"].augment
                for rows in (trainer.train_dataset, trainer.eval_dataset)
            ]
        )
        seen.append(
            [
                each
                for callback in trainer.callback_handler.callbacks
                if type(callback).__name__ == "SetEpoch"
                for each in callback.drawn
            ]
        )
        raise Reached

    data, seen = write_folder(tmp_path / "data", {"train": [1], "validation": [1]}), []
    flags = ["--json_dir", str(data), "--output_dir", str(tmp_path / "out"), "--eval_strategy", "epoch", "--seed", "7"]
    monkeypatch.setattr("umbrella.training.trainer.ConversationTrainer.train", look)
    for more in ([], ["--augment", "true", "--augment_strength", "0.5"]):
        monkeypatch.setattr(sys, "argv", ["train.py", *flags, *more])
        with pytest.raises(Reached):
            runpy.run_path(TRAIN, run_name="__main__")
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
    assert seen[:2] == [[None, None], []]
    (in_training, in_evaluation), followed = seen[2:]
    assert (in_training.seed, in_training.strength, in_evaluation) == (7, 0.5, None)
    assert followed == [in_training]


def test_augmentation_and_windows_follow_the_epochs_by_one_callback():
    augment, windows = Augmentation(seed=0), WindowDraw(0)
    (callback,) = choose_callbacks(SimpleNamespace(early_stopping_patience=None), augment, windows)
    before = augment.draw("a", 0).motion, windows("a", 0)
    callback.on_epoch_begin(None, SimpleNamespace(epoch=2.0), None)
    assert not np.array_equal(augment.draw("a", 0).motion, before[0]) and windows("a", 0) != before[1]
