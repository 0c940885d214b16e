"""How a process ends that is not taken apart: as Python ends, up to the last step."""

import ast
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from test_layout import MODULES, find_first_imports, packages

from umbrella.options.commands.last_exit import BROKEN_PIPE

RECIPES = Path(__file__).parents[2] / "recipes"
LEAVE = """
from umbrella.options.commands.last_exit import leave_at_last
import atexit, multiprocessing, signal, sys, threading, time
class Whole:
    def __del__(self):
        print("taken apart")
whole = Whole()
atexit.register(print, "at exit")
threading.Thread(target=lambda: [time.sleep(0.3), print("thread")]).start()
threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(600,), daemon=True)
child.start()
print(child.pid)
leave_at_last({code})
raise SystemExit({code})
"""
MET = """
from umbrella.options.commands.ending import run
import atexit, sys, torch.distributed as dist
def main():
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    atexit.register(lambda: print("at exit, left:", not dist.is_initialized()))
    print("main")
    sys.exit({code})
run(main)
print("taken apart")
"""


def start(program, **options):
    environment = os.environ | {"PYTHONPATH": str(RECIPES), "PYTHONUNBUFFERED": ""}  # what is printed waits
    return subprocess.Popen([sys.executable, "-c", program], text=True, env=environment, **options)


@pytest.mark.parametrize("code", [0, 75])
def test_threads_libraries_and_children_end_and_all_that_is_printed_goes_out(code):
    process = start(LEAVE.format(code=code), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = process.communicate(timeout=60)
    child, *lines = out.splitlines()
    assert (lines, err, process.returncode) == (["thread", "at exit"], "", code)
    with pytest.raises(ProcessLookupError):
        os.kill(int(child), signal.SIGTERM)


@pytest.mark.parametrize(("code", "expected"), [(0, BROKEN_PIPE), (75, 75)])
def test_a_reader_that_has_left_is_told_by_the_exit_code_alone(code, expected):
    process = start(LEAVE.format(code=code), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    process.stdout = None
    assert (process.communicate(timeout=60)[1], process.returncode) == ("", expected)


def test_a_full_disk_is_said():
    with open("/dev/full", "w") as full:
        process = start(LEAVE.format(code=0), stdout=full, stderr=subprocess.PIPE)
        err = process.communicate(timeout=60)[1]
    assert process.returncode == 1
    assert err.startswith("error: standard output: expected to write what was printed last, found: No space left")


@pytest.mark.slow
@pytest.mark.parametrize("code", [None, 75])
def test_a_process_that_has_met_others_ends_within_run(code):
    process = start(MET.format(code=code), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = process.communicate(timeout=120)
    assert (out, process.returncode) == ("main\nat exit, left: True\n", code or 0), err


def test_a_program_that_has_met_nobody_ends_as_python_does():
    process = start(LEAVE.replace("leave_at_last({code})", "").format(code=3), stdout=subprocess.PIPE)
    assert process.communicate(timeout=60)[0].splitlines()[1:] == ["thread", "at exit", "taken apart"]
    assert process.returncode == 3


def list_imports(file):
    nodes = ast.walk(ast.parse((RECIPES / file).read_text()))
    return [
        node.module if isinstance(node, ast.ImportFrom) else node.names[0].name
        for node in nodes
        if isinstance(node, ast.ImportFrom | ast.Import)
    ]


@pytest.mark.parametrize("recipe", ["train.py", "eval.py", "predict.py"])
def test_a_recipe_for_several_processes_registers_its_end_ahead_of_any_librarys(recipe):
    imports = list_imports(recipe)
    before = imports[: imports.index("umbrella.options.commands.ending")]
    ours = set().union(*(find_first_imports(MODULES[name]) for name in before if name.startswith("umbrella")))
    # filelock has only locks of readers and writers to take apart at the end, which nothing here takes.
    assert packages(set(before) | ours) <= sys.stdlib_module_names | {"umbrella", "filelock"}
    assert list_imports("umbrella/options/commands/ending.py")[0] == "umbrella.options.commands.last_exit"
    assert list_imports("umbrella/options/commands/last_exit.py") == ["atexit", "os", "signal", "sys"]
    late = "umbrella.models.volumes.late_registration"
    assert list_imports("umbrella/__init__.py") == [late]
    assert set(list_imports(f"{late.replace('.', '/')}.py")) - {"umbrella.models.volumes.registration"} <= {
        "sys", "threading", "collections.abc", "importlib.abc", "importlib.machinery", "types", "typing"
    }  # fmt: skip
    for package in ("umbrella/models", "umbrella/models/volumes"):
        assert list_imports(f"{package}/__init__.py") == []
