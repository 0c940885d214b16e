"""Work that is killed: in a forked process of a session of its own, at a file system call or after a time.

A fork of a process that has imported everything costs milliseconds, where a program's start costs seconds.
"""

import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
from tqdm import tqdm

# What Python says to its audit hooks ahead of a call to the file system.
CALLS = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.listdir", "os.scandir", "fcntl.flock")
END_S = 60  # a child of a killed process that lives so long afterwards is one that stays


def kill_at_call(work: Callable[[], None], number: int) -> bool:
    """Run `work` in a process that is killed just before its file system call of this number (0, 1, 2 ...); returns
    whether it came to that. Its children must end too."""
    return end(start(work, number)) == -signal.SIGKILL


def kill_after(work: Callable[[], None], seconds: float, number: int = signal.SIGKILL) -> bool:
    """Run `work` in a process that gets the signal `number` after `seconds`, alone or, as a terminal sends SIGINT,
    with its children; returns whether that ended it. Its children must end too."""
    process = start(work)
    time.sleep(seconds)
    (os.killpg if number == signal.SIGINT else os.kill)(process, number)
    return end(process) != 0


def list_calls(work: Callable[[], None]) -> list[str]:
    """The file system calls of `work`, undisturbed, in a process of its own, in the order of their numbers."""
    with tempfile.NamedTemporaryFile("r") as output:

        def hear_and_work() -> None:
            file, process = os.open(output.name, os.O_WRONLY | os.O_APPEND), os.getpid()

            def hear(event: str, arguments: tuple) -> None:
                if event in CALLS and os.getpid() == process:
                    os.write(file, f"{event}\n".encode())

            sys.addaudithook(hear)
            work()

        assert end(start(hear_and_work)) == 0
        return output.read().split()


def run_whole(work: Callable[[], None]) -> float:
    """Run `work` in a process of its own, without disturbing it; returns the seconds that it took."""
    begin = time.monotonic()
    with tempfile.NamedTemporaryFile("r") as output:
        code = end(start(work, output=output.name))
        assert code == 0, f"expected the work to be done, found exit code {code}:\n{output.read()[-3000:]}"
    return time.monotonic() - begin


def start(work: Callable[[], None], number: int | None = None, output: str | Path = os.devnull) -> int:
    """The id of a forked process that does `work`, in a session of its own, and prints to the file `output`."""
    sys.stdout.flush()
    sys.stderr.flush()
    if process := os.fork():
        while os.getsid(process) != process:  # until then a signal to the session finds nobody
            time.sleep(0.001)
        return process
    code = 1
    try:
        os.setsid()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(file, 1)
        os.dup2(file, 2)
        sys.stdout = sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
        tqdm.set_lock(threading.RLock())  # its own is shared by all forks, and held for ever by one that is killed
        if number is not None:
            _kill_at(number)
        work()
        code = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(code)


def _kill_at(number: int) -> None:
    process, left = os.getpid(), number

    def count(event: str, arguments: tuple) -> None:
        nonlocal left
        if event in CALLS and os.getpid() == process:
            if left == 0:
                os.kill(process, signal.SIGKILL)
            left -= 1

    sys.addaudithook(count)


def end(process: int) -> int:
    """Waits for the end of a process and of all processes of its session; returns its exit code."""
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    deadline = time.monotonic() + END_S
    while left := _list_session(process):
        if time.monotonic() > deadline:
            for one in left:
                one.kill()
            raise AssertionError(f"expected no process of a killed one after {END_S} s, found {left}")
        time.sleep(0.01)
    return code


def _list_session(session: int) -> list[psutil.Process]:
    """The living processes of a session."""
    found = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (ProcessLookupError, psutil.NoSuchProcess):
            pass
    return found


def read_bytes(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
