"""Claims about runs that end before their time: killed, told to end, without room on the disk. They go on to the very
weights of a run that was not stopped."""

import json
import multiprocessing
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
import unittest.mock
from pathlib import Path

import pytest
import torch
import train
from forking import Program, run_ranks, start_ranks
from launching import find_free_port
from safetensors.torch import load_file
from transformers import PreTrainedModel

from umbrella.records.training_data import read_training_data, subjects_of
from umbrella.rows.transform import ConversationTransform
from umbrella.training.checkpoints import MARKER, find_fault, find_whole_checkpoint, read_marker, write_marker
from umbrella.training.loader_workers import DeafContext
from umbrella.training.resuming import check_is_shared
from umbrella.training.sigterm import SigtermFlag
from umbrella_dataset import load_umbrella

ROOT = Path(__file__).parents[2]
FLAGS = (
    "--batch_size",
    2,
    "--learning_rate",
    "1e-3",
    "--max_length",
    256,
    "--report_to",
    "none",
    "--logging_steps",
    1,
)


@pytest.fixture
def run(call, small_data):
    def run(output_dir, *flags):
        return call(train, "--json_dir", small_data, "--output_dir", output_dir, *FLAGS, *flags)

    return run


@pytest.fixture(scope="module")
def trained(small_data, tmp_path_factory):
    """(flags) → the folder of a run with them, made once."""
    made = {}

    def train_once(*flags):
        if flags not in made:
            folder = tmp_path_factory.mktemp("begun")
            argv = ("train", "--json_dir", small_data, "--output_dir", "run", *FLAGS, *flags)
            with pytest.MonkeyPatch.context() as patch, unittest.mock.patch.dict(os.environ):
                patch.setattr(sys, "argv", [*map(str, argv)])
                patch.chdir(folder)
                train.main()
            made[flags] = folder / "run"
        return made[flags]

    return train_once


@pytest.fixture
def begin(trained, tmp_path, monkeypatch):
    """What `run` leaves of a run that several tests begin with: a copy to go on from."""

    def begin(output_dir, *flags):
        monkeypatch.chdir(tmp_path)
        shutil.copytree(trained(*flags), tmp_path / output_dir)

    return begin


def weights_of(folder):
    return load_file(Path(folder) / "model.safetensors")


def check_same(one, other):
    one, other = weights_of(one), weights_of(other)
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


# ------------------------------------------------------------------------------------------------ whole or not


FAULTS = ("has optimizer.pt cut short or changed", f"has {MARKER} cut short or changed")


@pytest.mark.slow
def test_a_checkpoint_is_whole_with_all_its_files_at_their_size(begin, tmp_path):
    begin("run", "--max_steps", 2, "--save_steps", 1)
    first, second = (tmp_path / f"run/checkpoint-{step}" for step in (1, 2))
    marker = read_marker(second)
    assert (marker["world_size"], marker["rows_a_step"]) == (1, 2)
    names = {"model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json"}
    assert names | {"umbrella_recipe.json"} <= set(marker["files"])
    said = []
    assert find_whole_checkpoint(tmp_path / "run", said.append) == str(second)
    assert said == []
    for name in ("optimizer.pt", MARKER):
        with open(second / name, "r+b") as file:
            file.truncate(10)
        assert find_whole_checkpoint(tmp_path / "run", said.append) == str(first)
    assert said == [f"{second} {fault} and is passed over" for fault in FAULTS]
    shutil.rmtree(first)
    assert find_whole_checkpoint(tmp_path / "run") is None


