"""A flag that is given twice: the last counts, as of any command's, and that is said."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence


def note_repeated(argv: Sequence[str], find: Callable[[str], argparse.Action | None]) -> None:
    """Say of a flag that is given twice with other values which of them count: who gives a list twice may mean all,
    and who adds a flag to those of a script means the last.

    Args:
        argv: flags of one source, so that those which the command line overrides in a YAML are none of them.
        find: the action of an argument that is a flag, with or without a value behind `=`.
    """
    given: dict[str, tuple[list[str], str]] = {}  # by what they set: what it is, as it was said
    for name, following in _read_flags(argv):
        action = find(name)
        if action is None:
            continue
        stated = _take_values(action, following)
        values = stated or ([] if action.const is None else [str(action.const).lower()])  # of a switch
        said = " ".join(stated) or name
        before, said_before = given.get(action.dest, (values, said))
        given[action.dest] = values, said
        if before != values and int(os.environ.get("RANK", "0")) == 0:
            remedy = ". If all are meant, give them behind one flag" if action.nargs in ("+", "*") else ""
            print(f"note: {name} is given twice: {said} counts, not {said_before}{remedy}", file=sys.stderr)


def _take_values(action: argparse.Action, following: list[str]) -> list[str]:
    """Those of what follows that are the flag's: behind them may stand the YAML of a recipe."""
    if action.nargs in ("+", "*"):
        return following
    return following[: action.nargs if isinstance(action.nargs, int) else 1]


def _read_flags(argv: Sequence[str]) -> list[tuple[str, list[str]]]:
    """(flag, what follows it up to the next one) of each."""
    flags: list[tuple[str, list[str]]] = []
    for argument in argv:
        if argument.startswith("--"):
            name, equals, value = argument.partition("=")
            flags.append((name, [value] if equals else []))
        elif flags:
            flags[-1][1].append(argument)
    return flags
