"""Claims about runs with batches by tokens: what they say, and that they go on within an epoch as if never stopped."""

import json
import re
import shutil

import pytest
import torch
import train
from conversation_folder import write_rows
from safetensors.torch import load_file
from tiny_trainer import trainer_parts

from umbrella.models.loading import load_model
from umbrella.options.arguments import DataArguments
from umbrella.options.training_arguments import TrainArguments
from umbrella.training.out_of_memory import list_remedies
from umbrella.training.preflight import check_deepspeed
from umbrella.training.trainer import ConversationTrainer

N_ROWS = 24
FLAGS = "--report_to none --logging_steps 1 --gradient_accumulation_steps 2 --learning_rate 1e-3 --seed 3".split()


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_rows(tmp_path_factory.mktemp("rows") / "data", N_ROWS)


@pytest.fixture
def run(call, data):
    def run(output_dir, *flags):
        flags = ("--json_dir", data, "--output_dir", output_dir, "--max_length", 400, *FLAGS, *flags)
        return call(train, *flags)

    return run


@pytest.fixture
def seen(monkeypatch):
    """The rows of each batch that is trained on, of all runs."""
    batches = []
    step = ConversationTrainer.training_step

    def training_step(self, model, inputs, num_items_in_batch=None):
        batches.append([name for name in inputs["task_ids"] if name is not None])
        return step(self, model, inputs, num_items_in_batch)

    monkeypatch.setattr(ConversationTrainer, "training_step", training_step)
    return batches


def read_losses(folder):
    history = json.loads((folder / "trainer_state.json").read_text())["log_history"]
    return [entry["loss"] for entry in history if "loss" in entry]


@pytest.mark.slow
def test_a_run_that_goes_on_within_an_epoch_comes_to_the_weights_of_one_that_was_not_stopped(run, tmp_path, seen):
    flags = ("--tokens_per_batch", 600, "--epochs", 2, "--save_steps", 6)
    out = run("whole", *flags)
    n_batches, n_steps = map(int, re.search(r"600: an epoch has (\d+) batches in (\d+) steps", out).groups())
    assert f"step {2 * n_steps} of {2 * n_steps}" in out and "--per_device_train_batch_size" not in out
    assert n_batches == 2 * n_steps == len(seen) / 2 and n_steps < 6 < 2 * n_steps  # saved within the second epoch
    for epoch in (seen[:n_batches], seen[n_batches:]):
        assert sorted(name for batch in epoch for name in batch) == sorted(f"row_{number}" for number in range(N_ROWS))
    results = json.loads((tmp_path / "whole/train_results.json").read_text())
    share = results["train_samples_per_second"] / results["train_steps_per_second"]
    assert share == pytest.approx(N_ROWS / n_steps, rel=0.01)

    shutil.copytree(tmp_path / "whole/checkpoint-6", tmp_path / "run/checkpoint-6")
    whole, seen[:] = seen[:], []
    run("run", *flags, "--resume_from_checkpoint", "auto")
    assert seen == whole[12:]
    one, other = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "run"))
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert read_losses(tmp_path / "run") == read_losses(tmp_path / "whole")

    resumed = ("--resume_from_checkpoint", tmp_path / "run/checkpoint-6")
    with pytest.raises(SystemExit, match=r"--tokens_per_batch: expected 600, .* found None"):
        run("run", "--batch_size", 4, *resumed)
    with pytest.raises(SystemExit, match=r"batches a step \(accumulation × processes\): expected 2, .* found 3"):
        run("run", *flags, "--gradient_accumulation_steps", 3, *resumed)
    marker = tmp_path / "run/checkpoint-6/complete.json"
    record = json.loads(marker.read_text())
    record["token_batches"]["lengths_xxh3_128"] = "of other lengths"
    marker.write_text(json.dumps(record))
    with pytest.raises(SystemExit, match=r"the rows' lengths .* --max_length .*: expected 'of other lengths'"):
        run("run", *flags, *resumed)


@pytest.mark.slow
def test_a_batch_that_is_checked_is_the_fullest_and_its_real_tokens_are_told(run):
    out = run("checked", "--tokens_per_batch", 700, "--check_batch", "true")
    rows, width = map(int, re.search(r"input_ids +\((\d+), (\d+)\)", out).groups())
    found = re.search(r"the fullest batch: (\d+) rows × (\d+) tokens = (\d+) with padding, (\d+) without: (.*)", out)
    assert [*map(int, found.groups()[:3])] == [rows, width, rows * width]
    assert 600 < int(found[4]) <= rows * width <= 700
    share = 1 - rows * width / 700
    assert found[5] == (f"{share:.1%} fewer than" if share else "as many as") + " --tokens_per_batch 700"


@pytest.mark.slow
def test_the_least_number_that_is_asked_for_trains(run):
    with pytest.raises(
        SystemExit, match=r"expected every row within 100 tokens, found about \d+ in train/row_"
    ) as end:
        run("run", "--tokens_per_batch", 100)
    (least,) = re.findall(r"Set it to (\d+) or more", str(end.value))
    with pytest.raises(SystemExit, match=f"Set it to {least} or more"):
        run("run", "--tokens_per_batch", int(least) - 1)
    assert "step 1 of 1" in run("run", "--tokens_per_batch", least, "--max_steps", 1)


def make_args(tmp_path, **options):
    return TrainArguments(output_dir=str(tmp_path / "run"), report_to="none", tokens_per_batch=600, **options)


def test_no_run_makes_batches_by_tokens_without_a_plan(tmp_path):
    trainer = ConversationTrainer(load_model("tiny"), make_args(tmp_path), train_dataset=[], **trainer_parts())
    with pytest.raises(ValueError, match=r"tokens_per_batch: expected a plan of the batches, found none. Make one"):
        trainer.get_train_dataloader()


def test_where_memory_runs_out_half_the_tokens_are_proposed(tmp_path):
    text = list_remedies(make_args(tmp_path, gradient_accumulation_steps=3), DataArguments(json_dir="data"))
    assert "--tokens_per_batch 300 --gradient_accumulation_steps 6   (now 600 and 3: as many tokens a step)" in text
    assert "--batch_size" not in text


def test_rows_a_device_of_deepspeeds_file_are_told_apart_from_batches_by_tokens(tmp_path):
    pytest.importorskip("deepspeed")
    stated = {"train_micro_batch_size_per_gpu": 4, "zero_optimization": {"stage": 2}}
    args = make_args(tmp_path, deepspeed=stated, gradient_accumulation_steps=2)
    with pytest.raises(ValueError, match="1 batch by tokens a device × 2 accumulated × 1 processes are 2 batches"):
        check_deepspeed(args)
    check_deepspeed(make_args(tmp_path, deepspeed=stated | {"train_micro_batch_size_per_gpu": "auto"}))