@pytest.mark.parametrize("size", [0, 1, 1000, 2**20, 2**20 + 1, 5_000_000])
@pytest.mark.parametrize("damage", ["zeros", "zeros from the middle on", "zeros at the end", "others"])
def test_a_checkpoint_of_other_content_at_the_same_size_is_not_whole(tmp_path, size, damage):
    """What a machine that goes down leaves of a file whose size was written, but not its blocks."""
    folder, rng = tmp_path / "checkpoint-1", random.Random(size)
    folder.mkdir()
    data = bytes(byte or 1 for byte in rng.randbytes(size))
    (folder / "optimizer.pt").write_bytes(data)
    write_marker(folder, 1, 2)
    assert read_marker(folder) is not None
    start = {"zeros": 0, "zeros from the middle on": size // 2, "zeros at the end": max(0, size - 100), "others": size}
    kept = data[: start[damage]]
    (folder / "optimizer.pt").write_bytes(kept[::-1] if damage == "others" else kept + bytes(size - len(kept)))
    if size > 1:
        assert read_marker(folder) is None
        assert find_fault(folder) == "has optimizer.pt cut short or changed"
    older = json.loads((folder / MARKER).read_text())
    del older["xxh3_128"]  # of older versions, which know sizes alone
    (folder / MARKER).write_text(json.dumps(older))
    assert read_marker(folder) is not None


@pytest.mark.parametrize("marker", ["", "[]", "{}", '{"files": 3, "world_size": 1, "rows_a_step": 1}', "\0" * 50])
def test_a_marker_that_is_none_counts_as_absent(tmp_path, marker):
    (tmp_path / MARKER).write_text(marker)
    assert read_marker(tmp_path) is None
    assert find_fault(tmp_path) == f"has {MARKER} cut short or changed"


@pytest.mark.slow
def test_a_half_written_checkpoint_is_passed_over_with_a_note_and_made_anew(run, begin, tmp_path):
    begin("whole", "--max_steps", 6, "--save_steps", 2)
    begin("run", "--max_steps", 6, "--save_steps", 2)
    for step in (4, 6):
        (tmp_path / f"run/checkpoint-{step}" / MARKER).unlink()
        (tmp_path / f"run/checkpoint-{step}/stale").touch()
    out = run("run", "--max_steps", 6, "--save_steps", 2, "--resume_from_checkpoint", "auto")
    assert "checkpoint-6 is half-written and is passed over\n" in out
    assert "going on from run/checkpoint-2\n" in out
    check_same(tmp_path / "whole", tmp_path / "run")
    assert read_marker(tmp_path / "run/checkpoint-6") is not None
    assert not (tmp_path / "run/checkpoint-6/stale").exists()


@pytest.mark.slow
@pytest.mark.parametrize("is_cut_short", [False, True])
def test_a_run_that_reached_its_last_step_is_only_saved_again(run, begin, tmp_path, is_cut_short):
    flags = ("--max_steps", 3, "--save_steps", 3, "--lr_scheduler_type", "constant")  # of four steps an epoch
    begin("run", *flags)
    before = weights_of(tmp_path / "run")
    path = tmp_path / "run/model.safetensors"  # killed just then
    start = path.read_bytes()[:1000]
    path.unlink()  # not written over: `before` still reads from it
    if is_cut_short:
        path.write_bytes(start)
    records = [tmp_path / "run" / name for name in ("run.json", "training_data.json", "train_results.json")]
    written = [(path.read_bytes(), path.stat().st_mtime_ns) for path in records]
    out = run("run", *flags, "--resume_from_checkpoint", "auto")
    said = "no step was left to take: run/checkpoint-3 is of step 3 of 3; its weights are saved as the run's model\n"
    assert said in out
    assert [(path.read_bytes(), path.stat().st_mtime_ns) for path in records] == written
    history = json.loads((tmp_path / "run/trainer_state.json").read_text())["log_history"]
    assert [entry["train_loss"] > 0 for entry in history if "train_loss" in entry] == []
    after = weights_of(tmp_path / "run")
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert last_step(tmp_path / "run") == 3


def files_of(folder):
    return {path: path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


@pytest.mark.slow
def test_a_start_never_overwrites_the_model_of_a_finished_run(run, begin):
    """With a checkpoint of another run, an older one of its own that has no step left, or none that auto finds."""
    begin("run", "--max_steps", 2, "--save_steps", 1)
    run("other", "--max_steps", 2, "--save_strategy", "no", "--seed", 7)
    before = files_of("run") | files_of("other")
    resumed = ("--max_steps", 3, "--resume_from_checkpoint")
    with pytest.raises(SystemExit, match=r"--output_dir other: expected the folder of run/checkpoint-1, .* finished"):
        run("other", *resumed, "run/checkpoint-1")
    with pytest.raises(SystemExit, match=r"expected a checkpoint in other, found a finished run's model"):
        run("other", *resumed, "auto")
    out = run("run", "--max_steps", 1, "--resume_from_checkpoint", "run/checkpoint-1")
    assert "run/checkpoint-1 is of step 1 of 1; the model in run stays as it is\n" in out
    assert files_of("run") | files_of("other") == before
    with pytest.raises(SystemExit, match=r"run/checkpoint-2 is of step 2 of 2. Expected steps for a new --output_dir"):
        run("new", "--max_steps", 2, "--resume_from_checkpoint", "run/checkpoint-2")
    assert not files_of("new")


@pytest.mark.slow
def test_more_steps_than_the_checkpoints_are_said_and_where_their_learning_rate_is_0_an_error(run, begin):
    begin("run", "--max_steps", 2, "--save_steps", 1)  # linear, to 0
    with pytest.raises(SystemExit, match=r"found 1 step after which .* of a run that had come to its end"):
        run("run", "--max_steps", 3, "--resume_from_checkpoint", "run/checkpoint-2")
    out = run("run", "--max_steps", 4, "--resume_from_checkpoint", "run/checkpoint-2")
    assert "a run of 4 steps goes on from a checkpoint of one of 2: from here --lr_scheduler_type linear is " in out
    out = run("run", "--max_steps", 2, "--resume_from_checkpoint", "run/checkpoint-1")
    assert "goes on from a checkpoint" not in out


@pytest.mark.slow
def test_a_checkpoint_that_was_copied_alone_is_saved_and_no_record_is_named(run, begin):
    begin("run", "--max_steps", 1, "--save_steps", 1)
    shutil.copytree("run/checkpoint-1", "alone/checkpoint-1")
    out = run("alone", "--max_steps", 1, "--resume_from_checkpoint", "auto")
    assert out.endswith("model, processor and recipe are in alone\n")
    Path("alone/checkpoint-1/training_data.json").unlink()
    with pytest.raises(SystemExit, match=r"found alone/checkpoint-1, which lacks training_data.json\."):
        run("alone", "--max_steps", 1, "--resume_from_checkpoint", "alone/checkpoint-1")


@pytest.mark.slow
def test_older_checkpoints_go_only_when_a_newer_one_is_whole(run, tmp_path, monkeypatch):
    seen = []
    write = train.ConversationTrainer._save_optimizer_and_scheduler

    def look(self, output_dir):
        seen.append(find_whole_checkpoint(tmp_path / "run"))
        write(self, output_dir)

    monkeypatch.setattr(train.ConversationTrainer, "_save_optimizer_and_scheduler", look)
    run("run", "--max_steps", 3, "--save_steps", 1, "--save_total_limit", 1)
    assert seen == [None, *(str(tmp_path / f"run/checkpoint-{step}") for step in (1, 2))]
    assert [path.name for path in (tmp_path / "run").glob("checkpoint-*")] == ["checkpoint-3"]


@pytest.mark.slow
def test_a_full_disk_leaves_the_last_checkpoint_whole(run, tmp_path):
    flags = ("--save_steps", 1, "--save_total_limit", 1)
    run("whole", "--max_steps", 3, *flags, "--lr_scheduler_type", "constant")
    run("run", "--max_steps", 1, *flags, "--lr_scheduler_type", "constant")
    again = ("run", "--max_steps", 3, *flags, "--lr_scheduler_type", "constant", "--resume_from_checkpoint", "auto")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(
        resource.RLIMIT_FSIZE, (4_000_000, limits[1])
    )  # as a full disk: the optimizer's file finds no room
    try:
        with pytest.raises(SystemExit, match=r"checkpoint-2: expected to write a checkpoint, found no .*"
                           r"The one before, run/checkpoint-1, is whole. Make room"):  # fmt: skip
            run(*again)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert find_whole_checkpoint(tmp_path / "run").endswith("checkpoint-1")
    run(*again)
    check_same(tmp_path / "whole", tmp_path / "run")


# ------------------------------------------------------------------------------------------------ going on


@pytest.mark.slow
def test_no_scan_is_loaded_for_the_rows_that_a_resumed_run_has_seen(run, monkeypatch):
    loaded = []
    load = ConversationTransform.load_images
    monkeypatch.setattr(
        ConversationTransform, "load_images", lambda self, row, n: loaded.append(row["task_id"]) or load(self, row, n)
    )
    run("run", "--max_steps", 6, "--save_steps", 3)  # 4 steps an epoch
    whole, loaded[:] = list(loaded), []
    shutil.rmtree("run/checkpoint-6")
    run("run", "--max_steps", 6, "--save_steps", 3, "--resume_from_checkpoint", "auto")
    assert loaded == whole[12:]  # 3 steps of 2 rows of 2 scans came before
    assert len(loaded) == 12 + 4  # accelerate looks one batch ahead


def evaluations(folder):
    history = json.loads((folder / "trainer_state.json").read_text())["log_history"]
    return [(entry["step"], entry["eval_loss"]) for entry in history if "eval_loss" in entry]


@pytest.mark.slow
@pytest.mark.parametrize(
    "told_in, strategy, steps", [(4, "steps", [2, 4, 6]), (6, "steps", [2, 4, 6]), (6, "epoch", [4, 6])]
)
def test_an_evaluation_that_sigterm_cut_off_is_made_up(told_in, strategy, steps, run, begin, tmp_path, monkeypatch):
    """Of 6 steps, with 4 an epoch; one row is answered at each."""
    flags = ("--max_steps", 6, "--eval_strategy", strategy, "--eval_steps", 2, "--eval_answers", 1)
    flags += ("--save_strategy", strategy, "--save_steps", 2, "--load_best_model_at_end", "true")
    flags += ("--metric_for_best_model", "loss")
    begin("whole", *flags)
    step = train.ConversationTrainer.training_step

    def be_told(self, *args, **kwargs):
        if self.state.global_step == told_in - 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return step(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(train.ConversationTrainer, "training_step", be_told)
        with pytest.raises(SystemExit) as end:
            run("run", *flags)
    assert end.value.code == 75
    before = [step for step, _ in evaluations(tmp_path / f"run/checkpoint-{told_in}")]
    assert before == [step for step in steps if step < told_in]
    run("run", *flags, "--resume_from_checkpoint", "auto")
    assert evaluations(tmp_path / "run") == evaluations(tmp_path / "whole")
    assert [step for step, _ in evaluations(tmp_path / "run")] == steps
    check_same(tmp_path / "whole", tmp_path / "run")  # the best of them


FALLING_IS_WORSE = ("--metric_for_best_model", "loss", "--greater_is_better", "true")


@pytest.mark.slow
def test_a_run_that_stops_early_stays_stopped(run, tmp_path):
    """Also when it was killed between the checkpoint of the epoch's last step and the evaluation that stops it."""
    flags = ("--num_train_epochs", 5, "--save_strategy", "epoch", "--eval_strategy", "epoch", "--eval_answers", 0)
    flags += ("--early_stopping_patience", 1, *FALLING_IS_WORSE)  # the second is not better
    run("run", *flags)
    assert [step for step, _ in evaluations(tmp_path / "run")] == [4, 8]
    run("run", *flags, "--resume_from_checkpoint", "auto")
    assert last_step(tmp_path / "run") == 8
    path = tmp_path / "run/checkpoint-8/trainer_state.json"
    state = json.loads(path.read_text())
    state["log_history"] = [
        entry for entry in state["log_history"] if (entry["step"], "eval_loss" in entry) != (8, True)
    ]
    state["stateful_callbacks"] = json.loads((path.parents[1] / "checkpoint-4/trainer_state.json").read_text())[
        "stateful_callbacks"
    ]
    path.write_text(json.dumps(state))
    marker = json.loads((path.parent / MARKER).read_text())
    marker["files"]["trainer_state.json"] = path.stat().st_size
    (path.parent / MARKER).write_text(json.dumps(marker))
    run("run", *flags, "--resume_from_checkpoint", "auto")
    assert [step for step, _ in evaluations(tmp_path / "run")] == [4, 8]
    assert last_step(tmp_path / "run") == 8


@pytest.mark.slow
def test_early_stopping_may_begin_when_a_run_goes_on(run, tmp_path):
    flags = ("--save_strategy", "epoch", "--eval_strategy", "epoch", "--eval_answers", 0, *FALLING_IS_WORSE)
    flags += ("--load_best_model_at_end", "true", "--lr_scheduler_type", "constant")
    run("run", "--num_train_epochs", 1, *flags)
    flags += ("--num_train_epochs", 5, "--resume_from_checkpoint", "auto", "--early_stopping_patience")
    run("run", *flags, 1)
    assert last_step(tmp_path / "run") == 8
    run("run", *flags, 3)  # more patience: two epochs more
    assert last_step(tmp_path / "run") == 16


@pytest.mark.slow
def test_auto_starts_where_there_is_no_checkpoint_and_true_does_not(run):
    with pytest.raises(SystemExit, match="expected a whole checkpoint in run, found none"):
        run("run", "--max_steps", 1, "--resume_from_checkpoint", "true")
    out = run("run", "--max_steps", 1, "--resume_from_checkpoint", "auto")
    assert "no checkpoint in run: starting from the beginning" in out
    assert Path("run/model.safetensors").is_file()


@pytest.mark.slow
@pytest.mark.parametrize(
    "flags, message",
    [
        (("--view", "coronal"), r"checkpoint-1: --view: expected 'axial', .* found 'coronal'"),
        (("--standardize", "false"), r"--standardize: expected True, .* found False"),
        (("--batch_size", 4), r"rows a step .*: expected 2, .* found 4"),
        (("--train", "projector"), r"--train: expected 'the whole model', .* found \"parts of 'tiny'\""),
        (("--model_name_or_path", "other"), r"shape of .*: expected \(128, 64\), .* found \(128, 32\)"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(run, begin, flags, message):
    begin("run", "--max_steps", 1, "--save_steps", 1)
    if "other" in flags:
        write_smaller_model("other")
    with pytest.raises(SystemExit, match=message):
        run("run", "--max_steps", 2, "--resume_from_checkpoint", "run/checkpoint-1", *flags)


@pytest.mark.slow
def test_other_rows_are_refused_and_where_they_are_allowed_both_are_recorded(
    run, small_data, other_data, data, tmp_path, monkeypatch
):
    flags = ("--save_steps", 1, "--lr_scheduler_type", "constant", "--resume_from_checkpoint", "auto")
    run("run", "--max_steps", 1, *flags)
    records = [tmp_path / "run" / name for name in ("run.json", "training_data.json")]
    written = [path.read_bytes() for path in records]
    label = next((data / "train").iterdir())
    label.write_text(label.read_text().replace("female", "FEMALE"))
    for other in (other_data, data):
        with pytest.raises(
            SystemExit, match=r"checkpoint-1: expected the training rows .* found 8 rows of 4 subjects"
        ):
            run("run", "--max_steps", 2, *flags, "--json_dir", other)
    assert [path.read_bytes() for path in records] == written
    subjects = [subjects_of(load_umbrella(str(folder), split="train")) for folder in (small_data, other_data)]
    both = subjects[0] | subjects[1]
    named, save = [], PreTrainedModel.save_pretrained

    def look(self, folder, *args, **kwargs):
        named.append(read_training_data(folder).find_overlap(both))
        save(self, folder, *args, **kwargs)

    monkeypatch.setattr(PreTrainedModel, "save_pretrained", look)
    out = run("run", "--max_steps", 2, *flags, "--json_dir", other_data, "--resume_on_other_data", "true")
    assert "seen before: 8 rows of 4 subjects, sMRI\n" in out
    assert named == [sorted(both)] * 2  # before there are weights that have seen them
    found = [read_training_data(f"run{place}").find_overlap(both) for place in ("/checkpoint-1", "/checkpoint-2", "")]
    assert found == [sorted(subjects[0]), sorted(both), sorted(both)]
    starts = json.loads(records[0].read_text())
    assert [Path(start["arguments"]["json_dir"]).name for start in starts] == [small_data.name, other_data.name]


@pytest.mark.slow
def test_a_checkpoint_of_weights_alone_is_refused_and_can_be_started_from_as_a_model(run):
    run("run", "--max_steps", 1, "--save_steps", 1, "--save_only_model", "true")
    with pytest.raises(SystemExit, match="checkpoint-1: expected the optimizer's state, found weights alone"):
        run("run", "--max_steps", 2, "--resume_from_checkpoint", "true")
    run("second", "--max_steps", 1, "--model_name_or_path", "run/checkpoint-1")
    assert Path("second/model.safetensors").is_file()


@pytest.mark.slow
def test_a_run_that_saves_weights_alone_is_not_told_to_go_on_when_it_is_told_to_end(run, monkeypatch, capsys):
    load = ConversationTransform.load_images

    def load_and_be_told(self, row, n):
        os.kill(os.getpid(), signal.SIGTERM)
        return load(self, row, n)

    monkeypatch.setattr(ConversationTransform, "load_images", load_and_be_told)
    with pytest.raises(SystemExit) as end:
        run("run", "--max_steps", 3, "--save_only_model", "true")
    assert end.value.code == 75
    said = "SIGTERM: run/checkpoint-1 is saved; without the optimizer (--save_only_model) no run goes on"
    assert said in capsys.readouterr().out


def test_a_checkpoint_that_this_node_does_not_see_is_refused(tmp_path):
    check_is_shared(None)
    check_is_shared(str(tmp_path))
    with pytest.raises(ValueError, match=r"checkpoint-2: expected a checkpoint that every node sees, found none on "):
        check_is_shared(str(tmp_path / "checkpoint-2"))


def write_smaller_model(folder):
    from transformers import LlavaForConditionalGeneration

    from umbrella.models.tiny_llava import build_tiny_llava

    model, processor = build_tiny_llava()
    config = model.config
    config.vision_config.hidden_size = 32
    LlavaForConditionalGeneration(config).save_pretrained(folder)
    processor.save_pretrained(folder)


@pytest.mark.slow
def test_a_checkpoint_of_another_base_is_refused(run):
    flags = ("--train", "projector", "--max_steps", 1, "--save_steps", 1)
    run("run", *flags)
    with pytest.raises(SystemExit, match=r"checkpoint-1: expected the base model .* with seed 42; found .* seed 7"):
        run("run", *flags, "--seed", 7, "--resume_from_checkpoint", "run/checkpoint-1")


# ------------------------------------------------------------------------------------------------ killed


def start(command, cwd):
    """Start a launcher in a process group of its own."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.Popen(
        list(map(str, command)),
        cwd=cwd,
        env=os.environ | {"PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def wait_for_checkpoint(folder, process, after=0):
    """Wait until a checkpoint beyond step `after` is whole, then a random while."""
    deadline = time.monotonic() + 600
    while not any(int(path.parent.name.split("-")[1]) > after for path in folder.glob(f"checkpoint-*/{MARKER}")):
        assert process.poll() is None, process.read()[-4000:]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    pause = random.SystemRandom().uniform(0, 1.0)
    print(f"paused {pause:.3f} s")
    time.sleep(pause)
    assert process.poll() is None, "it came to its end before it was killed: raise --max_steps"


def last_step(folder):
    return int(find_whole_checkpoint(folder).split("-")[-1])


@pytest.mark.slow
def test_killed_and_told_to_end_a_run_of_three_cohorts_comes_to_the_same_weights(
    run, small_data, tmp_path, s3, monkeypatch
):
    """Its scans lie in a store that is busy and falls silent at times; those of the run that is whole lie here."""
    data = ["--json_dir", *(shutil.copytree(small_data, tmp_path / name) for name in "ABC")]
    data += ["--cohort_weights", 0.6, 0.3, 0.1]
    flags = ("--max_steps", 20, "--save_steps", 2, "--augment", "true", "--dataloader_num_workers", 2, *data)
    run("whole", *flags)
    root = "s3://training/study"
    for path in small_data.rglob("*.nii*"):
        s3.put(f"{root}/{path.relative_to(small_data)}", path.read_bytes())
    s3.fail("503", n=20, share=0.2)
    s3.fail("stall", n=2, share=0.2)
    remote = ("--image_root", root, "--remote_roots", root, "--scan_copies", "copies", "--remote_patience", 9)
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    command = [train.__file__, "--output_dir", "run", *FLAGS]
    command += [*flags, *remote, "--resume_from_checkpoint", "auto"]
    killed = Program(command, tmp_path)
    wait_for_checkpoint(tmp_path / "run", killed)
    killed.kill()
    step = last_step(tmp_path / "run")
    told = Program(command, tmp_path)
    wait_for_checkpoint(tmp_path / "run", told, after=step)
    os.killpg(told.pid, signal.SIGTERM)  # Slurm signals the workers too
    out = told.communicate(timeout=300)[0]
    assert told.returncode == 75, out[-4000:]
    assert f"going on from run/checkpoint-{step}\n" in out
    assert f"SIGTERM: run/checkpoint-{last_step(tmp_path / 'run')} is saved" in out
    assert step < last_step(tmp_path / "run") < 20
    run("run", *flags, *remote, "--resume_from_checkpoint", "auto")
    check_same(tmp_path / "whole", tmp_path / "run")
    fetched = [path for method, path in s3.take_log() if method == "GET" and ".nii" in path]
    assert len(set(fetched)) < len(fetched), "expected some to be asked for again"
    written = [path for path in tmp_path.rglob("*") if path.is_file() and "copies" not in path.parts]
    for key in (s3.environment[name].encode() for name in ("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID")):
        assert [path for path in written if key in path.read_bytes()] == []


@pytest.mark.slow
def test_after_a_run_that_failed_sigterm_is_what_it_was(run):
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit, match="expected a finite loss"):
        run("run", "--learning_rate", "1e30", "--max_grad_norm", 0, "--max_steps", 8)
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.slow
def test_children_die_of_sigterm_while_their_parent_notes_it():
    flag = SigtermFlag(None)
    with flag.listening():
        for _ in range(20):  # told before Python runs in it, a child would most times not hear
            child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
            child.start()
            child.terminate()
            child.join(10)
            died, exit_code = not child.is_alive(), child.exitcode
            child.kill()
            assert died and exit_code == -signal.SIGTERM
        assert not flag.received
        os.kill(os.getpid(), signal.SIGTERM)
        assert flag.received


@pytest.mark.slow
def test_a_worker_is_deaf_before_it_has_begun():
    with SigtermFlag(None).listening():
        for _ in range(20):
            worker = DeafContext().Process(target=time.sleep, args=(60,))
            worker.start()
            worker.terminate()
            worker.join(0.05)
            lives = worker.is_alive()
            worker.kill()
            assert lives


@pytest.mark.slow
def test_a_run_with_workers_ends_at_an_error(small_data, tmp_path):
    command = [train.__file__, "--json_dir", small_data, "--output_dir", "run", *FLAGS]
    flags = ["--dataloader_num_workers", 2, "--learning_rate", "1e30", "--max_grad_norm", 0, "--max_steps", 8]
    failed = Program([*command, *flags], tmp_path)
    out = failed.communicate(timeout=300)[0]
    assert failed.returncode == 1
    assert "expected a finite loss" in out


@pytest.mark.slow
def test_two_processes_of_zero2_go_on_to_the_same_weights(small_data, tmp_path):
    """Of a partly trained model, whose checkpoints lack the frozen weights; to the same under DeepSpeed's launcher and
    as ranks that each start by itself. By torchrun the guide's flags are started in test_launch.py."""
    flags = [*FLAGS, "--deepspeed", ROOT / "ds_configs/zero2.json", "--max_steps", 40, "--save_steps", 3]
    program = [ROOT / "recipes/train.py", "--json_dir", small_data, *flags, "--train", "projector"]
    deepspeed = ["deepspeed", "--num_gpus", 2, "--master_port", find_free_port(), *program]
    whole = start([*deepspeed, "--output_dir", "whole"], tmp_path)
    out = whole.communicate(timeout=300)[0]
    assert whole.returncode == 0, out[-4000:]
    assert out.count("world size: 2") == 2
    assert list(Path("/dev/shm").glob("deepspeed_*")) == list(Path(os.environ["TORCH_EXTENSIONS_DIR"]).glob("*")) == []

    resumed = [*program, "--output_dir", "run", "--resume_from_checkpoint", "auto"]
    ranks = start_ranks(resumed, tmp_path)
    wait_for_checkpoint(tmp_path / "run", ranks[0])
    for rank in ranks:
        rank.kill()
    step = last_step(tmp_path / "run")

    # As Slurm starts and ends them: each rank by itself, of which only one is told to end.
    ranks = start_ranks(resumed, tmp_path)
    wait_for_checkpoint(tmp_path / "run", ranks[0], after=step)
    ranks[1].send_signal(signal.SIGTERM)
    outs = [rank.communicate(timeout=300)[0] for rank in ranks]
    assert [rank.returncode for rank in ranks] == [75, 75], outs[0][-3000:] + outs[1][-3000:]
    assert step < last_step(tmp_path / "run") < 40

    run_ranks(resumed, tmp_path)
    one, other = (load_file(tmp_path / folder / "trained_weights.safetensors") for folder in ("whole", "run"))
    assert all(torch.equal(one[name], other[name]) for name in one)
    starts = json.loads((tmp_path / "run/run.json").read_text())
    assert [start["hardware"]["processes"] for start in starts] == [2, 2, 2]
    assert len(read_training_data(tmp_path / "run/checkpoint-39").seen) == 1
    checkpoint = tmp_path / "run/checkpoint-39"
    assert read_marker(checkpoint)["world_size"] == 2
    assert [len(list(checkpoint.rglob(f"*{name}"))) for name in (".pth", "_optim_states.pt")] == [2, 2]
    (states,) = checkpoint.rglob("mp_rank_00_model_states.pt")
    assert states.stat().st_size < 150_000  # the projector's 99 kB, not the model's 2.7 MB
