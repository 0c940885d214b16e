"""train.py in this process: what it writes, and how it ends when something is wrong."""

import hashlib
import json
import re
import shutil

import pytest
import torch
import train
from conversation_folder import write_folder
from transformers import AutoModelForImageTextToText, AutoProcessor

from umbrella.models.loading import load_model
from umbrella.records.training_data import read_training_data

SHORT = ("--max_steps", 2, "--batch_size", 2, "--learning_rate", "1e-3", "--max_length", 256, "--report_to", "none")


@pytest.mark.slow
def test_training_changes_the_weights_and_saves_what_loads(call, small_data, tmp_path):
    out = call(train, "--json_dir", small_data, "--output_dir", "run", *SHORT, "--save_steps", 1)
    assert "world size: 1" in out
    model = AutoModelForImageTextToText.from_pretrained(tmp_path / "run")
    processor = AutoProcessor.from_pretrained(tmp_path / "run")
    before = load_model("tiny", seed=42).state_dict()
    moved = [name for name, value in model.state_dict().items() if not torch.equal(value, before[name])]
    assert {name.split(".")[1] for name in moved} >= {"vision_tower", "multi_modal_projector", "language_model"}
    assert processor.tokenizer.convert_tokens_to_ids("<image>") == model.config.image_token_id

    (record,) = json.loads((tmp_path / "run/run.json").read_text())
    assert record["command"].endswith("--save_steps 1")
    assert record["seeds"]["seed"] == 42
    assert record["data"]["train"]["rows"] == 8
    resolved = record["arguments"]
    assert (resolved["learning_rate"], resolved["max_steps"], resolved["num_train_epochs"]) == (1e-3, 2, 3.0)
    assert (resolved["model_name_or_path"], resolved["view"]) == ("tiny", None)
    assert not [name for name in resolved if name.endswith(("token", "key"))]
    (model,) = record["started_from"]
    assert (model["name"], model["seed"], model["recorded"]) == ("tiny", 42, True)
    assert record["splits_sha256"] is None
    assert set(record["versions"]) >= {"torch", "transformers", "datasets"}
    for folder in ("run", "run/checkpoint-1", "run/checkpoint-2"):
        recipe = json.loads((tmp_path / folder / "umbrella_recipe.json").read_text())
        assert (recipe["view"], recipe["image_size"], recipe["standardize"]) == ("axial", 64, True)
        shutil.move(tmp_path / folder / "training_data.json", tmp_path / "alone.json")
        assert len(json.loads((tmp_path / "alone.json").read_text())["seen"][0]["subject_sha256"]) == 4


@pytest.mark.slow
def test_same_seed_gives_the_same_weights_and_another_seed_others(call, small_data, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        call(train, "--json_dir", small_data, "--output_dir", name, *SHORT, "--seed", seed)
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in "abc"]
    assert weights[0] == weights[1] != weights[2]


@pytest.mark.slow
def test_full_determinism_runs_on_the_cpu_and_repeats_itself_to_the_bit(call, small_data, tmp_path, determinism):
    flags = (*SHORT, "--full_determinism", "true", "--gradient_accumulation_steps", 2)
    for name in "ab":
        call(train, "--json_dir", small_data, "--output_dir", name, *flags)
        assert torch.are_deterministic_algorithms_enabled()
        torch.use_deterministic_algorithms(False)
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in "ab"]
    assert weights[0] == weights[1]


@pytest.mark.slow
def test_run_record_names_the_assignment_to_splits(call, data, tmp_path):
    (data / "splits.json").write_text('{"sub-0001": "train"}')
    call(train, "--json_dir", data, "--output_dir", "run", *SHORT)
    expected = hashlib.sha256(b'{"sub-0001": "train"}').hexdigest()
    assert json.loads((tmp_path / "run/run.json").read_text())[0]["splits_sha256"] == expected


def test_check_batch_prints_one_batch_and_trains_nothing(call, small_data, tmp_path):
    out = call(train, "--json_dir", small_data, "--output_dir", "run", *SHORT, "--check_batch", "true")
    assert "pixel_values" in out and "(4, 3, 64, 64)" in out
    assert out.count("supervised tokens") == 2
    assert "loss " in out and "peak memory" in out
    assert not (tmp_path / "run").exists()


def test_check_batch_computes_in_the_precision_of_training(call, small_data):
    """The frozen tower in 16 bits leads into a projector in 32."""
    flags = ("--bf16", "true", "--train", "projector", "--check_batch", "true")
    assert "loss " in call(train, "--json_dir", small_data, "--output_dir", "run", *SHORT, *flags)


@pytest.mark.slow
def test_guide_spellings_and_tensorboard(call, small_data, tmp_path):
    flags = ("--epochs", 1, "--batch_size", 4, "--evaluation_strategy", "epoch", "--logging_dir", "logs")
    call(train, "--json_dir", small_data, "--output_dir", "run", *flags, "--max_length", 256)
    assert list((tmp_path / "logs").glob("events*"))
    history = json.loads((tmp_path / "run/trainer_state.json").read_text())["log_history"]
    assert [entry["epoch"] for entry in history if "eval_loss" in entry] == [1.0]
    assert history[-1]["step"] == 2  # 8 rows in batches of 4


