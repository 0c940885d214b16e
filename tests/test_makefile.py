"""What `make` would run for an environment: with GPU libraries or without, never silent, by the same pins."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import LONGEST
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
TESTS = ROOT / "tests"
CPU_INDEX = "https://download.pytorch.org/whl/cpu"


def read_commands(*words):
    """The commands of a new environment's quickstart, none of which is run."""
    done = subprocess.run(
        ["make", "-n", "quickstart", "VENV=no-such-environment", *words],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.splitlines()


def installs(commands):
    return [command for command in commands if " pip install " in command]


def test_what_make_test_leaves_out_is_tried_at_night():
    commands = {
        target: subprocess.run(
            ["make", "-n", target, "VENV=no-such-environment"], cwd=ROOT, check=True, capture_output=True, text=True
        ).stdout
        for target in ("test", "test-fast", "test-nightly")
    }
    assert '-m "not nightly"' in commands["test"] and '-m "nightly or hypothesis"' in commands["test-nightly"]
    assert '-m "not slow and not fuzz and not nightly"' in commands["test-fast"]
    assert "UMBRELLA_EXAMPLES=many" in commands["test-nightly"]
    assert "UMBRELLA_FUZZ_SECONDS=3600" in commands["test-nightly"] and "-m fuzz" in commands["test-nightly"]
    for target in ("test", "test-fast"):
        assert "--durations 20" in commands[target]


def test_the_tests_that_are_begun_first_are_there():
    """By their names, of which one that is no test's any more would begin nothing."""
    there = [
        name for path in TESTS.rglob("test_*.py") for name in re.findall(r"^def (test_\w+)", path.read_text(), re.M)
    ]
    gone = [name for name in LONGEST if not any(test.startswith(name) for test in there)]
    assert not gone, f"tests/conftest.py, LONGEST: expected the beginnings of tests' names, found {gone}"


def test_torch_comes_from_the_usual_index_unless_another_is_asked_for():
    first, second = installs(read_commands())
    assert first.split()[-2:] == ["torch", "torchvision"]
    assert "index" not in first + second
    for words, index in ((["CPU=1"], CPU_INDEX), (["CPU=1", "TORCH_INDEX=https://mirror/cpu"], "https://mirror/cpu")):
        first, rest = installs(read_commands(*words))
        assert f"--index-url {index} --no-deps torch torchvision" in first
        assert rest == second  # what torch needs comes with the rest, from the usual index


def test_every_installation_keeps_to_the_pins_and_shows_what_it_does():
    for command in installs(read_commands()) + installs(read_commands("CPU=1")):
        assert "--constraint constraints.txt" in command
        assert "--quiet" not in command and "-q" not in command.split()
    said = [command for command in read_commands() if re.match(r'echo "(quickstart|environment) \d of \d', command)]
    assert [" ".join(line.split()[1:5]).strip('"') for line in said] == [
        "quickstart 1 of 4:",
        "environment 1 of 2:",
        "environment 2 of 2:",
        "quickstart 2 of 4:",
        "quickstart 3 of 4:",
        "quickstart 4 of 4:",
    ]
    assert "6.7 GB" in said[0] and "make quickstart CPU=1" in said[0]


def test_the_pins_of_torch_are_those_of_its_builds_without_gpu_libraries_too():
    pins = {}
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            pins[Requirement(line).name] = Requirement(line).specifier
    for name in ("torch", "torchvision"):
        (pin,) = pins[name]
        assert pin.operator == "=="
        assert pins[name].contains(f"{pin.version}+cpu")


@pytest.mark.parametrize("cuda, code", [("None", 0), ("'13.0'", 1)])
def test_an_environment_that_has_gpu_libraries_after_all_is_no_success(cuda, code, tmp_path):
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("from torch import version\n")
    (tmp_path / "torch" / "version.py").write_text(f"cuda = {cuda}\n")
    (check,) = [command for command in read_commands("CPU=1") if "import torch" in command]
    command = check.replace("no-such-environment/bin/python", sys.executable)
    done = subprocess.run(command, shell=True, env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True)
    assert done.returncode == code
    sentence = "CPU=1: expected PyTorch without GPU libraries in no-such-environment, found them. Remove it, or choose"
    assert (sentence in done.stderr) == bool(code)
    assert not any("import torch" in command for command in read_commands())
