"""What a run sends to Weights & Biases: its losses, and nothing that names a person, a machine or a file. Keys."""

import contextlib
import io
import json
import re
import shutil
import socket
import struct
import time
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple
from unittest.mock import MagicMock

import pytest
import train
import wandb
from tiny_trainer import trainer_parts
from transformers import TrainerState
from transformers.integrations import WandbCallback
from wandb.proto.wandb_internal_pb2 import Record

from umbrella.models.loading import load_model
from umbrella.options.keys import check_keys
from umbrella.options.parsing import parse_arguments
from umbrella.options.training_arguments import TrainArguments
from umbrella.training.watching.tracking import PrivateWandbCallback, describe_run

KEY = "5ec7e7c0de" * 4
PLANTED = {
    "WANDB_API_KEY": KEY,
    "HF_TOKEN": "hf_" + "PLANTEDtoken" * 3,
    "WANDB_HOST": "host-of-the-clinic",
    "WANDB_USERNAME": "doctor.who",
    "WANDB_USER_EMAIL": "doctor@clinic.example",
    "WANDB_PROGRAM": "program-of-the-clinic.py",
    "USER": "doctor.who",
    "LOGNAME": "doctor.who",
}
SWITCHES = {"WANDB_SAVE_CODE": "true", "WANDB_CONSOLE": "wrap", "WANDB_LOG_MODEL": "checkpoint", "WANDB_WATCH": "all"}
BLOCK = 32768  # bytes, of a .wandb file


