"""Which steps a run has taken, and whether one of them changed the weights."""

from accelerate import Accelerator
from transformers import TrainerCallback


class StepsTaken(TrainerCallback):
    """Counts from where training began or was resumed.

    Args:
        accelerator: tells of a step that was left out, its gradients too large for fp16.
    """

    def __init__(self, accelerator: Accelerator):
        self.accelerator = accelerator
        self.first, self.last, self.has_moved = 0, 0, False

    def on_train_begin(self, args, state, control, **kwargs):
        self.first = self.last = state.global_step
        self.has_moved = False

    def on_step_end(self, args, state, control, **kwargs):
        self.last = state.global_step
        self.has_moved = self.has_moved or not self.accelerator.optimizer_step_was_skipped

    @property
    def count(self) -> int:
        return self.last - self.first
