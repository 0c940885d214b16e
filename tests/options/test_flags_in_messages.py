"""A flag that a message names is one of the command that prints it, or the message names its command."""

import ast
import dataclasses
import importlib
import re
from functools import cache
from pathlib import Path

import pytest

from umbrella.answers.labelled_answer import LabelledAnswer
from umbrella.options.flag_names import GUIDE_SPELLINGS
from umbrella.training.answer_check import find_task_of_answers

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = ROOT / "recipes/umbrella"
ARGUMENTS = [  # whatever room they stand in
    importlib.import_module(".".join(("umbrella", *path.relative_to(LIBRARY).with_suffix("").parts)))
    for path in sorted(LIBRARY.rglob("*arguments.py"))
]
# Of accelerate launch, git lfs, the deepspeed launcher, hf.
OTHERS = {"--num_processes", "--use_deepspeed", "--quiet", "--include", "--local_rank"}
# Command → where its flags are written, if not in itself.
WRITTEN = {
    "generate_conversations.py": "recipes/umbrella/cohort/flags.py",
    "validate_json_format.py": "recipes/umbrella/validation/flags.py",
    "compare.py": "recipes/umbrella/options/compare_flags.py",
    "plan_test_set.py": "recipes/umbrella/options/plan_flags.py",
    "generate_sex_comparison_conversations.py": "sample_data/sample_flags.py",
    "generate_longitudinal_change_conversations.py": "sample_data/sample_flags.py",
}
SOURCES = [*ROOT.glob("recipes/**/*.py"), *ROOT.glob("sample_data/*.py"), ROOT / "umbrella_dataset.py"]


@cache
def flags_of():
    """Command → its flags."""
    flags = {}
    for path in (*ROOT.glob("recipes/*.py"), *ROOT.glob("sample_data/*.py")):
        text = path.read_text(encoding="utf-8")
        names = set(re.findall(r"\w+Arguments", text))
        kinds = [vars(module)[name] for module in ARGUMENTS for name in names if name in vars(module)]
        flags[path.name] = {"--help"} | {f"--{field.name}" for kind in kinds for field in dataclasses.fields(kind)}
        written = (ROOT / WRITTEN[path.name]).read_text(encoding="utf-8") if path.name in WRITTEN else text
        flags[path.name] |= set(re.findall(r"add_argument\(\s*\"(--\w+)", written))
    flags["train.py"] |= {f"--{guide}" for guide in GUIDE_SPELLINGS}
    return flags


def read_messages(path):
    """The texts of a file that are no docstrings, what is filled in as {}."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    skipped = {id(node.body[0].value) for node in ast.walk(tree) if isinstance(node, documented) and node.body
               and isinstance(node.body[0], ast.Expr)}  # fmt: skip
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            skipped |= {id(part) for part in node.values}
            yield "".join(part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in skipped:
            yield node.value


@pytest.mark.slow
def test_every_flag_that_a_message_names_is_a_flag_of_its_command():
    known = set().union(*flags_of().values()) | OTHERS
    for path in SOURCES:
        for message in read_messages(path):
            for command, flag in re.findall(r"(?<![\w-])(?:(\w+\.py)(?: \w+)? )?(--[a-z]\w+)(?![\w-])", message):
                flags = flags_of().get(command, known)
                assert flag in flags, f"{path.name}: {message!r} names {command} {flag}, which is no flag of it"


@pytest.mark.parametrize("target", ["labels", "numbers", "numbers with their signs", "free text"])
def test_what_training_says_of_its_answers_names_flags_of_its_own_or_their_command(target):
    answers, labels = {
        "labels": (["She is female."] * 3 + ["He is male."] * 3, ["female"] * 3 + ["male"] * 3),
        "numbers": (["23.5 years", "24.25 years", "31.5 years"], ["23.5", "24.25", "31.5"]),
        "numbers with their signs": (["23,5 Jahre", "24,25 Jahre", "31,5 Jahre"], ["23.5", "24.25", "31.5"]),
        "free text": (["All is well."] * 4, ["tumour", "stroke", "tumour", "stroke"]),
    }[target]
    _, told = find_task_of_answers([LabelledAnswer("a.json", *row) for row in zip(labels, answers, strict=True)])
    named = re.findall(r"(\S+ )?(--\w+)", "\n".join(told))
    own = flags_of()["train.py"] & flags_of()["validate_json_format.py"]
    assert all(command == "eval.py " or flag in own for command, flag in named), told
    assert named or target == "labels", told
