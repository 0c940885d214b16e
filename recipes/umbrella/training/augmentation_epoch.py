"""In training what is drawn, augmentation and windows of frames, follows the run's epochs."""

from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from umbrella.views.augmentation import Augmentation, WindowDraw


class SetEpoch(TrainerCallback):
    """Tells the augmentation and the windows which epoch begins, or goes on after a resume."""

    def __init__(self, *drawn: Augmentation | WindowDraw) -> None:
        self.drawn = drawn

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        for each in self.drawn:
            each.set_epoch(int(state.epoch))
