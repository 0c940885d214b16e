"""How a process ends without taking Python apart.

Python calls what is registered with `atexit` in reverse order, so that what was registered first runs last: when all
threads have ended and every library's own end is done. Whatever may end so imports this ahead of any library, which
registers its end when it is imported.
"""

import atexit
import os
import signal
import sys

BROKEN_PIPE = 128 + signal.SIGPIPE  # as a shell calls the end of a tool whose reader has left
FAILED = "error: standard output: expected to write what was printed last, found: {}. Send it elsewhere, start again"
_codes: dict[int, int] = {}  # by process: one that is forked from this has its own end


def leave_at_last(code: int) -> None:
    """Let this process end, when Python has done all else at its end, with this exit code and without taking itself
    apart. Raise SystemExit then: Python takes the code from here."""
    _codes[os.getpid()] = code


def _leave() -> None:
    code = _codes.get(os.getpid())
    if code is None:
        return
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None and not stream.closed:
                stream.flush()
        except BrokenPipeError:
            code = code or BROKEN_PIPE
        except OSError as error:
            code = code or 1
            if stream is sys.stdout and sys.stderr is not None:
                print(FAILED.format(error.strerror), file=sys.stderr)
    os._exit(code)


atexit.register(_leave)
