"""A fact on a run: where it stands, what it is, and how it is said."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from umbrella.evaluation.checklists.run_files import RunFiles


@dataclass(frozen=True)
class Known:
    """A fact that is known.

    value  for checklist.json, as it stands in the file
    words  sentences or parts of one. They name no person, no file and no folder, and count no group of subjects: they
           may be published
    """

    value: Any
    words: list[str]


@dataclass(frozen=True)
class Reader:
    """How a fact is found.

    source  the file that it stands in
    read    gives it, or the reason why it is not known
    """

    title: str
    source: str
    read: Callable[[RunFiles], Known | str]


def say_absent(name: str) -> str:
    """The reason why nothing of a file is known."""
    return f"there is no {name}"


def say_pairs(values: dict) -> list[str]:
    """Names with their values, of those that have one."""
    return [f"{name.replace('_', ' ')} {_say(value)}" for name, value in values.items() if value not in (None, [])]


def _say(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {inner}" for name, inner in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
