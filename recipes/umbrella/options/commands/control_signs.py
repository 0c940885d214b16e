"""Control signs are written out before a terminal sees them: a label, a name or a file's text may hold any."""

import io
import re
import sys
from collections.abc import Callable

COLOURS = {"supervised": "\x1b[30;42m", "image": "\x1b[90m", "end": "\x1b[0m"}  # of our own, with black on green
_SIGNS = r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]"
_ANY = re.compile(_SIGNS)
_NOT_OURS = re.compile("|".join([*(f"({re.escape(colour)})" for colour in COLOURS.values()), _SIGNS]))
# Libraries draw progress bars there, and colour their words.
_NOT_A_BAR = re.compile(rf"(\r|\x1b\[[\d;]{{0,20}}[AKm])|{_SIGNS}")


def show_controls(text: str) -> str:
    """The text with its control signs written out but new lines and tabs: a terminal would obey those that a label or
    a file's name brings along."""
    return _ANY.sub(lambda sign: ascii(sign[0])[1:-1], text)


def guard_terminal() -> None:
    """From now on what is printed, whatever it quotes, gives a terminal no orders: on standard output only our own
    colours, on standard error besides what a progress bar needs (carriage return, a line up, colours)."""
    for stream, pattern in ((sys.stdout, _NOT_OURS), (sys.stderr, _NOT_A_BAR)):
        if isinstance(stream, io.TextIOWrapper) and "write" not in vars(stream):
            # On the stream itself, and not another in its place: loggers and bars hold on to the one they have met.
            stream.write = _write_out(stream.write, pattern)  # type: ignore[method-assign]  # see above


def print_exactly(text: str) -> None:
    """Print what another program may read, sign by sign; to a terminal as all else."""
    if isinstance(sys.stdout, io.TextIOWrapper) and not sys.stdout.isatty():
        type(sys.stdout).write(sys.stdout, f"{text}\n")
    else:
        print(text)


def _write_out(write: Callable[[str], int], pattern: re.Pattern) -> Callable[[str], int]:
    def show(found: re.Match) -> str:
        return found[0] if found.lastindex else ascii(found[0])[1:-1]

    return lambda text: write(pattern.sub(show, text))
