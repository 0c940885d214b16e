"""transformers' Trainer with what it lacks here: rows have names, a loss that is not finite stops the run, and rows
are grouped by length though a transform is set."""

import torch
from transformers import TrainerCallback

from umbrella.answer_check import AnswerCheckTrainer
from umbrella.collator import without_names
from umbrella.hub.guarded_push import GuardedPush
from umbrella.length_batches import LengthGroupedOrder, read_lengths
from umbrella.recipe import Recipe
from umbrella.tracking import PrivateTracking


class ConversationTrainer(AnswerCheckTrainer, PrivateTracking, GuardedPush):
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

    def _get_train_sampler(self, train_dataset=None):
        rows = self.train_dataset if train_dataset is None else train_dataset
        if self.args.train_sampling_strategy != "group_by_length":
            # Without the transform: "batch_rebalance" reads the column of lengths, the others only count rows.
            return super()._get_train_sampler(rows.with_format(None))
        batch_size = self.args.train_batch_size * self.args.gradient_accumulation_steps
        return LengthGroupedOrder(read_lengths(rows), batch_size, self._data_seed, lambda: int(self.state.epoch or 0))

    def _get_eval_sampler(self, eval_dataset):
        if self.args.train_sampling_strategy != "group_by_length":
            return super()._get_eval_sampler(eval_dataset)
        return LengthGroupedOrder(read_lengths(eval_dataset), self.args.eval_batch_size, self._data_seed, lambda: 0)

    @property
    def _data_seed(self) -> int:
        return self.args.seed if self.args.data_seed is None else self.args.data_seed

    def compute_loss(self, model, inputs, *args, **kwargs):
        return super().compute_loss(model, without_names(inputs), *args, **kwargs)

    def prediction_step(self, model, inputs, *args, **kwargs):
        return super().prediction_step(model, without_names(inputs), *args, **kwargs)


class SaveRecipe(TrainerCallback):
    """Writes the recipe into each checkpoint, so that any of them can be evaluated."""

    def __init__(self, recipe: Recipe):
        self.recipe = recipe

    def on_save(self, args, state, control, **kwargs):
        if state.is_world_process_zero:
            self.recipe.save(f"{args.output_dir}/checkpoint-{state.global_step}")
