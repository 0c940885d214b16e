"""Workers of a run's DataLoaders: they outlive SIGTERM, so that a run can save, and end with the run.

Slurm sends SIGTERM to workers as to the process that trains. PyTorch's workers die of it, and their death ends the run
unsaved. Deaf to it, they would not hear either when they are ended by it: a run stops its own, and at exit all others
are killed.
"""

import atexit
import multiprocessing
import signal
from functools import cache
from typing import Any

from torch.utils.data import DataLoader

from umbrella.training.sigterm import deaf_forks


def outlive_sigterm(loader: DataLoader) -> None:
    """Let the workers of a loader that accelerate has prepared ignore SIGTERM."""
    inner = loader.base_dataloader
    # Private: a DataLoader has no public end.
    inner.worker_init_fn = _DeafStart(loader.worker_init_fn)
    if inner.num_workers and inner.multiprocessing_context is None and multiprocessing.get_start_method() == "fork":
        inner.multiprocessing_context = DeafContext()  # so that they are deaf before they reach that
    _kill_workers_at_exit()


class DeafContext(multiprocessing.context.ForkContext):
    """Starts processes that ignore SIGTERM from their first moment, while this one notes it."""

    class Process(multiprocessing.context.ForkProcess):
        def start(self) -> None:
            with deaf_forks():
                super().start()


class _DeafStart:
    """What a worker runs first."""

    def __init__(self, start: Any) -> None:
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
    # Private: a DataLoader has no public end.
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
