"""Programs in forks of a server that has imported what all need, for claims that are not about a start.

A start of Python with torch, transformers and DeepSpeed costs ten seconds of a processor, a fork of a process that has
them milliseconds. The server has trained nothing and set nothing: a fork is as fresh as a start, but for what imports
read of the environment. Launchers (`torchrun`, `accelerate launch`) run in forks too, and fork the processes that they
start: both are torch's launcher, which has flags for it. As a shell starts them: in test_readme, `deepspeed` in
test_resuming.
"""

import atexit
import contextlib
import multiprocessing
import os
import runpy
import signal
import sys
import tempfile
from multiprocessing import forkserver
from pathlib import Path
from unittest.mock import patch

import psutil
from launching import find_free_port

IMPORTED = ["equality_program", "eval", "train", "pytest"]  # and with them torch, transformers, deepspeed
SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(IMPORTED)
WORKERS_FORK = {"PET_RUN_PATH": "1", "PET_START_METHOD": "fork"}  # torchrun's flags --run-path and --start-method


class Program:
    """A script that runs in a session of its own and prints to a file; `Popen`'s names for what is alike."""

    def __init__(self, command, cwd, **environment):
        file, output = tempfile.mkstemp()
        os.close(file)
        self.output = Path(output)
        with patch.dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, sys.path))):
            forkserver.ensure_running()
        self.process = SERVER.Process(
            target=_run, args=(list(map(str, command)), str(cwd), dict(os.environ) | environment, output)
        )
        self.process.start()
        self.pid = self.process.pid
        atexit.register(self.kill)  # what a failed test has left: Python waits for its processes at its end

    @property
    def returncode(self) -> int | None:
        return self.process.exitcode

    def poll(self) -> int | None:
        return self.process.exitcode

    def read(self) -> str:
        """What it has printed so far, errors among it."""
        return self.output.read_text()

    def communicate(self, timeout=None) -> tuple[str, None]:
        """What it printed until its end. After `timeout` seconds that had not come it is killed and said to hang."""
        self.process.join(timeout)
        if self.process.is_alive():
            self.kill()
            raise TimeoutError(f"not at its end after {timeout} s:\n{self.read()[-4000:]}")
        return self.read(), None

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        """With all that it has begun."""
        if self.poll() is not None:
            return
        with contextlib.suppress(psutil.NoSuchProcess):
            everyone = [*psutil.Process(self.pid).children(recursive=True), psutil.Process(self.pid)]
            for one in everyone:
                with contextlib.suppress(psutil.NoSuchProcess):
                    one.kill()
            psutil.wait_procs(everyone[:-1])
        self.process.join()


def start_ranks(command, cwd, n=2, **environment) -> list[Program]:
    """The command as each of `n` processes that train together, as torchrun and Slurm start them."""
    environment |= {"WORLD_SIZE": str(n), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(find_free_port())}
    return [Program(command, cwd, RANK=str(i), LOCAL_RANK=str(i), **environment) for i in range(n)]


def run_ranks(command, cwd, n=2, **environment) -> str:
    """Run the command as `n` processes to their common end; returns what they printed, one after the other."""
    ranks = start_ranks(command, cwd, n, **environment)
    try:
        printed = [rank.communicate(timeout=300)[0] for rank in ranks]
    finally:
        for rank in ranks:
            rank.kill()
    assert [rank.returncode for rank in ranks] == [0] * n, "\n".join(text[-4000:] for text in printed)
    return "".join(printed)


def launch_forked(command, cwd) -> str:
    """Run a launcher, or a script, from the folder `cwd` to its end; returns what it printed, errors among it."""
    program = Program(command, cwd, **WORKERS_FORK)
    try:
        printed = program.communicate(timeout=600)[0]
    finally:
        program.kill()
    assert program.returncode == 0, printed[-6000:]
    return printed


def _run(command, cwd, environment, output):
    multiprocessing.set_start_method(None, force=True)  # its own processes are started as everywhere
    os.setsid()
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    file = os.open(output, os.O_WRONLY | os.O_APPEND)
    for number in (1, 2):
        os.dup2(file, number)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", buffering=1, closefd=False) for number in (1, 2))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    missing = [name for name in IMPORTED if name not in sys.modules]
    assert not missing, f"the server of forks could not import {missing}"
    script, *_ = sys.argv = command
    sys.path.insert(0, str(Path(script).resolve().parent))
    try:
        runpy.run_path(script, run_name="__main__")
    finally:
        atexit._run_exitfuncs()  # private: a program does so at its end, a process of multiprocessing does not
