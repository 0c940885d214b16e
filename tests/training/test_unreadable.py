"""Rows with unreadable scans: none by default; with --max_unreadable left out and listed, the same on resume."""

import pytest
import train
from conversation_folder import write_folder

from umbrella.models.tiny_llava import build_tiny_processor
from umbrella.options.training_arguments import TrainArguments
from umbrella.rows.transform import ConversationTransform
from umbrella.training.unreadable import FILE_NAME, leave_out_unreadable, read_unreadable, write_unreadable
from umbrella.views.volume_cache import VolumeCache
from umbrella_dataset import load_umbrella

SHORT = ("--batch_size", 2, "--max_length", 256, "--report_to", "none", "--lr_scheduler_type", "constant")


@pytest.fixture
def folder(tmp_path):
    """Five training rows and two of validation; the scans of train_1 and train_3 cannot be read to their end, which
    the header of the first of them does not tell."""
    folder = write_folder(tmp_path / "data", {"train": [1, 2, 0, 1, 1], "validation": [1, 1]})
    make_constant(folder / "train_1_1.nii")
    (folder / "train_3_0.nii").unlink()
    return folder


def make_constant(path):
    whole = path.read_bytes()
    path.write_bytes(whole[:352] + bytes(len(whole) - 352))


def leave_out(folder, most, cache=None, checkpoint=None, **options):
    arguments = TrainArguments(output_dir=str(folder.parent / "run"), max_unreadable=most, report_to="none", **options)
    transform = ConversationTransform(build_tiny_processor(), volume_cache=cache)
    return leave_out_unreadable(load_umbrella(str(folder)), transform, arguments, checkpoint)


@pytest.mark.slow
def test_rows_are_left_out_counted_and_listed(folder, capsys):
    splits, unreadable = leave_out(folder, most=2)
    assert splits["train"]["task_id"] == ["train_0", "train_2", "train_4"]
    assert splits["validation"]["task_id"] == ["validation_0", "validation_1"]
    assert [(scan.source, scan.modality) for scan in unreadable] == [
        ("train/train_1.json", "sMRI"),
        ("train/train_3.json", "sMRI"),
    ]
    assert "train_1_1.nii: expected" in unreadable[0].reason and "no such file" in unreadable[1].reason
    out = capsys.readouterr().out
    assert "left out: rows with an unreadable scan: 2 of 5 in train, 0 of 2 in validation; 2 scans:" in out
    assert out.count("train_3_0.nii") == 1
    write_unreadable(folder, unreadable, 2)
    assert (folder / FILE_NAME).read_text().splitlines()[0] == "path\tsource\treason\tmodality"
    assert read_unreadable(folder) == unreadable


@pytest.mark.slow
def test_a_record_shows_paths_as_people_write_them_and_matches_with_and_without_an_image_root(folder, tmp_path):
    rows = {split: load_umbrella(str(folder), split, image_root=str(folder)) for split in ("train", "validation")}
    arguments = TrainArguments(output_dir=str(tmp_path / "run"), max_unreadable=2, report_to="none")
    transform = ConversationTransform(build_tiny_processor())
    kept, unreadable = leave_out_unreadable(rows, transform, arguments, None)
    assert kept["train"]["task_id"] == ["train_0", "train_2", "train_4"]
    write_unreadable(tmp_path / "run", unreadable, 2)
    record = tmp_path / "run" / FILE_NAME
    assert f"{folder}/train_1_1.nii\t" in record.read_text() and "/././" not in record.read_text()
    for text in (record.read_text(), record.read_text().replace(f"{folder}/train_", f"{folder}/././train_", 1)):
        record.write_text(text)
        again, _ = leave_out_unreadable(rows, transform, arguments, str(tmp_path / "run/checkpoint-1"))
        assert again["train"]["task_id"] == ["train_0", "train_2", "train_4"]


def test_the_default_reads_headers_and_ends_with_all_problems(folder, tmp_path):
    with pytest.raises(SystemExit, match=r"1 of 5 scans cannot be read:\n  train/train_3.json: .*no such file"):
        leave_out(folder, most=0)
    (folder / "train/train_3.json").unlink()
    splits, unreadable = leave_out(folder, most=0)
    assert (len(splits["train"]), unreadable) == (4, [])  # the constant scan ends the run when it is met
    write_unreadable(tmp_path, [], 0)
    assert read_unreadable(tmp_path) is None


