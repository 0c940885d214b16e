"""transformers' Trainer with the two things it lacks here: rows have names, and a loss that is not finite stops the
run."""

import torch
from transformers import Trainer, TrainerCallback

from umbrella.recipe import Recipe

NAMES = ("task_ids", "metadata")


class ConversationTrainer(Trainer):
    """A Trainer for batches of `ConversationCollator(keep_metadata=True)`.

    Raises FloatingPointError, naming the rows, when a training loss is nan or infinite.
    """

    def training_step(self, model, inputs, num_items_in_batch=None):
        loss = super().training_step(model, inputs, num_items_in_batch)
        if not torch.isfinite(loss):
            raise FloatingPointError(
                f"step {self.state.global_step + 1}: expected a finite loss, found {loss.item()} in the batch of rows "
                f"{', '.join(inputs['task_ids'])}. Look at their scans, lower --learning_rate, or train in "
                "--bf16 instead of --fp16."
            )
        return loss

    def compute_loss(self, model, inputs, *args, **kwargs):
        return super().compute_loss(model, without_names(inputs), *args, **kwargs)

    def prediction_step(self, model, inputs, *args, **kwargs):
        return super().prediction_step(model, without_names(inputs), *args, **kwargs)


def without_names(inputs: dict) -> dict:
    """A batch without what tells its rows' names: as a model takes it."""
    return {key: value for key, value in inputs.items() if key not in NAMES}


class SaveRecipe(TrainerCallback):
    """Writes the recipe into each checkpoint, so that any of them can be evaluated."""

    def __init__(self, recipe: Recipe):
        self.recipe = recipe

    def on_save(self, args, state, control, **kwargs):
        if state.is_world_process_zero:
            self.recipe.save(f"{args.output_dir}/checkpoint-{state.global_step}")
