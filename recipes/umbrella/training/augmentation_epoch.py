"""In training the augmentation follows the run's epochs."""

from transformers import TrainerCallback

from umbrella.views.augmentation import Augmentation


class SetEpoch(TrainerCallback):
    """Tells the augmentation which epoch begins, or goes on after a resume."""

    def __init__(self, augmentation: Augmentation):
        self.augmentation = augmentation

    def on_epoch_begin(self, args, state, control, **kwargs):
        self.augmentation.set_epoch(int(state.epoch))