@pytest.mark.slow
def test_more_than_allowed_are_an_error_that_lists_the_first_ten(tmp_path):
    folder = write_folder(tmp_path / "data", {"train": [1] * 13})
    for scan in folder.glob("*.nii"):
        scan.unlink()
    with pytest.raises(ValueError, match=r"--max_unreadable 12: expected at most 12 .*, found 13 of 13:\n") as error:
        leave_out(folder, most=12)
    assert str(error.value).count(".json: ") == 10
    assert "... and 3 more" in str(error.value)
    with pytest.raises(ValueError, match=r"train: expected at least one row .*, found none of 13"):
        leave_out(folder, most=13)


@pytest.mark.slow
def test_a_cache_of_views_is_filled_on_the_way(folder, tmp_path, monkeypatch):
    leave_out(folder, 2, cache=VolumeCache(tmp_path / "cache"))
    assert len(list((tmp_path / "cache").glob("*/*/*.view"))) == 5  # of 7 scans
    transform = ConversationTransform(build_tiny_processor(), volume_cache=tmp_path / "cache")
    monkeypatch.setattr("umbrella.views.loading.read_scan", lambda *_: pytest.fail("decoded again"))
    assert transform.load_images(load_umbrella(str(folder), split="train")[0], 0).shape == (1, 3, 64, 64)


def test_a_negative_number_is_refused():
    with pytest.raises(ValueError, match="--max_unreadable: expected at least 0, found -1"):
        TrainArguments(output_dir="run", max_unreadable=-1)


@pytest.fixture
def begun(folder):
    """A run with a checkpoint, which left out two scans."""
    (folder.parent / "run/checkpoint-1").mkdir(parents=True)
    write_unreadable(folder.parent / "run", leave_out(folder, most=2)[1], 2)
    return folder


@pytest.mark.slow
def test_a_run_that_goes_on_leaves_out_the_same_rows(begun, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    expected = leave_out(begun, most=2)
    for name in ("train_1_1.nii", "train_3_0.nii"):  # both can be read again
        (begun / name).write_bytes((begun / "train_0_0.nii").read_bytes())
    splits, unreadable = leave_out(begun, 2, checkpoint="run/checkpoint-1")
    assert unreadable == expected[1]
    assert splits["train"]["task_id"] == expected[0]["train"]["task_id"]
    assert leave_out(begun, most=2)[1] == []  # a new run takes them


@pytest.mark.slow
def test_a_run_that_goes_on_with_other_scans_is_stopped(begun, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    go_on = {"checkpoint": "run/checkpoint-1"}
    with pytest.raises(ValueError, match=r"--max_unreadable 0: expected at least 2, .* Set --max_unreadable 2"):
        leave_out(begun, 0, **go_on)
    whole = (begun / "validation_0_0.nii").read_bytes()
    (begun / "validation_0_0.nii").unlink()
    with pytest.raises(ValueError, match=r"found 1 that cannot be read any more:\n  validation/validation_0.json"):
        leave_out(begun, 9, **go_on)
    (begun / "validation_0_0.nii").write_bytes(whole)
    (begun / "train/train_3.json").unlink()
    with pytest.raises(ValueError, match=rf"{FILE_NAME}: expected the rows .* no row with the scan .*train_3_0.nii"):
        leave_out(begun, 2, **go_on)


@pytest.mark.slow
def test_training_goes_on_without_the_rows_and_resumes_to_the_same_weights(call, folder, tmp_path):
    flags = ("--json_dir", folder, *SHORT, "--max_unreadable", 2, "--eval_strategy", "epoch")
    assert "2 of 5 in train" in call(train, *flags, "--output_dir", "whole", "--max_steps", 2)
    assert len(read_unreadable(tmp_path / "whole")) == 2
    call(train, *flags, "--output_dir", "run", "--max_steps", 1, "--save_steps", 1)
    (folder / "train_3_0.nii").write_bytes((folder / "train_0_0.nii").read_bytes())
    call(train, *flags, "--output_dir", "run", "--max_steps", 2, "--resume_from_checkpoint", "true")
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "run")]
    assert weights[0] == weights[1]
