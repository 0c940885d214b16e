"""How a recipe ends when something is wrong: with one sentence, not with a page of traceback."""

from umbrella.options.commands.last_exit import BROKEN_PIPE, leave_at_last  # isort: skip (ahead of what has an end of its own)

import errno
import io
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from safetensors import SafetensorError

from umbrella.files.written_files import NOT_WRITTEN, REMEDY, explain_failed_write
from umbrella.options.commands.control_signs import guard_terminal, show_controls
from umbrella.options.commands.library_lines import leave_out_library_lines
from umbrella.options.commands.progress import settle_bars

# What users meet: unusable data, scans, models and flags (ValueError and its kinds), files and a full disk (OSError,
# SafetensorError), a missing extra (ImportError), a loss of nan, a model that does not fit.
EXPECTED = (ValueError, OSError, SafetensorError, ImportError, FloatingPointError, MemoryError)
SECONDS_FOR_RANK_0 = 10
INTERRUPTED = 130  # what shells say of a command that SIGINT has ended
LOST_WORKER = (
    "expected the processes that read rows to live, found one that has ended ({}). Where memory is short, free some "
    "or start with fewer of them; a training run goes on from its last checkpoint with --resume_from_checkpoint auto"
)
LAUNCHER_VARIABLES = ("TORCHELASTIC_RUN_ID", "CROSS_RANK")  # torchrun's, deepspeed's


def run(main: Callable[[], object]) -> None:
    """Run a recipe's `main`; what a user can mend ends it with one sentence and exit code 1, Ctrl-C with one word and
    exit code 130.

    Of several processes that meet the same problem the first one says it. The others wait for their end, and speak
    only where the first goes on: for a problem of their own.
    UMBRELLA_TRACEBACK=1 in the environment shows where it came from instead.
    """
    start_with_utf8_names()
    leave_out_library_lines()
    settle_bars()
    write_any_text()
    guard_terminal()
    meet_to_the_last()
    try:
        _run_and_flush(main)
        _end_with_the_others(0)
    except SystemExit as error:
        if isinstance(error.code, str):
            let_rank_0_speak()
            raise SystemExit(_add_launcher(error.code)) from None
        _end_with_the_others(error.code)
        raise
    except KeyboardInterrupt:
        if os.environ.get("UMBRELLA_TRACEBACK") == "1":
            raise
        if int(os.environ.get("RANK", "0")) == 0:
            is_launched = any(name in os.environ for name in (*LAUNCHER_VARIABLES, "ACCELERATE_MIXED_PRECISION"))
            launchers = " (what the launcher may print below only says so too)" if is_launched else ""
            print(f"interrupted{launchers}", file=sys.stderr)
        raise SystemExit(INTERRUPTED) from None
    except Exception as error:
        let_rank_0_speak()  # whose end may be what went wrong here: a connection that is closed
        if os.environ.get("UMBRELLA_TRACEBACK") == "1":
            raise
        is_output = _is_of_standard_output(error)
        if is_output and isinstance(error, BrokenPipeError):
            raise SystemExit(BROKEN_PIPE) from None
        failed_write = (
            explain_failed_write(error, "standard output", "send it elsewhere, and start again")
            if is_output
            else explain_failed_write(error, None, REMEDY)
        )
        if _is_of_lost_worker(error):
            said = str(error).splitlines()[0].strip()
            raise SystemExit(_add_launcher(f"error: {LOST_WORKER.format(said)}")) from None
        if failed_write is None and not isinstance(error, EXPECTED):
            raise
        raise SystemExit(_add_launcher(f"error: {_last_words(failed_write or error)}")) from None


def _run_and_flush(main: Callable[[], object]) -> None:
    """What is printed must have gone out before the end: a full disk is met here, where it can be said."""
    try:
        main()
    except SystemExit as error:
        if not isinstance(error.code, str):
            sys.stdout.flush()
        raise
    sys.stdout.flush()


def start_with_utf8_names() -> None:
    """Start anew in Python's UTF-8 mode where the locale has another encoding (ISO-8859-1, C): JSON names scans in
    UTF-8, and a name that the locale cannot write would be no file. What is printed keeps the terminal's encoding."""
    if sys.getfilesystemencoding() != "utf-8" and os.environ.get("PYTHONUTF8") != "1":
        modes = {"PYTHONUTF8": "1", "PYTHONIOENCODING": f"{sys.stdout.encoding}:backslashreplace"}
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], os.environ | modes)


