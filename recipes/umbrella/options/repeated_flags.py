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
    given: dict[str, tuple] = {}
    for name, values in _read_flags(argv):
        action = find(name)
        if action is None:
            continue
        before = given.get(action.dest)
        given[action.dest] = now = (values, action.const)
        if before in (None, now):
            continue
        if action.nargs in ("+", "*"):
            raise ValueError(
                f"{name}: expected one list, found two, {' '.join(before[0])} and {' '.join(values)}: if all are "
                f"meant, give them behind one flag: {name} {' '.join([*before[0], *values])}"
            )
        if int(os.environ.get("RANK", "0")) == 0:
            counts = f"{' '.join(values)} counts, not {' '.join(before[0])}" if values else f"{name} counts"
            print(f"note: {name} is given twice: {counts}", file=sys.stderr)


def _read_flags(argv: Sequence[str]) -> list[tuple[str, list[str]]]:
    """(flag, its values) of each."""
    flags: list[tuple[str, list[str]]] = []
    for argument in argv:
        if argument.startswith("--"):
            name, equals, value = argument.partition("=")
            flags.append((name, [value] if equals else []))
        elif flags:
            flags[-1][1].append(argument)
    return flags
