"""Where the model computes on the CPU, its threads and the workers that load scans share the cores."""

import os

import torch

from umbrella.options.training_arguments import TrainArguments


def leave_cores_to_workers(training_args: TrainArguments) -> str | None:
    """Give the model one thread for each core that no worker of the loader takes, one at least, and say so.

    PyTorch takes all cores; its threads then wait for one another while a worker has the core of one of them, and a
    step takes up to three times as long. Nothing is changed, and None returned, on a GPU, without workers, and where
    OMP_NUM_THREADS says how many, as `accelerate launch` and `torchrun` do.
    """
    n_workers = training_args.dataloader_num_workers
    if training_args.device.type != "cpu" or not n_workers or "OMP_NUM_THREADS" in os.environ:
        return None
    n_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    n_threads = max(1, n_cores - n_workers)
    if n_threads >= torch.get_num_threads():
        return None
    torch.set_num_threads(n_threads)
    return (
        f"threads of the model: {n_threads}, since {n_workers} workers load scans on {n_cores} cores "
        "(OMP_NUM_THREADS sets another number)"
    )
