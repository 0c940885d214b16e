"""How a recipe ends when something is wrong: with one sentence, not with a page of traceback."""

import os
from collections.abc import Callable

# What users meet: unusable data, scans, models and flags (ValueError and its kinds), files (OSError), a missing extra
# (ImportError), a loss of nan.
EXPECTED = (ValueError, OSError, ImportError, FloatingPointError)


def run(main: Callable[[], None]) -> None:
    """Run a recipe's `main`; what a user can mend ends it with one sentence and exit code 1.

    UMBRELLA_TRACEBACK=1 in the environment shows where it came from instead.
    """
    try:
        main()
    except EXPECTED as error:
        if os.environ.get("UMBRELLA_TRACEBACK") == "1":
            raise
        raise SystemExit(f"error: {_last_words(error)}") from None


def _last_words(error: BaseException) -> str:
    """The error's message; of one that a DataLoader worker has sent, with its traceback, the message alone."""
    message = str(error)
    if "Original Traceback" not in message:
        return message
    name = f"{type(error).__name__}: "
    return message[message.rindex(name) + len(name) :].strip()