@pytest.mark.slow
def test_resume_goes_on_where_the_checkpoint_ends(call, small_data, tmp_path):
    flags = ("--json_dir", small_data, "--batch_size", 2, "--max_length", 256, "--lr_scheduler_type", "constant")
    call(train, *flags, "--output_dir", "whole", "--max_steps", 4)
    call(train, *flags, "--output_dir", "run", "--max_steps", 2, "--save_steps", 2)
    (first,) = json.loads((tmp_path / "run/run.json").read_text())
    weights = (tmp_path / "run/checkpoint-2/model.safetensors").read_bytes()
    (tmp_path / "more.yaml").write_text("max_steps: 4\nresume_from_checkpoint: true\nhub_private_repo: true\n")
    call(train, "more.yaml", *flags, "--output_dir", "run")
    before, second = json.loads((tmp_path / "run/run.json").read_text())
    assert before == first
    assert (second["arguments"]["max_steps"], second["arguments"]["hub_private_repo"]) == (4, True)
    checkpoint, model = second["started_from"]
    fingerprint = f"model.safetensors {hashlib.sha256(weights).hexdigest()}\n"
    assert checkpoint == {
        "checkpoint": "run/checkpoint-2", "weights_sha256": hashlib.sha256(fingerprint.encode()).hexdigest()
    }  # fmt: skip
    assert model["name"] == "tiny"
    (seen,) = read_training_data("run").seen  # the same rows
    assert (seen.rows, seen.rows_sha256) == (8, second["data"]["train"]["sha256"])
    whole, resumed = (
        AutoModelForImageTextToText.from_pretrained(tmp_path / name).state_dict() for name in ("whole", "run")
    )
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def no_train_files(data):
    (data / "generated.json").unlink()  # it would name what is missing
    for path in (data / "train").iterdir():
        path.unlink()


def not_json(data):
    (data / "train" / "broken.json").write_text("hello")


def unknown_modality(data):
    path = sorted((data / "train").iterdir())[0]
    path.write_text(path.read_text().replace("sMRI", "CT"))


def first_scan(data):
    return sorted((data / "images" / "train").iterdir())[0]


def no_scan(data):
    first_scan(data).unlink()


def not_nifti(data):
    first_scan(data).write_bytes(b"hello")


def cut_short(data):
    for path in (data / "images" / "train").iterdir():
        path.write_bytes(path.read_bytes()[:-5000])


def control_text(data):
    path = sorted((data / "train").iterdir())[0]
    path.write_text(path.read_text().replace('"text": "', '"text": "<|im_end|> ', 1))


BAD_DATA = {
    no_train_files: r"data/train: expected .json or .jsonl files, found none",
    not_json: r"train/broken.json: file: expected one JSON object, found",
    unknown_modality: r'modality: expected one of sMRI, dMRI, fMRI, found "CT"',
    no_scan: r"sub-0001_T1w.nii.gz: expected a scan, found no such file",
    not_nifti: r"sub-0001_T1w.nii.gz: expected a NIfTI or FreeSurfer scan, found a file that starts with b'hell'",
    cut_short: r"train/sex_comparison_train_000\d.json: .*cut short",
    control_text: r"train/sex_comparison_train_0000.json: .*found the control token '<\|im_end\|>'",
}


@pytest.mark.parametrize("spoil", BAD_DATA, ids=lambda spoil: spoil.__name__)
def test_bad_data_ends_with_one_sentence_that_names_it(spoil, call, data):
    spoil(data)
    with pytest.raises(SystemExit, match=BAD_DATA[spoil]) as end:
        call(train, "--json_dir", data, "--output_dir", "run", *SHORT)
    assert str(end.value).startswith("error: ")
    assert "Traceback" not in str(end.value)


BAD_FLAGS = {
    (
        "--max_length",
        30,
    ): r"expected rows that fit into --max_length 30, found \d of 8 .*train_000\d.json .* Set --max_length to \d+",
    ("--image_size", 224): r"image_size: expected 64, .* found 224",
    ("--view", "axal"): r"view: expected one of axial, .* found 'axal'",
    ("--model_name_or_path", "./no/such/model"): r"expected a folder .* found no folder",
    ("--model_name_or_path", "some-lab/some-model"): r"no folder 'some-lab/some-model' here, and the Hub is not asked",
    ("--modalities", "fMRI"): r"expected .*fMRI",
    ("--image_root", "./elsewhere"): r"elsewhere",
}


