"""How far what takes long is: a bar on a terminal, a line a minute in a log file or a pipe.

What is done within a second shows neither: set in the environment, before tqdm is imported, this holds for the bars of
libraries too; into a file or a pipe theirs are left out.
"""

import os
import sys
from collections.abc import Iterable
from typing import Any

SECONDS_BEFORE_A_BAR = 1
SECONDS_BETWEEN_LINES = 60


def settle_bars() -> None:
    """From now on, in this process and those that it starts, bars appear as above, also those of libraries."""
    os.environ.setdefault("TQDM_DELAY", str(SECONDS_BEFORE_A_BAR))
    if not _has_terminal():
        os.environ.setdefault("TQDM_DISABLE", "1")


def show_progress(iterable: Iterable | None = None, **options: Any) -> Any:
    """tqdm's bar; where no terminal shows it, a line each minute. `options`: tqdm's."""
    from tqdm import tqdm

    if _has_terminal():
        return tqdm(iterable, **options)
    lines = {"file": _Lines(), "mininterval": SECONDS_BETWEEN_LINES, "delay": SECONDS_BETWEEN_LINES, "miniters": 1}
    return tqdm(iterable, **{"disable": False, "leave": False, **lines, **options})


def _has_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


class _Lines:
    """A file for tqdm in which every state of a bar is a line of its own, on standard error."""

    def write(self, text: str) -> None:
        if text.strip():
            sys.stderr.write(f"{text.strip()}\n")

    def flush(self) -> None:
        sys.stderr.flush()
