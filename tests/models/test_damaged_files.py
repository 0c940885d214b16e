"""A file beside a model that is empty, cut short, zeros, another JSON value or no text: each command that reads it
ends in a sentence with its name, or does what it does without the fault."""

import os
import random
import shutil
from argparse import Namespace

import compare
import eval as evaluation
import export
import predict
import pytest
import train
from conversation_folder import write_folder

from umbrella.answers.generation import Answer, Answerer
from umbrella.hub.cards import build_model_card
from umbrella.hub.model import find_in_model, stage_model
from umbrella.models.loading import load_processor

DAMAGES = {
    "empty": lambda data: b"",
    "half": lambda data: data[: len(data) // 2],
    "zeros": lambda data: b"0" * len(data),
    "NULs": lambda data: bytes(len(data)),
    "another JSON value": lambda data: b'["a", 1]\n',
    "not UTF-8": lambda data: b"\xff\xfe" + data[2:],
}
MOST = 4  # a command, drawn from all that it might read
FAST = ("--max_length", 256, "--max_new_tokens", 4, "--bootstrap", 10, "--baselines", "false")
NOT_READ = ("training_args.bin", "README.md", "report.html", "report_public.html")


def answer(self, rows, *_, **__):
    return [[Answer(row["task_id"], "female", [-1.0, -2.0]) for row in rows]]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with data/, and run/ with its checkpoint and its evaluation, as train.py and eval.py leave them."""
    folder = tmp_path_factory.mktemp("trained")
    write_folder(folder / "data", {"train": [1, 1], "validation": [1], "test": [1, 1]})
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(Answerer, "answer", answer)
        for main, flags in (
            (train.main, resume_flags()[:-2]),
            (evaluation.main, ("--model_name_or_path", "run", "--json_dir", "data", *FAST, "--labels", "female,male")),
        ):
            patch.setattr("sys.argv", ["recipe", *map(str, flags)])
            main()
    return folder


def resume_flags():
    steps = ("--max_steps", 1, "--save_steps", 1, "--batch_size", 2, "--report_to", "none", "--max_length", 256)
    unread = ("--max_unreadable", 1, "--eval_strategy", "no")
    return ("--json_dir", "data", "--output_dir", "run", *steps, *unread, "--resume_from_checkpoint", "auto")


def push(call, folder):
    """All of a push but the upload."""
    stage_model(folder / "run", folder / "staged", b"key", False, folder / "run", True)
    find_in_model(folder / "staged")
    options = Namespace(base_model=None, license=None, languages=None)
    return str(build_model_card(folder / "staged", "lab/model", options, {}))


def run_recipe(recipe, *flags):
    return lambda call, folder: call(recipe, *flags)


MODEL, DATA = ("--model_name_or_path", "run"), ("--json_dir", "data")
COMMANDS = {
    "eval": run_recipe(evaluation, *MODEL, *DATA, *FAST, "--labels", "female,male", "--report", "false"),
    "predict": run_recipe(predict, *MODEL, "--image", "data/test_0_0.nii", "--question", "Which?"),
    "export": run_recipe(export, *MODEL, "--output_dir", "exported"),
    "compare": run_recipe(compare, "run", "run", "--bootstrap", 10),
    "resume": run_recipe(train, *resume_flags()),
    "push": push,
}
READS_EVALUATION = ("eval", "compare", "push")


def list_damaged(folder, command):
    paths = [path for path in folder.glob("run/*") if path.is_file()]
    paths += folder.glob("run/eval/*") if command in READS_EVALUATION else []
    paths += folder.glob("run/checkpoint-1/*") if command == "resume" else []
    return sorted(path.relative_to(folder) for path in paths if path.name not in NOT_READ)


@pytest.fixture
def run_command(call, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(Answerer, "answer", answer)

    def run_command(name):
        """(what it said at last, None where it was done; what it printed)."""
        try:
            out, end = COMMANDS[name](call, tmp_path), None
        except (SystemExit, ValueError, OSError) as error:  # the latter two of a push, which is called directly
            out, end = capsys.readouterr().out, str(error)
        shutil.rmtree(tmp_path / "exported", ignore_errors=True)
        return end, out

    return run_command


@pytest.mark.slow
@pytest.mark.parametrize("most", [MOST, pytest.param(99, marks=pytest.mark.nightly)], ids=["some", "all"])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_damaged_file_is_named_or_not_needed(run_command, command, most, trained, tmp_path):
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    end, expected = run_command(command)
    assert end is None
    draw = random.Random(command)
    paths = list_damaged(trained, command)
    for path in draw.sample(paths, min(len(paths), most)):
        damage = draw.choice(list(DAMAGES))
        check(run_command, command, trained, tmp_path, path, damage, expected)


def check(run_command, command, trained, folder, path, damage, expected):
    shutil.rmtree(folder / "run")
    shutil.copytree(trained / "run", folder / "run")
    (folder / path).write_bytes(DAMAGES[damage]((trained / path).read_bytes()))
    end, out = run_command(command)
    told = f"{command}, {path} {damage}: {end or out}"
    if end is None:
        assert path.name in out or command == "resume" or out == expected, told
    else:
        assert path.name in f"{end}{out}", told
        assert "Traceback" not in end and len(end) < 1000 and end.count("\n") == 0, told


@pytest.mark.parametrize(
    "name", ["tokenizer.json", "config.json", "vocab.txt", "model.safetensors", "umbrella_recipe.json"]
)
def test_what_is_no_file_in_a_files_place_is_named(tmp_path, name):
    path = tmp_path / name
    path.mkdir()
    with pytest.raises(ValueError, match=f"{path}: expected a file, found a folder"):
        load_processor(str(tmp_path))
    path.rmdir()
    os.mkfifo(path)
    with pytest.raises(ValueError, match=f"{path}: expected a file, found a pipe or a device"):
        load_processor(str(tmp_path))
    path.unlink()
    path.symlink_to(tmp_path / "gone")
    with pytest.raises(ValueError, match=f"{path}: expected a file, found a link to nothing"):
        load_processor(str(tmp_path))