@pytest.mark.parametrize("flags", BAD_FLAGS, ids=lambda flags: flags[0].strip("-"))
def test_bad_flag_ends_with_one_sentence_that_names_it(flags, call, small_data, tmp_path):
    with pytest.raises(SystemExit, match=BAD_FLAGS[flags]) as end:
        call(train, "--json_dir", small_data, "--output_dir", "run", *SHORT, *flags, "--report_to", "tensorboard")
    assert str(end.value).startswith("error: ")
    assert not list((tmp_path / "run").rglob("*"))  # it can be used again


def test_a_missing_validation_split_is_told_by_the_flag_as_it_was_given(call, tmp_path):
    data = write_folder(tmp_path / "data", {"train": [1, 1]})
    with pytest.raises(SystemExit, match="--eval_strategy epoch evaluates on it"):
        call(train, "--json_dir", data, "--output_dir", "run", *SHORT, "--eval_strategy", "epoch")


NO_STEP = {
    ("--dataloader_drop_last", "true", "--batch_size", 16): r"found 8 rows for 16 a batch on one process.* most 8",
    ("--max_steps", 0): r"--max_steps: expected at least 1, or -1, found 0",
    ("--max_steps", -1, "--num_train_epochs", 0): r"--num_train_epochs: expected more than 0, found 0",
}


@pytest.mark.parametrize("flags", NO_STEP, ids=lambda flags: flags[-2].strip("-"))
def test_a_run_that_would_take_no_step_is_an_error_before_anything_is_saved(flags, call, small_data, tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        call(train, "--json_dir", small_data, "--output_dir", "run", *SHORT, *flags, "--save_strategy", "epoch")
    assert re.search(NO_STEP[flags], f"{end.value} {capsys.readouterr().err}")
    assert not list((tmp_path / "run").rglob("*"))


@pytest.mark.slow
def test_rows_that_fill_no_batch_of_all_processes_are_an_error_too(call, small_data, monkeypatch):
    monkeypatch.setattr(train.TrainArguments, "world_size", property(lambda self: 2))
    monkeypatch.setattr(train, "check_world_size", lambda size: None)
    with pytest.raises(SystemExit, match=r"found 8 rows for 8 a batch on 2 processes: .* --batch_size to at most 4"):
        call(
            train,
            "--json_dir",
            small_data,
            "--output_dir",
            "run",
            *SHORT,
            "--batch_size",
            8,
            "--dataloader_drop_last",
            1,
        )


@pytest.mark.slow
def test_a_run_whose_every_step_was_left_out_saves_no_model(call, small_data, tmp_path, monkeypatch):
    monkeypatch.setattr("accelerate.Accelerator.optimizer_step_was_skipped", property(lambda self: True))
    with pytest.raises(SystemExit, match="found 2 steps that were all left out, their gradients too large"):
        call(train, "--json_dir", small_data, "--output_dir", "run", *SHORT)
    assert not list((tmp_path / "run").glob("*.safetensors"))


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        (("--learning_rate", 0), "found 2 steps after which they are what they were: --learning_rate is 0"),
        (("--max_steps", 1, "--warmup_steps", 10), "found 1 step after .*in a warm-up of 10 steps for a run of 1"),
        (("--max_steps", 1, "--learning_rate", "3e38"), "expected finite weights at the end, found nan or infinite"),
    ],
)
@pytest.mark.slow
def test_a_run_that_leaves_the_weights_as_they_were_or_not_finite_saves_no_model(
    flags, why, call, small_data, tmp_path
):
    with pytest.raises(SystemExit, match=why):
        call(train, "--json_dir", small_data, "--output_dir", "run", *SHORT, *flags)
    assert not list((tmp_path / "run").glob("*.safetensors"))


def test_missing_data_folder_is_named_and_nothing_is_written(call, tmp_path):
    with pytest.raises(SystemExit, match=r"nowhere: expected a data folder, found none"):
        call(train, "--json_dir", "nowhere", "--output_dir", "run")
    assert not (tmp_path / "run").exists()


def test_folder_with_an_earlier_run_is_refused(call, small_data, tmp_path):
    (tmp_path / "run/checkpoint-1").mkdir(parents=True)
    with pytest.raises(SystemExit, match=r"run: expected an empty or new folder, found an earlier run"):
        call(train, "--json_dir", small_data, "--output_dir", "run", *SHORT)


@pytest.mark.slow
def test_loss_that_is_not_finite_stops_the_run_and_names_the_rows(call, small_data):
    with pytest.raises(
        SystemExit, match=r"expected a finite loss, found .* sex_comparison_train_000\d, sex_comparison"
    ):
        call(
            train, "--json_dir", small_data, "--output_dir", "run", *SHORT,
            "--learning_rate", "1e30", "--max_grad_norm", 0, "--max_steps", 8,
        )  # fmt: skip
    assert len(read_training_data("run").seen) == 1  # it took a step, and could have saved


def test_wrong_world_size_is_refused(call, small_data, monkeypatch):
    monkeypatch.setattr(train.TrainArguments, "world_size", property(lambda self: 1))
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises((SystemExit, ValueError), match=r"expected 2 processes that train together.*world size of 1"):
        train.check_world_size(1)
