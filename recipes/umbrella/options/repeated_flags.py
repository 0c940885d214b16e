"""A flag that is given twice: of a value the last counts, as of any command's, which is said; of a list it is not
known whether both are meant."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence


def check_repeated(argv: Sequence[str], find: Callable[[str], argparse.Action | None]) -> None:
    """Raise ValueError for a list that is given twice with other values; for a value say which one counts.

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
        if before == values:
            continue
        if action.nargs in ("+", "*"):
            raise ValueError(
                f"{name}: expected one list, found two, {' '.join(before)} and {' '.join(values)}: if all are "
                f"meant, give them behind one flag: {name} {' '.join([*before, *values])}"
            )
        if int(os.environ.get("RANK", "0")) == 0:
            print(f"note: {name} is given twice: {said} counts, not {said_before}", file=sys.stderr)


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
