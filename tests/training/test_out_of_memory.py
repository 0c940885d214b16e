"""Claims about what is said when memory runs out: the remedies that are left, as flags, with their present values."""

import json

import pytest
import torch
import train

from umbrella.options.arguments import DataArguments
from umbrella.options.training_arguments import TrainArguments
from umbrella.training.out_of_memory import explain_out_of_memory, list_remedies


@pytest.mark.slow
def test_memory_that_is_not_there_ends_with_flags_and_their_present_values(call, small_data, monkeypatch):
    def run_out(self, *args, **kwargs):
        return torch.empty(1 << 50)  # a real allocation that fails

    monkeypatch.setattr(train.ConversationTrainer, "compute_loss", run_out)
    flags = ("--json_dir", small_data, "--output_dir", "run", "--report_to", "none", "--batch_size", 4)
    with pytest.raises(SystemExit, match=r"error: .*can't allocate memory") as end:
        call(train, *flags, "--gradient_accumulation_steps", 2, "--max_length", 512, "--view", "slices:2")
    lines = str(end.value).splitlines()
    assert [line.split("   (")[0].strip() for line in lines[2:]] == [
        "--batch_size 1 --gradient_accumulation_steps 8",
        "--gradient_checkpointing true",
        "--bf16 true",
        "--max_length 256",
        "--deepspeed ds_configs/zero2.json",
        "--train lora or --train projector",
        "--view axial",
    ]
    assert "now 4 and 2: the same rows a step" in str(end.value)
    assert "now 512 tokens a row at most" in str(end.value)


def test_a_model_that_does_not_fit_ends_with_them_too(call, small_data, monkeypatch):
    monkeypatch.setattr(train.ConversationTrainer, "_move_model_to_device", lambda *_: torch.empty(1 << 50))
    monkeypatch.setattr(train.ConversationTrainer, "place_model_on_device", True, raising=False)
    with pytest.raises(SystemExit, match=r"error: .*can't allocate memory.*\n.*\n  --batch_size 1"):
        call(train, "--json_dir", small_data, "--output_dir", "run", "--report_to", "none")


def test_what_is_done_already_is_not_proposed(tmp_path):
    args = TrainArguments(
        output_dir=str(tmp_path), report_to="none", per_device_train_batch_size=1, bf16=True, train="lora",
        activation_checkpointing=True, deepspeed={"zero_optimization": {"stage": 2}, "bf16": {"enabled": "auto"}},
    )  # fmt: skip
    text = list_remedies(args, DataArguments(json_dir="data"))
    assert "--max_length 1024" in text and "zero3.json" in text
    assert not any(flag in text for flag in ("batch_size", "checkpointing", "bf16", "--train", "--view"))


def test_of_volumes_size_and_frames_are_proposed(tmp_path):
    args = TrainArguments(output_dir=str(tmp_path), report_to="none")
    text = list_remedies(args, DataArguments(json_dir="data", view="volume", frames="8"))
    assert "--volume_spacing and --volume_size" in text and "--frames   (now 8: fewer)" in text
    assert "--frames" not in list_remedies(args, DataArguments(json_dir="data", volume_size="64"))


def test_another_error_is_left_as_it_is(tmp_path):
    args = TrainArguments(output_dir=str(tmp_path), report_to="none")
    with pytest.raises(RuntimeError, match="shapes"), explain_out_of_memory(args, DataArguments(json_dir="data")):
        torch.zeros(2) @ torch.zeros(3, 4)
    with pytest.raises(MemoryError), explain_out_of_memory(args, DataArguments(json_dir="data")):
        raise RuntimeError("Evaluation hit an out-of-memory error.")  # transformers', with --auto_find_batch_size


@pytest.mark.nightly
def test_auto_find_batch_size_trains_with_what_fits(call, small_data, tmp_path, monkeypatch):
    compute_loss = train.ConversationTrainer.compute_loss

    def fit_two_rows(self, model, inputs, *args, **kwargs):
        if len(inputs["input_ids"]) > 2:
            raise RuntimeError("CUDA out of memory. Tried to allocate")
        return compute_loss(self, model, inputs, *args, **kwargs)

    monkeypatch.setattr(train.ConversationTrainer, "compute_loss", fit_two_rows)
    flags = ("--json_dir", small_data, "--report_to", "none", "--max_length", 256, "--epochs", 1, "--batch_size", 8)
    call(train, *flags, "--output_dir", "run", "--auto_find_batch_size", "true")
    state = json.loads((tmp_path / "run/trainer_state.json").read_text())
    assert (state["train_batch_size"], state["global_step"]) == (2, 4)  # of 8 rows
    with pytest.raises(SystemExit, match="out of memory"):
        call(train, *flags, "--output_dir", "other")
