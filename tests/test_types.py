"""The types that `make check` holds calls against: what is called wrongly ends it, with the place and the reason."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def check_types(program, folder):
    """mypy's exit code and lines about a program, by the repository's own settings."""
    (folder / "program.py").write_text(program)
    command = [sys.executable, "-m", "mypy", "--config-file", ROOT / "pyproject.toml", folder / "program.py"]
    cache = ["--cache-dir", folder / "cache"]
    env = {**os.environ, "MYPYPATH": str(ROOT)}
    done = subprocess.run([*command, *cache], cwd=ROOT, env=env, capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout.replace(f"{folder}/", "").splitlines()


@pytest.mark.slow
def test_a_wrong_call_of_a_public_function_is_found(tmp_path):
    right = [
        "from pathlib import Path",
        "from umbrella.files.json_files import write_json",
        "from umbrella.views.planes import n_images",
        "from umbrella_dataset import find_split_files",
        'write_json(Path("a.json"), {})',
        'number: int = n_images("axial")',
        'files: dict[str, list[str]] = find_split_files("data")',
    ]
    assert check_types("\n".join(right) + "\n", tmp_path) == (0, ["Success: no issues found in 1 source file"])
    wrong = [
        *right[:4],
        'write_json("a.json", {})',
        'number: str = n_images("axial")',
        'files = find_split_files("data", split="test")',
        "def untyped(number):",
        "    return number",
        "write_json(None, {})",
    ]
    code, lines = check_types("\n".join(wrong) + "\n", tmp_path)
    assert code == 1
    found = {line.split(":")[1]: line.rpartition("[")[2].rstrip("]") for line in lines if ": error: " in line}
    assert found == {"5": "arg-type", "6": "assignment", "7": "call-arg", "8": "no-untyped-def", "10": "arg-type"}
