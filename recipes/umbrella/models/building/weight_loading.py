"""Puts weights into an encoder: every name is accounted for."""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import torch
from torch import nn

from umbrella.models.building.key_map import Rules, map_key
from umbrella.models.building.weight_files import State, read_weight_file

COUNTER = "num_batches_tracked"  # of BatchNorm, which older files lack; nothing reads it
SHOWN = 8


@dataclass(frozen=True)
class WeightChoices:
    """What a file's names mean, and what may stay open.

    rules             see `umbrella.models.building.key_map`
    ignored           patterns of names, after the rules, that are no part of the encoder: a head, a decoder; with "!"
                      before it, of names as the file has them, all that it does not fit
    allow_missing     what the file lacks stays as it was drawn
    allow_unmatched   what the encoder has no place for is left out
    """

    rules: Rules = ()
    ignored: tuple[str, ...] = ()
    allow_missing: bool = False
    allow_unmatched: bool = False


def load_weights(net: nn.Module, path: Path, choices: WeightChoices) -> list[str]:
    """Put a file's weights into a network and say what became of each.

    A network that takes weights of other shapes too has `adapt(state)`, which returns the state it takes and what it
    changed, in words.

    Raises ValueError for names that are missing or left over, unless they are allowed, and for other shapes.
    """
    found, place = read_weight_file(path)
    notes = [f"{path}: {len(found)} tensors" + (f", under {place}" if place else "")]
    kept = [pattern[1:] for pattern in choices.ignored if pattern.startswith("!")]
    ignored = [key for key in found if kept and not any(fnmatchcase(key, pattern) for pattern in kept)]
    state = rename({key: value for key, value in found.items() if key not in set(ignored)}, choices.rules, path)
    ignored += [key for key in state if any(fnmatchcase(key, pattern) for pattern in choices.ignored)]
    if ignored:
        notes.append(f"left out, as the spec or the encoder's kind says: {_name(ignored)}")
    state = {key: value for key, value in state.items() if key not in set(ignored)}
    if callable(adapt := getattr(net, "adapt", None)):
        state, changes = adapt(state)
        notes += changes
    expected = net.get_submodule("net").state_dict()
    notes += _check(state, expected, path, choices)
    counters = {key: value for key, value in expected.items() if key.endswith(COUNTER)}
    taken = {key: value.to(torch.float32) if value.is_floating_point() else value for key, value in state.items()}
    net.get_submodule("net").load_state_dict(
        expected | counters | {key: value for key, value in taken.items() if key in expected}
    )
    notes.append(f"{sum(key in expected for key in state)} of {len(expected)} tensors of the encoder were loaded")
    return notes


def rename(found: State, rules: Rules, path: Path) -> State:
    """The tensors by their names after the rules. Raises ValueError where two come to one name."""
    state: State = {}
    for key, value in found.items():
        if (name := map_key(key, rules)) in state:
            raise ValueError(
                f"{path}: expected one tensor of the name {name!r} after the key_map, found two, {key!r} the second"
            )
        state[name] = value
    return state


def _check(state: State, expected: State, path: Path, choices: WeightChoices) -> list[str]:
    """What was allowed to differ, in words. Raises ValueError for all else, with all of it at once."""
    missing = sorted(key for key in expected if key not in state and not key.endswith(COUNTER))
    unmatched = sorted(key for key in state if key not in expected)
    shapes = [
        f"{key} (expected {_shape(expected[key])}, found {_shape(value)})"
        for key, value in state.items()
        if key in expected and value.shape != expected[key].shape
    ]
    faults, notes = [], []
    if shapes:
        faults.append(f"of another shape: {_name(shapes)}. Is it another size of the encoder? Change its options")
    if missing and choices.allow_missing:
        notes.append(f"missing in the file, left as they were drawn: {_name(missing)}")
    elif missing:
        faults.append(f"missing in the file: {_name(missing)}. Allow it with --allow_missing")
    if unmatched and choices.allow_unmatched:
        notes.append(f"no part of the encoder, left out: {_name(unmatched)}")
    elif unmatched:
        faults.append(f"no part of the encoder: {_name(unmatched)}. Map them with --key_map, or --allow_unmatched")
    if faults:
        raise ValueError(
            f"{path}: expected the encoder's {len(expected)} tensors, found others\n  " + "\n  ".join(faults)
        )
    return notes


def _name(keys: Sequence[str]) -> str:
    more = f" and {len(keys) - SHOWN} more" if len(keys) > SHOWN else ""
    return f"{len(keys)}, {', '.join(keys[:SHOWN])}{more}"


def _shape(tensor: torch.Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "one number"
