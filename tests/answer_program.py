"""A program: answer the flags of many commands in one fresh process, and write which large packages each has imported.

python answer_program.py ANSWERS.json
"""

import contextlib
import io
import json
import runpy
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
LARGE = """torch transformers datasets peft accelerate deepspeed matplotlib sklearn scipy pandas numpy nibabel PIL
    umbrella_dataset huggingface_hub""".split()
ASKED = {
    **{f"recipes/{path.name}": [[]] for path in sorted(ROOT.glob("recipes/*.py"))},
    "recipes/push_to_hub.py": [[], ["dataset"], ["model"]],
    **{f"sample_data/{path.name}": [[]] for path in sorted(ROOT.glob("sample_data/[gv]*.py"))},
    "umbrella.cohort": [[]],
    "umbrella.validation": [[]],
}
# With a value that is wrong, not a name: found by what checks the values.
WRONG_VALUES = {
    "recipes/train.py": ["--json_dir", "data", "--output_dir", "run", "--batch_size", "0"],
    "recipes/estimate_memory.py": ["--num_gpus", "0"],
    "recipes/eval.py": ["--json_dir", "data", "--dataset_name", "me/data"],
    "recipes/cross_validate.py": ["--json_dir", "data", "--output_dir", "out", "--folds", "1"],
    "recipes/compare.py": ["a", "b", "--bootstrap", "0"],
    "recipes/plan_test_set.py": ["--accuracy", "85", "--width", "0.05"],
    "sample_data/generate_sex_comparison_conversations.py": ["--subjects_per_split", "5"],
    "sample_data/generate_conversations.py": ["--dry_run", "--seed", "-1"],
}


def answer(command: str, flags: list[str]) -> dict:
    """How a command ends with these flags, what it says, and which large packages it imports."""
    sys.argv, before = [command, *flags], set(sys.modules)
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            if command.endswith(".py"):
                sys.path[0] = str((ROOT / command).parent)
                runpy.run_path(str(ROOT / command), run_name="__main__")
            else:
                runpy.run_module(command, run_name="__main__")
            code = "went on"
        except SystemExit as stop:
            code = stop.code
    return {"code": code, "said": said.getvalue(), "imported": sorted(set(LARGE) & sys.modules.keys() - before)}


def main(output: Path):
    answers = {}
    for command, beginnings in ASKED.items():
        for beginning in beginnings:
            for flags in (["--help"], ["--hlep"]):
                words = [*beginning, *flags]
                answers[" ".join([command, *words])] = answer(command, words)
    for command, flags in WRONG_VALUES.items():
        answers[" ".join([command, *flags])] = answer(command, flags)
    output.write_text(json.dumps(answers), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
