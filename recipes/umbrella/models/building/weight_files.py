"""Files of weights that other programs wrote: opened without running anything that stands in them."""

import re
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

# Where training programs put a model's weights among other things, in this order.
NESTS = ("state_dict", "model_state_dict", "model", "network_weights", "net", "encoder", "teacher", "weights")
GLOBAL = re.compile(r"GLOBAL ([\w.]+)")
State = dict[str, torch.Tensor]


def read_weight_file(path: Path) -> tuple[State, str]:
    """The tensors of a file by their names, and where in it they stand: "" at its top, else as "model.state_dict".

    Raises ValueError for a file that is none, for one whose pickle would run code or make other objects than tensors,
    and for one in which no weights are found; FileNotFoundError where there is none.
    """
    if not path.is_file():
        raise FileNotFoundError(f"--vision_weights {path}: expected a file, found none")
    if path.suffix == ".safetensors":
        try:
            return load_file(path), ""
        except SafetensorError as error:
            raise ValueError(f"{path}: expected safetensors, found {error}") from error
    return find_state(_unpickle(path), path)


def _unpickle(path: Path) -> object:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        found = GLOBAL.search(str(error))
        what = f"the object {found[1]}" if found else "something else"
        raise ValueError(
            f"{path}: expected tensors in dictionaries, found a file that would also make {what}, which could run "
            "code as it is opened. It was not opened. Where you trust it, write its state dict alone in the program "
            'that it is from: torch.save(model.state_dict(), "weights.pt")'
        ) from None
    except (RuntimeError, EOFError, ValueError, KeyError) as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise ValueError(f"{path}: expected a file of torch.save, found {reason}") from error


def find_state(found: object, path: Path) -> tuple[State, str]:
    """The tensors of an opened file, see `read_weight_file`."""
    place: list[str] = []
    while isinstance(found, Mapping):
        tensors = {str(name): value for name, value in found.items() if isinstance(value, torch.Tensor)}
        inner = next((name for name in NESTS if isinstance(found.get(name), Mapping)), None)
        if inner is None:
            if tensors:
                return tensors, ".".join(place)
            break
        place.append(inner)
        found = found[inner]
    keys = ", ".join(map(str, list(found)[:8])) if isinstance(found, Mapping) else type(found).__name__
    raise ValueError(f"{path}: expected weights by their names, at the top or under {', '.join(NESTS)}, found {keys}")
