"""`make newest` asks for every package without bounds and says what broke; the bounds leave out what was not tried."""

import configparser
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[1]
MOVING = ("accelerate", "datasets", "deepspeed", "huggingface_hub", "peft", "transformers")


@pytest.fixture(scope="module")
def newest():
    module = ModuleType("newest")
    module.__file__ = str(ROOT / ".ci/newest")
    exec(SourceFileLoader("newest", module.__file__).get_code("newest"), vars(module))
    return module


def read_requirements():
    """(extra, or "" for those that all need, and the requirement) of setup.cfg."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    texts = {"": config["options"]["install_requires"], **config["options.extras_require"]}
    lines = [(extra, line) for extra, text in texts.items() for line in text.splitlines() if line.strip()]
    return [(extra, Requirement(line)) for extra, line in lines]


def test_all_packages_are_asked_for_without_bounds(newest):
    asked = [Requirement(line) for line in newest.read_requirements()]
    assert not any(requirement.specifier for requirement in asked)
    names = {requirement.name for extra, requirement in read_requirements() if extra in ("", *newest.EXTRAS)}
    assert {requirement.name for requirement in asked} | {*newest.PAIR} == names
    assert [str(requirement.marker) for requirement in asked if requirement.name == "zlib-ng"] == [
        'platform_machine in "x86_64 AMD64 arm64 aarch64"'
    ]


def test_what_was_tried_may_be_installed_and_the_next_release_may_not():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if "==" in line) | {"datasets": "5.2.0"}  # .ci/run's
    found = [requirement for extra, requirement in read_requirements() if extra != "script"]
    found = [requirement for requirement in found if requirement.name in MOVING]
    assert {requirement.name for requirement in found} == {*MOVING}
    for requirement in found:
        tried = Version(pins[requirement.name])
        is_major = requirement.name == "huggingface_hub"
        untried = f"{tried.major + 1}.0.0" if is_major else f"{tried.major}.{tried.minor + 1}.0"
        assert tried in requirement.specifier and untried not in requirement.specifier


@pytest.mark.slow
def test_failed_tests_are_said_by_name_and_reason(newest, tmp_path, capsys):
    newest.print_failures(tmp_path / "results.xml")
    assert capsys.readouterr().out == "no test ran, see above\n"
    (tmp_path / "test_it.py").write_text("def test_good(): pass\ndef test_bad(): raise ValueError('expected a')\n")
    command = [sys.executable, "-m", "pytest", "-q", "--junitxml=results.xml", "test_it.py"]
    assert subprocess.run(command, cwd=tmp_path, stdout=subprocess.DEVNULL).returncode == 1
    newest.print_failures(tmp_path / "results.xml")
    assert capsys.readouterr().out == "failed     test_it::test_bad: ValueError: expected a\n1 of 2 tests failed\n"


def test_a_release_is_newer_by_its_numbers(newest):
    assert newest.read_numbers("2026.10.19.post1") > newest.read_numbers("2026.10.18")
    assert newest.read_numbers("1.10.0") > newest.read_numbers("1.9.1")
    assert newest.simplify("Rouge_Score") == "rouge-score"
