"""What one process does for all of them, while the others wait for as long as it takes.

The barriers of `torch.distributed` give up after `--ddp_timeout` (30 minutes unless it is set): right for a step of
training, too short for building a large table or for reading every scan. Here the others wait in a group of their own,
by gloo, which goes beside NCCL. Where the main process fails, nobody is told: its end is what makes launchers stop
the others, and what breaks the connection that they wait on.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import lru_cache
from typing import Any

import torch.distributed as dist

PATIENCE = timedelta(days=7)


@contextmanager
def main_process_first() -> Iterator[None]:
    """The block runs on rank 0, then on all others; with one process it just runs."""
    if not _is_one_of_many():
        yield
        return
    group = _patient_group(dist.group.WORLD)
    if dist.get_rank() > 0:
        dist.barrier(group)
    yield
    if dist.get_rank() == 0:
        dist.barrier(group)


def on_main_process(function: Callable, *args: Any) -> Any:
    """`function(*args)`, called on rank 0 alone; every process returns what it returned (it must be picklable)."""
    if not _is_one_of_many():
        return function(*args)
    group = _patient_group(dist.group.WORLD)
    result = [function(*args) if dist.get_rank() == 0 else None]
    dist.broadcast_object_list(result, src=0, group=group)
    return result[0]


def _is_one_of_many() -> bool:
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


@lru_cache(maxsize=1)
def _patient_group(world: "dist.ProcessGroup") -> "dist.ProcessGroup":
    """Made once by all processes together, for as long as the world of them lasts."""
    return dist.new_group(backend="gloo", timeout=PATIENCE)
