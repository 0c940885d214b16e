"""SIGTERM (Slurm's pre-emption, a spot instance): the process that trains notes it, saves and ends.

Its DataLoader's workers are deaf to it (`umbrella.training.loader_workers`); all other children die of it as ever.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from types import FrameType
from typing import Any

import torch
from accelerate import Accelerator
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from umbrella.training.checkpoints import name_checkpoint, say_way_on

PREEMPTED_EXIT_CODE = 75  # EX_TEMPFAIL of sysexits.h: try again later
_forks_are_deaf = False


class SigtermFlag(TrainerCallback):
    """SIGTERM ends the run after the present step, with a checkpoint. It must come after what makes checkpoints whole.

    It may reach the processes in different steps, or only some of them: after each step they agree.
    """

    def __init__(self, accelerator: Accelerator) -> None:
        self.accelerator, self.received, self.agreed = accelerator, False, False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Within the block SIGTERM is noted; processes that are forked there die of it as ever."""
        previous = signal.signal(signal.SIGTERM, self._receive)
        _reset_in_forked_processes()
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, previous)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self.received = True

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> TrainerControl:
        received = torch.tensor(int(self.received), device=args.device)
        self.agreed = bool(self.accelerator.reduce(received).item())
        if self.agreed:
            control.should_save = True
            control.should_evaluate = False
        return control

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if self.agreed:
            if args.process_index == 0:
                print(f"SIGTERM: {name_checkpoint(args, state)} is saved; {say_way_on(args)}", flush=True)
            raise SystemExit(PREEMPTED_EXIT_CODE)


@contextmanager
def deaf_forks() -> Iterator[None]:
    """Processes that are forked within the block ignore SIGTERM from their first moment."""
    global _forks_are_deaf
    _forks_are_deaf = True
    try:
        yield
    finally:
        _forks_are_deaf = False


@cache
def _reset_in_forked_processes() -> None:
    """A signal that reaches a child before Python runs there would be lost: it waits until the handler is gone."""

    def is_noted() -> bool:
        return isinstance(getattr(signal.getsignal(signal.SIGTERM), "__self__", None), SigtermFlag)

    def hold() -> None:
        if is_noted():
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})

    def release() -> None:
        if is_noted():
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})

    def release_in_child() -> None:
        if is_noted():
            signal.signal(signal.SIGTERM, signal.SIG_IGN if _forks_are_deaf else signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})

    os.register_at_fork(before=hold, after_in_parent=release, after_in_child=release_in_child)
