"""How a run publishes what it saves, without knowing where to: that is handed to it."""

from pathlib import Path
from typing import Any, Protocol

from accelerate import Accelerator
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from umbrella.training.checkpoints import name_checkpoint


class Publisher(Protocol):
    """Publishes models, as `umbrella.hub.guarded_push.GuardedPush` does; called on the main process alone.

    every_save  whether checkpoints are published too
    """

    every_save: bool

    def open(self, token: str | None = None) -> str:
        """Check, before training, that a model can be published. Returns under which name."""

    def publish(self, folder: str | Path, message: str, token: str | None = None) -> str:
        """Publish the model in a folder. Returns its address."""


class PublishedCheckpoints(TrainerCallback):
    """Publishes the weights of each checkpoint, with `--hub_strategy every_save`, while the other processes wait. It
    must come after what makes checkpoints whole: where a push fails, the run goes on from there."""

    def __init__(self, publisher: Publisher, accelerator: Accelerator) -> None:
        self.publisher, self.accelerator = publisher, accelerator

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if self.publisher.every_save and state.is_world_process_zero:
            message = f"Training in progress, step {state.global_step}"
            self.publisher.publish(name_checkpoint(args, state), message)
        self.accelerator.wait_for_everyone()
