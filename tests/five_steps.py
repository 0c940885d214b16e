"""The commands of README's "five steps", typed in a folder in their order."""

import json
import re
import shlex
import sys
from pathlib import Path

import eval as evaluation
import generate_conversations
import inspect_labels
import train
import validate_json_format

from umbrella.options.commands.ending import run

README = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")
FIVE_STEPS = README[README.index("## Your own data in five steps") : README.index("## Where to read on")]
RECIPES = {"inspect_labels.py": inspect_labels, "train.py": train, "eval.py": evaluation}
SCRIPTS = {"generate_conversations.py": generate_conversations, "validate_json_format.py": validate_json_format}
# Lines of libraries that say nothing, or nothing true, to a user here.
NOISE = re.compile(r"Repo card metadata|Setting accelerator to CPU|'loss'|Warning|WARNING|deprecated")


def type_five_steps(folder, monkeypatch, capfd, replaced, left_out=(), more=None):
    """Returns metrics.json, the predictions and what each script printed last.

    replaced  what is typed in the place of a part of a line
    left_out  scripts that are not run; where there are any, neither is the run of one batch
    more      flags by script
    """
    monkeypatch.chdir(folder)
    printed = {}
    for line in re.findall(r"^(?:python|accelerate launch) (.*)", FIVE_STEPS, re.MULTILINE):
        for part, other in replaced.items():
            line = line.replace(part, other)
        script, *flags = shlex.split(line)
        name = Path(script).name
        flags += (more or {}).get(name, [])
        if name in left_out or ("--check_batch" in flags and left_out):
            continue
        if name in SCRIPTS:
            assert SCRIPTS[name].main(flags) in (None, 0)
        elif name in RECIPES:
            monkeypatch.setattr(sys, "argv", [script, *flags])
            run(RECIPES[name].main)
        printed[name] = capfd.readouterr()
    assert "VALIDATION PASSED" in printed["validate_json_format.py"].out
    assert not [name for name in RECIPES.keys() & printed if NOISE.search(printed[name].out + printed[name].err)]
    with open(folder / "runs/mine/eval/predictions.jsonl") as file:
        rows = [json.loads(line) for line in file]
    return json.loads((folder / "runs/mine/eval/metrics.json").read_text()), rows, printed
