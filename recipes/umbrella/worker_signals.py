"""DataLoader workers and SIGTERM: they outlive it, so that a run that is told to end can save, and end with the run.

Slurm sends SIGTERM to workers as to the process that trains. PyTorch's workers die of it, and their death ends the run
unsaved. Deaf to it, they would not hear either when the process that is done ends its children: so they are killed.
"""

import atexit
import multiprocessing
import signal
from functools import cache

from torch.utils.data import DataLoader


def outlive_sigterm(loader: DataLoader) -> None:
    """Let the workers of a loader that accelerate has prepared ignore SIGTERM."""
    loader.base_dataloader.worker_init_fn = _DeafStart(loader.worker_init_fn)
    _end_workers_at_exit()


class _DeafStart:
    """What a worker runs first."""

    def __init__(self, start):
        self.start = start

    def __call__(self, worker_id: int) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if self.start is not None:
            self.start(worker_id)


@cache
def _end_workers_at_exit() -> None:
    atexit.register(_end_workers)  # runs before what multiprocessing has registered, which waits for them


def _end_workers() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # PyTorch would raise at the death of each
    for worker in multiprocessing.active_children():
        worker.kill()
