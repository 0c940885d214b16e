"""Claims about starts that cannot work on several processes: one sentence, said once, and an exit code above 0."""

import json

import pytest
import train
from forking import run_ranks, start_ranks
from test_train import SHORT
from transformers import TrainingArguments
from transformers.integrations.deepspeed import is_deepspeed_zero3_enabled, unset_hf_deepspeed_config

from umbrella.options.commands import ending as command
from umbrella.options.parsing import parse_arguments
from umbrella.options.training_arguments import TrainArguments
from umbrella.training.preflight import check_deepspeed, check_enough_rows

# The training guide's Example 3.
GUIDE_CONFIG = {
    "train_batch_size": 16,
    "gradient_accumulation_steps": 4,
    "optimizer": {
        "type": "AdamW",
        "params": {"lr": 2e-5, "betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 0.01},
    },
    "zero_optimization": {"stage": 2},
}
# train.py, whose processes wait 4 seconds for the first instead of 10.
LESS_PATIENT = f"""
import runpy, sys
from umbrella.options.commands import ending
ending.SECONDS_FOR_RANK_0 = 4
sys.argv = [{train.__file__!r}, *sys.argv[1:]]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
GUIDE_FLAGS = ("--batch_size", 2, "--gradient_accumulation_steps", 4, "--weight_decay", 0.01)


def write_program(folder):
    path = folder / "less_patient.py"
    path.write_text(LESS_PATIENT)
    return path


@pytest.mark.slow
def test_numbers_of_the_guides_config_that_do_not_multiply_are_shown_once(small_data, tmp_path):
    (tmp_path / "ds_config.json").write_text(json.dumps(GUIDE_CONFIG))
    flags = ["--json_dir", small_data, "--output_dir", "run", *GUIDE_FLAGS, "--deepspeed", "ds_config.json"]
    ranks = start_ranks([write_program(tmp_path), *flags], tmp_path, 4)
    printed = "".join(rank.communicate(timeout=300)[0] for rank in ranks)
    assert [rank.returncode for rank in ranks] == [1] * 4
    assert "Traceback" not in printed
    (sentence,) = [line for line in printed.splitlines() if line.startswith("error: ")]
    assert "train_batch_size=16 against train_batch_size (calculated)=32" in sentence
    assert "2 rows a device × 4 accumulated × 4 processes are 32 rows a step" in sentence


SLOW_TO_MEET = """
import os, time
import torch.distributed as dist
from umbrella.options.commands.ending import run

def main():
    real = dist.distributed_c10d.ProcessGroupGloo

    def make_slowly(*args, **more):
        group = real(*args, **more)
        time.sleep(0.5)
        open("met", "w").close()
        return group

    if os.environ["RANK"] == "1":
        dist.distributed_c10d.ProcessGroupGloo = make_slowly
    dist.init_process_group("gloo")
    if not os.path.exists("met"):
        raise ValueError("left while another was still on its way")

run(main)
"""


@pytest.mark.slow
def test_none_ends_while_another_is_still_on_its_way_to_meet_it(tmp_path):
    """The last would not find the first, hang or show where, and the error that the first has said would drown."""
    program = tmp_path / "program.py"
    program.write_text(SLOW_TO_MEET)
    assert run_ranks([program], tmp_path, 3) == ""


def test_values_that_contradict_the_flags_are_shown_both(tmp_path, monkeypatch):
    monkeypatch.setattr(TrainingArguments, "world_size", property(lambda self: 4))
    config = GUIDE_CONFIG | {"gradient_clipping": 0.5, "bf16": {"enabled": True}}
    options = {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 4, "weight_decay": 0.01}
    args = TrainArguments(output_dir=str(tmp_path), report_to="none", deepspeed=config, **options)
    with pytest.raises(ValueError, match=r"gradient_clipping=0.5 against max_grad_norm=1.0; bf16.enabled=True ag"):
        check_deepspeed(args)
    right = {key: value for key, value in GUIDE_CONFIG.items() if key != "train_batch_size"}
    check_deepspeed(TrainArguments(output_dir=str(tmp_path), report_to="none", deepspeed=right, **options))
    check_deepspeed(TrainArguments(output_dir=str(tmp_path), report_to="none"))


@pytest.mark.parametrize("stage", [2, 3])
def test_values_that_come_by_accelerates_file_are_compared_before_training_too(stage, tmp_path, monkeypatch):
    pytest.importorskip("deepspeed")
    path = tmp_path / "ds.json"
    stated = {"train_micro_batch_size_per_gpu": 3, "gradient_accumulation_steps": "auto"}
    path.write_text(json.dumps(stated | {"zero_optimization": {"stage": stage}}))
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    monkeypatch.setenv("ACCELERATE_DEEPSPEED_CONFIG_FILE", str(path))
    monkeypatch.setenv("ACCELERATE_DEEPSPEED_ZERO3_INIT", str(stage == 3).lower())
    args = TrainArguments(output_dir=str(tmp_path), report_to="none", per_device_train_batch_size=2)
    with pytest.raises(ValueError, match=rf"^{path}: .*_batch_size_per_gpu=3 against per_device_train_batch_size=2"):
        check_deepspeed(args)
    args.per_device_train_batch_size = 3
    check_deepspeed(args)
    assert is_deepspeed_zero3_enabled() == (stage == 3)  # what loading a model asks
    assert args.deepspeed_plugin.deepspeed_config["gradient_accumulation_steps"] == "auto"  # the Trainer fills it
    unset_hf_deepspeed_config()


def test_fewer_rows_than_processes_are_refused():
    check_enough_rows(4, 4)
    with pytest.raises(ValueError, match="found 3 rows for 4 processes"):
        check_enough_rows(3, 4)


def test_half_precision_on_a_cpu_is_refused(call, small_data, capsys):
    with pytest.raises(SystemExit) as end:
        call(train, "--json_dir", small_data, "--output_dir", "run", *SHORT, "--fp16", "true", "--use_cpu", "true")
    assert end.value.code == 2
    assert "--fp16: expected a GPU, found --use_cpu true" in capsys.readouterr().err


@pytest.mark.slow
def test_where_no_launcher_ends_them_the_others_are_silent(data, tmp_path):
    """As under srun: the first finds a missing scan, the second finds the first gone."""
    sorted((data / "images/train").iterdir())[0].unlink()
    ranks = start_ranks([write_program(tmp_path), "--json_dir", data, "--output_dir", "run", *SHORT], tmp_path)
    first, second = [rank.communicate(timeout=300)[0] for rank in ranks]
    assert [rank.returncode for rank in ranks] == [1, 1]
    assert "error: 1 of 4 scans cannot be read" in first
    assert "error" not in second.lower() and "Traceback" not in second


def test_a_typo_is_left_to_the_first_process(monkeypatch):
    codes = []
    monkeypatch.setattr(command.signal, "signal", lambda *_: None)
    monkeypatch.setattr(command.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(command.os, "_exit", codes.append)
    for rank in ("0", "1"):
        monkeypatch.setenv("RANK", rank)
        with pytest.raises(SystemExit):
            parse_arguments((TrainArguments,), ["--learning_rte", "1"])
    assert codes == [1]  # of the second alone


def test_another_process_than_the_first_lets_it_speak(monkeypatch):
    waited = []
    monkeypatch.setattr(command.signal, "signal", lambda *_: None)
    monkeypatch.setattr(command.time, "sleep", waited.append)
    for rank, expected in (("0", []), ("1", [command.SECONDS_FOR_RANK_0])):
        monkeypatch.setenv("RANK", rank)
        waited.clear()
        with pytest.raises(SystemExit, match="error: no such data"):
            command.run(lambda: (_ for _ in ()).throw(ValueError("no such data")))
        assert waited == expected


@pytest.mark.parametrize(
    "variable, words",
    [
        (
            "ACCELERATE_MIXED_PRECISION",
            "what accelerate may print below only says that this command has ended; `accelerate launch --quiet`",
        ),
        ("TORCHELASTIC_RUN_ID", "what the launcher may print below"),
    ],
)
def test_an_error_says_that_the_launchers_traceback_is_the_launchers(monkeypatch, variable, words):
    for name in ("ACCELERATE_MIXED_PRECISION", "TORCHELASTIC_RUN_ID", "CROSS_RANK"):
        monkeypatch.delenv(name, raising=False)
    assert command.describe_launcher() == ""
    monkeypatch.setenv(variable, "no")
    monkeypatch.setattr(command.Path, "read_bytes", lambda path: b"accelerate\0launch\0train.py\0")

    def fail():
        raise ValueError("expected a, found b")

    with pytest.raises(SystemExit, match=r"^error: expected a, found b\n\(") as end:
        command.run(fail)
    assert words in str(end.value)


def test_accelerate_that_is_quiet_is_not_said_to_print(monkeypatch):
    for name in ("TORCHELASTIC_RUN_ID", "CROSS_RANK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "no")
    monkeypatch.setattr(command.Path, "read_bytes", lambda path: b"accelerate\0launch\0--quiet\0train.py\0")
    assert command.describe_launcher() == ""
