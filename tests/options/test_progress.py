"""How far a command is: a bar on a terminal, lines in a log file, of libraries too."""

import os
import pty
import subprocess
import sys
import termios

import pytest

PROGRAM = """
from umbrella.options.commands import progress
from umbrella.options.commands.ending import run

def main():
    from tqdm.auto import tqdm
    progress.SECONDS_BETWEEN_LINES = 0
    for _ in tqdm(range(3), desc="a library's", mininterval=0):
        pass
    for _ in progress.show_progress(range(3), desc="ours", mininterval=0):
        pass
    for _ in progress.show_progress(range(3), desc="silent", disable=True):
        pass

run(main)
"""


def run_program(stderr, **environment):
    """The program, in a fresh process: tqdm reads its settings when it is imported."""
    without = {name: value for name, value in os.environ.items() if not name.startswith("TQDM_")}
    command = [sys.executable, "-c", PROGRAM]
    return subprocess.run(command, env=without | environment, stderr=stderr, check=True, text=True, timeout=60)


def run_on_terminal(**environment):
    """What a terminal is sent by the program."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    run_program(theirs, **environment)
    os.close(theirs)
    shown = b""
    while True:
        try:
            shown += os.read(ours, 4096)
        except OSError:  # all is read
            os.close(ours)
            return shown.decode()


def test_a_pipe_gets_lines_of_ours_and_none_of_a_librarys_bars():
    lines = run_program(subprocess.PIPE).stderr
    assert "\r" not in lines and "\x1b" not in lines
    assert "ours: 100%" in lines
    assert all(line.startswith("ours: ") for line in lines.splitlines())


def test_a_terminal_gets_bars_of_both():
    shown = run_on_terminal(TQDM_DELAY="0")
    for name in ("a library's", "ours"):
        assert f"\r{name}: 100%" in shown
    assert "silent" not in shown


def test_what_is_done_at_once_shows_no_bar():
    assert run_on_terminal() == ""


@pytest.mark.parametrize("stated", [{}, {"TQDM_DELAY": "3", "TQDM_DISABLE": "0"}])
def test_what_a_user_has_set_stays(stated):
    code = (
        "import os; from umbrella.options.commands.progress import settle_bars; settle_bars(); print(dict(os.environ))"
    )
    without = {name: value for name, value in os.environ.items() if not name.startswith("TQDM_")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=without | stated, check=True, capture_output=True, text=True
    )
    found = {name: value for name, value in eval(done.stdout).items() if name in ("TQDM_DELAY", "TQDM_DISABLE")}
    assert found == (stated or {"TQDM_DELAY": "1", "TQDM_DISABLE": "1"})
