"""transformers' Trainer with what it lacks here: rows have names and are seen once each, their loss is the mean over
the step's supervised tokens for every model family, and a loss that is not finite stops the run."""

import torch
from transformers.integrations import TensorBoardCallback

from umbrella.models.adapters import is_adapted
from umbrella.rows.blank_rows import FilledRows, add_blank_scan, token_keys
from umbrella.rows.collator import ConversationCollator, without_names
from umbrella.rows.order import BatchSizes, RowOrder, read_lengths
from umbrella.training.answer_check import AnswerCheckTrainer
from umbrella.training.checkpoints import CheckpointTrainer
from umbrella.training.late_tensorboard import LateTensorBoard
from umbrella.training.loader_workers import outlive_sigterm, stop_workers
from umbrella.training.run_log import LoggedTrainer
from umbrella.training.run_speed import MeasuredTrainer
from umbrella.training.steps_taken import StepsTaken
from umbrella.training.token_loss import supervised_loss, takes_logits_to_keep
from umbrella.training.tracking import PrivateTracking


class ConversationTrainer(MeasuredTrainer, LoggedTrainer, AnswerCheckTrainer, PrivateTracking, CheckpointTrainer):
    """A Trainer for batches of `ConversationCollator(keep_metadata=True)`.

    Args:
        blank: the example of a blank row, see `umbrella.rows.transform.ConversationTransform.blank_example`.

    Raises FloatingPointError, naming the rows, when a training loss is nan or infinite.
    """

    def __init__(self, *args, data_collator: ConversationCollator, blank: dict, **kwargs):
        super().__init__(*args, data_collator=data_collator, **kwargs)
        if self.pop_callback(TensorBoardCallback) is not None:
            self.add_callback(LateTensorBoard())
        self.steps = StepsTaken(self.accelerator)
        self.add_callback(self.steps)
        self.blank = blank
        self._loaders = []
        self.blank_batch = without_names(data_collator([blank]))
        self.keeps_logits = takes_logits_to_keep(self.model.get_base_model() if is_adapted(self.model) else self.model)
        if self.args.use_liger_kernel and not self.model_accepts_loss_kwargs:
            raise ValueError(
                f"--use_liger_kernel: expected a model whose fused loss is the mean over a step's tokens, found "
                f"{type(self.model).__name__}, whose is the mean over each batch's. Leave the flag out."
            )
        # The loss is ours, so the tokens are counted for families too that would not take their number.
        self.model_accepts_loss_kwargs = self.loss_is_scaled_for_ga = self._loss_shifts_labels = True

    def train(self, *args, **kwargs):
        try:
            result = super().train(*args, **kwargs)
        finally:
            self._stop_workers()
        self.steps.check(self.args, self.state.max_steps)
        return result

    # ---------------------------------------------------------------------------------------------- rows

    def get_train_dataloader(self):
        self._stop_workers()  # of a try with more rows a batch (--auto_find_batch_size)
        order = self._get_train_sampler()
        return self._get_dataloader(
            FilledRows(self.train_dataset, self.blank, max(len(order), len(self.train_dataset))),
            description="Training",
            batch_size=self._train_batch_size,
            sampler_fn=lambda _: order,
            is_training=True,
        )

    def _get_dataloader(self, *args, **kwargs):
        loader = super()._get_dataloader(*args, **kwargs)
        # Its workers' seeds come from here: drawn from torch's own generator, a run that is resumed and so starts
        # other workers would go on with other dropout.
        loader.base_dataloader.generator = torch.Generator().manual_seed(self._data_seed)
        outlive_sigterm(loader)
        self._loaders.append(loader)
        return loader

    def _stop_workers(self):
        for loader in self._loaders:
            stop_workers(loader)
        self._loaders.clear()

    def _get_train_sampler(self, train_dataset=None):
        args = self.args
        grouped = args.train_sampling_strategy == "group_by_length"
        return RowOrder(
            len(self.train_dataset),
            args.train_sampling_strategy,
            BatchSizes(self.rows_a_step, self._train_batch_size * args.world_size, args.dataloader_drop_last),
            seed=self._data_seed,
            epoch=lambda: int(self.state.epoch or 0),
            lengths=read_lengths(self.train_dataset) if grouped else None,
        )

    def _get_eval_sampler(self, eval_dataset):
        if self.args.train_sampling_strategy != "group_by_length":
            return super()._get_eval_sampler(eval_dataset)
        batch = self.args.eval_batch_size
        lengths = read_lengths(eval_dataset)
        sizes = BatchSizes(batch, 1)
        return RowOrder(len(lengths), "group_by_length", sizes, self._data_seed, lambda: 0, lengths)

    @property
    def _data_seed(self) -> int:
        return self.args.seed if self.args.data_seed is None else self.args.data_seed

    # ---------------------------------------------------------------------------------------------- steps

    def set_initial_training_values(self, args, dataloader):
        if len(dataloader) == 0:
            n_rows = len(self.train_dataset)
            processes = "one process" if args.world_size == 1 else f"{args.world_size} processes"
            raise ValueError(
                f"--dataloader_drop_last: expected at least one whole batch, found {n_rows} rows for "
                f"{self._train_batch_size} a batch on {processes}: no step would be taken. Leave it "
                f"out, or set --batch_size to at most {n_rows // args.world_size}"
            )
        return super().set_initial_training_values(args, dataloader)

    def log(self, logs, start_time=None):
        if "train_loss" in logs and not self.steps.count:
            return  # nothing was left to train: 0.0 is no loss
        super().log(logs, start_time)

    def _run_epoch(self, *args, **kwargs):
        # Resumed from its last step, within an epoch; or `umbrella.training.resuming.CatchUp` has stopped it.
        if self.control.should_training_stop or self.state.global_step >= self.state.max_steps:
            self.control.should_training_stop = True
            return
        super()._run_epoch(*args, **kwargs)

    def training_step(self, model, inputs, num_items_in_batch=None):
        loss = super().training_step(model, inputs, num_items_in_batch)
        if not torch.isfinite(loss):
            raise FloatingPointError(
                f"step {self.state.global_step + 1}: expected a finite loss, found {loss.item()} in the batch of rows "
                f"{', '.join(filter(None, inputs['task_ids']))}. Look at their scans, lower --learning_rate, or train "
                "in --bf16 instead of --fp16."
            )
        return loss

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        inputs = self._with_scan(without_names(inputs))
        if self.args.use_liger_kernel:  # its fused loss never makes the logits
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        smoothing = self.args.label_smoothing_factor
        loss, outputs = supervised_loss(model, inputs, num_items_in_batch, self.keeps_logits, smoothing)
        if num_items_in_batch is not None and self.args.average_tokens_across_devices:
            loss = loss * self.accelerator.num_processes  # which take the mean of their gradients
        return (loss, outputs) if return_outputs else loss

    def prediction_step(self, model, inputs, *args, **kwargs):
        return super().prediction_step(model, without_names(inputs), *args, **kwargs)

    def _with_scan(self, inputs: dict) -> dict:
        """A batch without scans gets the blank row, so that its process runs the vision tower as the others do."""
        if (self.blank_batch.keys() - token_keys(self.blank_batch)) & inputs.keys():
            return inputs
        return add_blank_scan(inputs, self._prepare_inputs(self.blank_batch), self.data_collator.fill)
