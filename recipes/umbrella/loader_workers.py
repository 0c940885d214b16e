"""Workers of a run's DataLoaders: they outlive SIGTERM, so that a run can save, and end with the run.

Slurm sends SIGTERM to workers as to the process that trains. PyTorch's workers die of it, and their death ends the run
unsaved. Deaf to it, they would not hear either when they are ended by it: a run stops its own, and at exit all others
are killed.
"""

import atexit
import multiprocessing
import signal
from functools import cache

from torch.utils.data import DataLoader


def outlive_sigterm(loader: DataLoader) -> None:
    """Let the workers of a loader that accelerate has prepared ignore SIGTERM."""
    loader.base_dataloader.worker_init_fn = _DeafStart(loader.worker_init_fn)
    _kill_workers_at_exit()


class _DeafStart:
    """What a worker runs first."""

    def __init__(self, start):
        self.start = start

    def __call__(self, worker_id: int) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if self.start is not None:
            self.start(worker_id)


def stop_workers(loader: DataLoader) -> None:
    """End the persistent workers of a loader that accelerate has prepared; another epoch would start new ones.

    Left to the garbage collector they would not be told, which PyTorch notices after 5 s for each.
    """
    inner = loader.base_dataloader
    if inner._iterator is not None:
        inner._iterator._shutdown_workers()
        inner._iterator = None


@cache
def _kill_workers_at_exit() -> None:
    atexit.register(_kill_workers)  # runs before what multiprocessing has registered, which waits for them


def _kill_workers() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # PyTorch would raise at the death of each
    for worker in multiprocessing.active_children():
        worker.kill()
