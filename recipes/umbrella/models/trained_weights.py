"""Checkpoints that hold only what was trained, when most of the model is frozen.

`trained_weights.safetensors` has the trained parameters by their names in the model. It is no `model.safetensors`:
`from_pretrained` would take that for the whole model and draw all other weights at random.
"""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch.distributed.tensor import DTensor
from transformers import PreTrainedModel
from transformers.integrations import is_deepspeed_zero3_enabled

from umbrella.files.written_files import replacing

FILE_NAME = "trained_weights.safetensors"


def collect_trained(model: PreTrainedModel, keep: bool = True) -> dict[str, torch.Tensor]:
    """The trained parameters, whole and on the CPU. Where they are spread over processes, each must call this.

    Args:
        keep: False on a process that does not write them, and so holds no copy; it returns an empty dictionary.
    """
    state = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            with gathered(parameter):  # one at a time: all at once need not fit on a GPU
                value = parameter.detach()
                value = value.full_tensor() if isinstance(value, DTensor) else value
                if keep:
                    state[name] = value.cpu().contiguous().clone()
    return state


def gathered(parameter: torch.nn.Parameter, modifier_rank: int | None = None) -> AbstractContextManager:
    """Within it a parameter that ZeRO-3 has spread over processes is whole, and what `modifier_rank` puts in stays."""
    if not is_deepspeed_zero3_enabled():
        return nullcontext()
    import deepspeed

    return deepspeed.zero.GatheredParameters([parameter], modifier_rank=modifier_rank)


def save_trained(state: dict[str, torch.Tensor], model: PreTrainedModel, folder: str | Path) -> None:
    """Write the trained weights with the model's config, from which its architecture is known."""
    with replacing(Path(folder) / FILE_NAME) as partial:
        save_file(state, partial, metadata={"format": "pt"})
    model.config.save_pretrained(folder)
    if model.generation_config is not None:
        model.generation_config.save_pretrained(folder)


def load_trained(model: PreTrainedModel, path: str | Path) -> None:
    """Put saved weights into the model that has the others. Raises ValueError where they are not weights of it."""
    state = load_file(path)
    parameters = dict(model.named_parameters())
    own = {name: tuple(getattr(value, "ds_shape", value.shape)) for name, value in parameters.items()}
    for name, value in state.items():
        if own.get(name) != tuple(value.shape):
            raise ValueError(
                f"{path}: expected weights of {type(model).__name__} {model.name_or_path!r}, found {name} of shape "
                f"{tuple(value.shape)} where the model has {own.get(name, 'none')}: they belong to another base model."
            )
    for name, value in state.items():
        with torch.no_grad(), gathered(parameters[name], modifier_rank=0):
            parameters[name].copy_(value)


def keep_frozen(module: torch.nn.Module, state_dict: dict[str, torch.Tensor], prefix: str, *_: Any) -> None:
    """A hook before weights are loaded: those that the checkpoint leaves out are the frozen ones, which stay."""
    for name, value in module.state_dict().items():
        state_dict.setdefault(f"{prefix}{name}", value)


def drop_second_names(module: torch.nn.Module, state_dict: dict[str, torch.Tensor], prefix: str, *_: Any) -> None:
    """A hook after weights are listed, for DeepSpeed, which leaves out one name of frozen weights that two modules
    share (an output layer tied to the embedding): the others go too."""
    names = dict(module.named_parameters(remove_duplicate=False))
    for name in names.keys() - dict(module.named_parameters()).keys():
        if not names[name].requires_grad:
            state_dict.pop(f"{prefix}{name}", None)
