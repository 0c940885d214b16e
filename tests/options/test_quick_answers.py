"""A wrong flag, or --help, is answered before anything large is imported, and as it would be after."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import HfArgumentParser, TrainingArguments

from umbrella.cohort.many.arguments import ManyArguments
from umbrella.options import single_files, training_flags
from umbrella.options.arguments import DataArguments, EvalArguments, ModelArguments
from umbrella.options.parsing import _Parser, parse_arguments
from umbrella.options.tool_arguments import EstimateArguments, PlannedDataArguments, PredictArguments
from umbrella.options.training_arguments import PlannedTrainArguments, TrainArguments
from umbrella.options.training_flags import PlannedTrainFlags, TrainFlags

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """Command with its flags → how it ended, what it said, what it had imported: all in one fresh process."""
    path = tmp_path_factory.mktemp("answers") / "answers.json"
    subprocess.run([sys.executable, ROOT / "tests" / "answer_program.py", path], cwd=ROOT, check=True, timeout=300)
    return json.loads(path.read_text(encoding="utf-8"))


def test_no_command_imports_anything_large_to_answer_its_flags(answers):
    assert {command: answer["imported"] for command, answer in answers.items() if answer["imported"]} == {}


def test_every_command_answers(answers):
    assert {command.split()[0] for command in answers} >= {
        str(path.relative_to(ROOT)) for folder in ("recipes", "sample_data") for path in ROOT.glob(f"{folder}/*.py")
        if "__main__" in path.read_text(encoding="utf-8")
    }  # fmt: skip
    for command, answer in answers.items():
        if command.endswith("--help"):
            assert answer["code"] == 0 and "--" in answer["said"], command
        else:
            assert answer["code"] not in (0, None, "went on"), command


def test_a_typo_and_a_value_out_of_bounds_are_named(answers):
    for command in ("recipes/train.py", "recipes/eval.py", "sample_data/generate_conversations.py"):
        assert "unknown argument --hlep" in answers[f"{command} --hlep"]["said"]
    said = {command: answer["said"] + str(answer["code"]) for command, answer in answers.items()}
    assert any("--batch_size: expected at least 1, found 0" in one for one in said.values())
    assert any("--num_gpus: expected at least 1, found 0" in one for one in said.values())
    assert any("--bootstrap: expected at least 1, found 0" in one for one in said.values())


@pytest.mark.slow
def test_the_program_sees_what_is_imported(tmp_path):
    """Else the claim above could not fail."""
    code = "import answer_program as a; print(a.answer('umbrella_dataset', [])['imported'])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT / "tests", check=True, capture_output=True, text=True)
    assert "'datasets'" in done.stdout


# ------------------------------------------------------------------------------------------------ the same flags


def describe(kinds):
    """All that --help and the checks of a command line go by."""
    return [
        (action.option_strings, action.dest, action.nargs, action.const, action.default, action.required, action.help,
         action.choices and list(action.choices))
        for action in _Parser(kinds)._actions
    ]  # fmt: skip


@pytest.mark.parametrize(
    "light, full", [(TrainFlags, TrainArguments), (PlannedTrainFlags, PlannedTrainArguments)], ids=["train", "planned"]
)
def test_the_flags_read_from_transformers_source_are_those_of_its_class(light, full):
    assert not issubclass(light, TrainingArguments)  # they were read, not imported
    assert describe((ModelArguments, DataArguments, light)) == describe((ModelArguments, DataArguments, full))


def test_the_parser_is_transformers_own_read_alone():
    alone = single_files.load_argument_parser()
    assert alone is not HfArgumentParser
    assert vars(alone).keys() == vars(HfArgumentParser).keys()


@pytest.mark.parametrize("file", ["no_such_file.py", "fuzzing.py"])
def test_a_release_that_has_them_elsewhere_is_imported(file, monkeypatch):
    for module in (single_files, training_flags):
        monkeypatch.setattr(module, "find_file", lambda name: ROOT / "tests" / file)
    assert single_files.load_argument_parser() is HfArgumentParser
    assert training_flags.read_training_fields() is TrainingArguments


@pytest.mark.parametrize("kind", [TrainFlags, TrainArguments], ids=["before", "after"])
@pytest.mark.parametrize(
    "flags, message",
    [
        (["--json_dir", "data"], "expected --output_dir FOLDER"),
        (["--output_dir", "run"], "exactly one of --json_dir FOLDER and --dataset_name NAME"),
        ("--json_dir d --output_dir run --max_steps 0".split(), "--max_steps: expected at least 1, or -1, found 0"),
        ("--json_dir d --output_dir run --do_predict".split(), "--do_predict: expected it to be left out, found true"),
        ("--json_dir d --output_dir run --merge_lora".split(), "--merge_lora: expected --train lora"),
        ("--json_dir d --output_dir run --early_stopping_patience 2".split(), "expected --eval_strategy steps or"),
        ("--json_dir d --output_dir run --fp16 --use_cpu".split(), "--fp16: expected a GPU, found --use_cpu true"),
        ("--json_dir d --output_dir run --optim best".split(), "--optim: invalid choice: 'best'"),
        ("--json_dir d --output_dir run --log_level loud".split(), "--log_level: invalid choice: 'loud'"),
        ("--json_dir d --output_dir run left over".split(), "unknown argument left"),
    ],
)
def test_what_is_wrong_is_said_before_as_after(kind, flags, message, capsys):
    with pytest.raises(SystemExit) as stop:
        parse_arguments((ModelArguments, DataArguments, kind), flags)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_each_recipe_answers_for_the_flags_that_it_then_reads():
    for path in ROOT.glob("recipes/*.py"):
        read = [
            [name.id.removesuffix("Flags").removesuffix("Arguments") for name in call.args[0].elts]
            for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "parse_arguments"
        ]
        if path.name not in ("compare.py", "plan_test_set.py", "push_to_hub.py"):
            before, after = read
            assert before == after, path.name


# ------------------------------------------------------------------------------------------------ CUDA


@pytest.mark.parametrize("has_cuda", [True, False])
def test_what_depends_on_cuda_is_settled_when_flags_are_read(has_cuda, monkeypatch, tmp_path):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_cuda)
    needed = {
        EvalArguments: [],
        PredictArguments: ["--image", "a.nii", "--question", "?"],
        ManyArguments: ["--folder", "scans", "--output", "a.csv"],
    }
    for kind, flags in needed.items():
        for given, use_cpu in (
            ([], not has_cuda),
            (["--use_cpu"], True),
            (["--use_cpu", "false"], False),
            (["--no_use_cpu"], False),
            (["--no-use-cpu"], False),
        ):
            (options,) = parse_arguments((kind,), [*flags, *given])
            assert options.use_cpu is use_cpu


def test_training_on_this_machine_has_its_defaults(tmp_path):
    (training,) = parse_arguments((TrainArguments,), ["--output_dir", str(tmp_path)])
    has_cuda = torch.cuda.is_available()
    assert (training.use_cpu, training.dataloader_pin_memory) == (not has_cuda, has_cuda)
    (training,) = parse_arguments((TrainArguments,), ["--output_dir", str(tmp_path), "--no_dataloader_pin_memory"])
    assert training.dataloader_pin_memory is False


def test_help_tells_each_default_once(capsys):
    for kinds in (
        (ModelArguments, DataArguments, TrainFlags),
        (ModelArguments, PlannedDataArguments, PlannedTrainFlags, EstimateArguments),
        (ModelArguments, DataArguments, EvalArguments),
    ):
        for action in _Parser(kinds)._actions:
            assert action.help.count("(default: ") <= 1, action.help
            assert "(default: None)" not in action.help
    with pytest.raises(SystemExit):
        parse_arguments((ModelArguments, DataArguments, TrainFlags), ["--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert "train on the CPU (default: where no CUDA device is) --" in said
    assert "peak learning rate (default: 2e-05)" in said