def meet_to_the_last() -> None:
    """Of several processes none goes on before all have met: the first, which can end at once for a problem of its
    start, would take away the place where the others still look for one another. They would hang, or show where."""
    os.environ.setdefault("TORCH_DIST_INIT_BARRIER", "1")  # torch/distributed/distributed_c10d.py


def write_any_text() -> None:
    """From now on a character that a terminal or pipe cannot take (ISO-8859-1, ASCII; a file's name that is no UTF-8)
    is printed as its number, \\u2713, and ends nothing. Where standard output is closed (`>&-`), none is printed."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _is_of_standard_output(error: Exception) -> bool:
    """Whether standard output takes no more, so that it is what could not be written: an error of a write names no
    file, and without a buffer nothing waits in it that would fail again. So a line end is sent."""
    if not isinstance(error, OSError) or error.filename or error.errno not in (*NOT_WRITTEN, errno.EPIPE):
        return False
    try:
        print(flush=True)
    except OSError:
        with suppress(OSError):  # what waits in it must not fail again when Python ends
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return True
    return False


def describe_launcher() -> str:
    """A line on what the launcher, which is told of an error by the exit code alone, will add to it; "" without one.

    No exit code but 0, which would say that all is well, keeps accelerate, torchrun and deepspeed from it.
    """
    nothing_new = "may print below only says that this command has ended"
    if any(name in os.environ for name in LAUNCHER_VARIABLES):
        return f"(what the launcher {nothing_new})\n"
    if "ACCELERATE_MIXED_PRECISION" in os.environ:  # one process, started by accelerate itself
        return "" if _is_quiet() else f"(what accelerate {nothing_new}; `accelerate launch --quiet` leaves it out)\n"
    return ""


def _is_of_lost_worker(error: Exception) -> bool:
    """Whether PyTorch says that a DataLoader's worker has ended; it raises that wherever the program just is."""
    return isinstance(error, RuntimeError) and str(error).startswith("DataLoader worker (pid")


def _is_quiet() -> bool:
    """Whether accelerate, which started this process, was told to add nothing; False where that is not known, on other
    systems than Linux."""
    try:
        command = Path(f"/proc/{os.getppid()}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return not {b"--quiet", b"-q"}.isdisjoint(command)


def _add_launcher(sentence: str) -> str:
    return f"{show_controls(sentence)}\n{describe_launcher()}".rstrip("\n")


def let_rank_0_speak(all_meet_it: bool = False) -> None:
    """On other processes than the first, wait as long as a launcher takes to end them when the first has ended.

    Under srun, and on other nodes, nothing ends them: where the first has ended meanwhile, or `all_meet_it`, they end
    with exit code 1 and without a word.
    """
    if int(os.environ.get("RANK", "0")) > 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # training takes it for a wish to save
        time.sleep(SECONDS_FOR_RANK_0)
        if all_meet_it or _has_rank_0_ended():
            sys.stdout.flush()
            os._exit(1)  # taking a group apart that the first has left would abort


def _has_rank_0_ended() -> bool:
    """Whether nobody listens any more where the processes have met: the first, or its launcher, does as long as it
    lives."""
    if not _have_met() or "MASTER_ADDR" not in os.environ:
        return False
    try:
        socket.create_connection((os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])), timeout=5).close()
    except OSError:
        return True
    return False


def _have_met() -> bool:
    distributed = sys.modules.get("torch.distributed")
    return bool(distributed and distributed.is_available() and distributed.is_initialized())


def _end_with_the_others(code: int | None) -> None:
    """Of several processes that end together, none takes Python apart: gloo's threads, which may outlive their group,
    abort it now and then, and the launcher would take a run that is done for one that failed. Where they have met,
    this ends the process."""
    if _have_met():
        sys.modules["torch.distributed"].destroy_process_group()
        leave_at_last(code or 0)
        raise SystemExit(code or 0)


def _last_words(error: BaseException) -> str:
    """The error's message; of one that a DataLoader worker has sent, with its traceback, the message alone."""
    message = str(error)
    if "Original Traceback" not in message:
        return message
    name = f"{type(error).__name__}: "
    return message[message.rindex(name) + len(name) :].strip()
