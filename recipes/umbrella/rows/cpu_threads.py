"""Where the model computes on the CPU, its threads share the cores with the workers that load scans, and with other
runs beside it.

PyTorch takes all cores; its threads then wait for one another while a worker has the core of one of them, and a step
takes up to three times as long.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache

import torch

TOLD = "OMP_NUM_THREADS"  # who sets it, as `accelerate launch` and `torchrun` do, says how many threads there are


def leave_cores_to_workers(n_workers: int, device: torch.device) -> str | None:
    """Give the model one thread for each core that no worker takes, one at least, and return a sentence that says so.

    Nothing is changed, and None returned, on a GPU, without workers, and where OMP_NUM_THREADS says how many.
    """
    if device.type != "cpu" or not n_workers or TOLD in os.environ:
        return None
    n_cores = _count_cores()
    n_threads = max(1, n_cores - n_workers)
    if n_threads >= torch.get_num_threads():
        return None
    torch.set_num_threads(n_threads)
    workers = "1 worker loads scans" if n_workers == 1 else f"{n_workers} workers load scans"
    return f"threads of the model: {n_threads}, since {workers} on {n_cores} cores ({TOLD} sets another number)"


@contextmanager
def cores_left_to_workers(n_workers: int, device: torch.device) -> Iterator[None]:
    """The same for the time of a block; what was changed is printed once."""
    before = torch.get_num_threads()
    if sentence := leave_cores_to_workers(n_workers, device):
        _print_once(sentence)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def share_cores(n_runs: int, environment: Mapping[str, str], has_gpu: bool) -> dict[str, str]:
    """The variable that gives each of several runs at once its part of the cores; none where they are on GPUs, or
    where it is set."""
    if n_runs < 2 or has_gpu or TOLD in environment:
        return {}
    return {TOLD: str(max(1, _count_cores() // n_runs))}


def _count_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def _print_once(sentence: str) -> None:
    print(sentence)