def read_records(path):
    """The records of a .wandb file: 7 bytes, then LevelDB's log format: crc32, length, kind of each piece."""
    data, position, record = path.read_bytes(), 7, b""
    while position + 7 <= len(data):
        if BLOCK - position % BLOCK < 7:
            position += BLOCK - position % BLOCK
            continue
        length, kind = struct.unpack("<HB", data[position + 4 : position + 7])
        if position + 7 + length > len(data):
            return  # a piece that is being written
        record += data[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # a whole record, or its last piece
            yield Record.FromString(record)
            record = b""


class Tracked(NamedTuple):
    output_dir: Path
    run: Path  # the folder that wandb wrote
    printed: str
    secrets: list[str]  # what may be in none of them


@pytest.fixture(scope="module")
def tracked(small_data, tmp_path_factory):
    """A run that reports to Weights & Biases and TensorBoard, every name around it a distinctive one."""
    place, folder = tmp_path_factory.mktemp("place"), tmp_path_factory.mktemp("wandb")
    wandb.teardown()  # what another test of this process may have set up keeps its own WANDB_DIR
    shutil.copytree(small_data, place / "scans-of-the-clinic")
    for path in [place / "scans-of-the-clinic", *(place / "scans-of-the-clinic").rglob("*")][::-1]:
        if path.suffix == ".json":
            path.write_text(rename(path.read_text()))
        path.rename(path.with_name(rename(path.name)))
    paths = ("--json_dir", place / "scans-of-the-clinic", "--output_dir", place / "output-of-the-clinic")
    steps = ("--max_steps", 2, "--logging_steps", 1, "--save_steps", 1, "--eval_strategy", "steps", "--eval_steps", 1)
    flags = (*paths, *steps, "--report_to", "all", "--eval_answers", 2, "--batch_size", 4, "--max_length", 256)
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as printed:
        for name, value in (PLANTED | SWITCHES | {"WANDB_DIR": str(folder)}).items():
            patch.setenv(name, value)
        patch.setattr("sys.argv", [str(place / "program-of-the-clinic.py"), *map(str, flags)])
        patch.chdir(place)
        with contextlib.redirect_stderr(printed):
            train.main()
            wandb.finish()
            wandb.teardown()  # ends the process that writes the run's file
    (run,) = folder.glob("wandb/offline-run-*")
    _wait_for_end(run)
    secrets = [str(place), "of-the-clinic", "KRANKENHAUS", "taskOF", *PLANTED.values()]
    return Tracked(place / "output-of-the-clinic", run, printed.getvalue(), secrets)


def _wait_for_end(run: Path) -> None:
    """Until the run's file holds the record of its exit: on a loaded machine what came before is written late."""
    (path,) = run.glob("*.wandb")
    end = time.monotonic() + 120
    while not any(record.WhichOneof("record_type") == "exit" for record in read_records(path)):
        assert time.monotonic() < end, f"{path}: no record of the run's end"
        time.sleep(0.2)


def rename(text: str) -> str:
    return text.replace("sub-", "sub-KRANKENHAUS").replace("sex_comparison", "taskOF")


@pytest.mark.slow
def test_losses_and_answers_are_sent(tracked):
    (path,) = tracked.run.glob("*.wandb")
    history = [
        {".".join(item.nested_key) or item.key: json.loads(item.value_json) for item in record.history.item}
        for record in read_records(path)
        if record.WhichOneof("record_type") == "history"
    ]
    sent = {name for entry in history for name in entry}
    assert {"train/loss", "train/learning_rate", "eval/loss", "eval/accuracy", "train/global_step"} <= sent
    assert all(isinstance(value, int | float) for entry in history for value in entry.values())
    logged = json.loads((tracked.output_dir / "trainer_state.json").read_text())["log_history"]
    for name in ("loss", "eval_loss"):
        values = [entry[name] for entry in logged if name in entry]
        key = f"train/{name}" if name == "loss" else "eval/loss"
        assert [entry[key] for entry in history if key in entry] == values
        assert len(values) == 2


@pytest.mark.slow
def test_only_numbers_and_settings_without_names_are_sent(tracked):
    """Every byte of the folder that wandb wrote."""
    files = [path for path in tracked.run.rglob("*") if path.is_file()]
    synchronised = [path for path in files if path.parent.name != "logs"]
    assert synchronised == list(tracked.run.glob("*.wandb")), "no requirements, metadata or console's text"
    for path in files:
        content = path.read_bytes().decode("utf-8", "replace")
        assert [secret for secret in tracked.secrets if secret in content] == [], path
        # wandb's own logs stay here. They tell where it writes and how it finds its other half.
        if path in synchronised:
            assert [name for name in ("sub-", "/tmp", "/home", "/root") if name in content] == []


@pytest.mark.slow
def test_no_record_names_the_host(tracked):
    """As a word: two letters, as hosts may be called, stand in many a checksum and in the run's random id."""
    (path,) = tracked.run.glob("*.wandb")
    records = [record.SerializeToString() for record in read_records(path)]
    assert any(re.search(rb"\btrain/loss\b", record) for record in records)
    run_id = tracked.run.name.split("-")[-1].encode()
    host = re.compile(rb"\b" + re.escape(socket.gethostname().encode()) + rb"\b")
    assert [record for record in records if host.search(record.replace(run_id, b""))] == []


@pytest.mark.slow
def test_records_hold_no_host_no_program_no_code_no_system(tracked):
    (path,) = tracked.run.glob("*.wandb")
    records = list(read_records(path))
    kinds = {record.WhichOneof("record_type") for record in records}
    assert {"run", "history", "config", "summary"} <= kinds
    assert kinds & {"artifact", "use_artifact", "environment", "stats", "files", "output", "output_raw"} == set()
    (sent,) = [record.run for record in records if record.WhichOneof("record_type") == "run"]
    assert (sent.host, sent.git.remote_url, sent.display_name) == ("", "", "")


@pytest.mark.slow
def test_the_config_that_is_sent_describes_the_training(tracked):
    (path,) = tracked.run.glob("*.wandb")
    config = {
        item.key: json.loads(item.value_json)
        for record in read_records(path)
        if record.WhichOneof("record_type") == "config"
        for item in record.config.update
    }
    assert (config["max_steps"], config["per_device_train_batch_size"], config["optim"]) == (2, 4, "adamw_torch_fused")
    assert (config["model_type"], config["text_config"]["model_type"]) == ("llava", "qwen2")
    assert config["model/num_parameters"] > 100_000
    assert {"output_dir", "run_name", "logging_dir", "_name_or_path", "hub_token"} & set(config) == set()


@pytest.mark.slow
def test_no_file_of_the_run_and_no_line_holds_a_key(tracked):
    files = [path for path in tracked.output_dir.rglob("*") if path.is_file()]
    names = {path.name.split(".")[0] for path in files}
    assert {"run", "training_args", "trainer_state", "model", "events"} <= names
    for name in ("WANDB_API_KEY", "HF_TOKEN"):
        assert [path for path in files if PLANTED[name].encode() in path.read_bytes()] == []
        assert PLANTED[name] not in tracked.printed


@pytest.mark.parametrize(
    "name, sent", [("llava-hf/llava-1.5-7b-hf", "llava-1.5-7b-hf"), ("", None), (str(Path(__file__).parents[1]), None)]
)
def test_a_models_name_is_sent_where_it_is_one_of_the_hub(name, sent):
    model = load_model("tiny", seed=0)
    model.config.name_or_path = name
    args = TrainArguments(output_dir="/data/private", run_name="/data/private", report_to="none")
    described = describe_run(args, model)
    assert described["model/name"] == sent
    assert "private" not in str(described)


def test_the_project_is_the_flags_where_the_environment_names_none(tmp_path, monkeypatch):
    args, model = TrainArguments(output_dir=str(tmp_path), report_to="none", project="brains"), load_model("tiny")
    for environment, expected in ((None, "brains"), ("of-the-lab", "of-the-lab")):
        monkeypatch.delenv("WANDB_PROJECT", raising=False)
        if environment:
            monkeypatch.setenv("WANDB_PROJECT", environment)
        callback = PrivateWandbCallback()
        callback._wandb = MagicMock(run=None)
        callback.setup(args, TrainerState(is_world_process_zero=True), model)
        assert callback._wandb.init.call_args.kwargs["project"] == expected


@pytest.mark.parametrize("report_to, expected", [("wandb", [PrivateWandbCallback]), ("none", []), ("tensorboard", [])])
def test_report_to_is_the_switch(report_to, expected, tmp_path):
    from umbrella.training.trainer import ConversationTrainer

    args = TrainArguments(output_dir=str(tmp_path), report_to=report_to)
    callbacks = ConversationTrainer(model=load_model("tiny"), args=args, **trainer_parts()).callback_handler.callbacks
    assert [type(callback) for callback in callbacks if isinstance(callback, WandbCallback)] == expected


def test_what_is_not_followed_is_said(monkeypatch, caplog):
    monkeypatch.setenv("WANDB_LOG_MODEL", "end")
    PrivateWandbCallback()
    assert "WANDB_LOG_MODEL: not followed, no weights are sent" in caplog.text


@pytest.mark.parametrize("tracker", ["wandb", "tensorboard"])
def test_a_tracker_that_is_not_installed_is_named_with_the_extra(tracker, monkeypatch, capsys):
    monkeypatch.setattr(f"umbrella.options.trackers.is_{tracker}_available", lambda: False)
    with pytest.raises(SystemExit):
        parse_arguments((TrainArguments,), ["--output_dir", "run", "--report_to", tracker])
    assert f'pip install -e ".[{tracker}]"' in capsys.readouterr().err


SECRET = "hf_" + "aB3dE6gH9k" * 4


@pytest.mark.parametrize(
    "flags",
    [
        ["--hub_token", "abc"],
        ["--hub_token=abc"],
        ["--push_to_hub_token", "abc"],
        ["--wandb_api_key", "abc"],
        ["--run_name", SECRET],
        [f"--run_name={SECRET}"],
        ["--accelerator_config", f'{{"token": "{SECRET}"}}'],
        ["--run_name", KEY],
        ["--run_name", "wandb_v1_" + "aB3_" * 10],
    ],
    ids=lambda flags: flags[0][:20],
)
def test_keys_among_flags_and_in_yaml_are_refused_and_not_repeated(flags, tmp_path, capsys):
    yaml = tmp_path / "recipe.yaml"
    name, _, value = flags[0].removeprefix("--").partition("=")
    yaml.write_text(json.dumps({"output_dir": "run", name: value or flags[1]}))
    for argv in (["--output_dir", "run", *flags], [str(yaml)]):
        with pytest.raises(SystemExit) as end:
            parse_arguments((TrainArguments,), argv)
        printed = capsys.readouterr().err
        assert end.value.code == 2
        assert re.search(rf"--{name}: expected no key .* HF_TOKEN for the Hub, WANDB_API_KEY for Weights", printed)
        assert (value or flags[1]) not in printed.replace("WANDB_API_KEY", "")


def test_flags_that_only_look_like_keys_are_taken():
    check_keys(["--max_new_tokens", "8", "--include_num_input_tokens_seen", "all", "--hub_revision", KEY])
    check_keys(["--model_name_or_path", f"hub/models--lab--model/snapshots/{KEY}", "--report_to", "wandb"])
    assert find_spec("wandb")
