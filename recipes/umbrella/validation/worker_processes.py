"""Processes that share work and end with the process that started them, also when that is killed."""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager

from umbrella_dataset import WORKER_KILLED, end_with


@contextmanager
def start_workers(n_tasks: int) -> Iterator[ProcessPoolExecutor]:
    """As many processes as there are cores, or tasks if those are fewer. Raises ChildProcessError where one is killed;
    what is not begun when an error ends the block is left undone. Ctrl-C, which a terminal sends to all of them, is
    the starter's matter."""
    n_workers = max(1, min(n_tasks, os.cpu_count() or 1))
    with ProcessPoolExecutor(n_workers, initializer=end_with, initargs=(os.getpid(),)) as pool:
        try:
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # it stays so in the processes begun meanwhile
            try:
                pool.submit(int)  # the first task begins them all
            finally:
                signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
            yield pool
        except BrokenProcessPool:
            raise ChildProcessError(WORKER_KILLED % "Free memory and start again") from None
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
