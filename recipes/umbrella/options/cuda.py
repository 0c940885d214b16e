"""What a machine with CUDA does otherwise. Only torch can tell, so it is settled when all flags have been read."""

from dataclasses import field
from typing import Any

BY_CUDA = ("use_cpu", "dataloader_pin_memory")


def by_cuda(words: str) -> Any:
    """A flag, true or false, whose default `settle_by_cuda` finds: `--use_cpu`, `--use_cpu false`."""
    return field(default=None, metadata={"help": words, "nargs": "?", "const": True})


def settle_by_cuda(arguments: object) -> None:
    """Give those of `BY_CUDA` that nobody has given their values on this machine."""
    if not any(getattr(arguments, name, True) is None for name in BY_CUDA):
        return
    import torch

    has_cuda = torch.cuda.is_available()
    for name, value in zip(BY_CUDA, (not has_cuda, has_cuda), strict=True):
        if getattr(arguments, name, value) is None:
            setattr(arguments, name, value)
