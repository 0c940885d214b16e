"""transformers' Trainer with what it lacks here: rows have names and are seen once each, their loss is the mean over
the step's supervised tokens for every model family, a loss that is not finite stops the run, and of a partly frozen
model only what is trained is saved.

What it does where transformers calls back stands in files of its own; here is what has no such place.
"""

import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import send_to_device
from torch.utils.data import BatchSampler, DataLoader, Sampler, SequentialSampler
from transformers import PrinterCallback, ProgressCallback, Trainer, TrainingArguments
from transformers.integrations import TensorBoardCallback, WandbCallback
from transformers.trainer_utils import EvalLoopOutput, TrainOutput, seed_worker

from umbrella.models.adapters import is_adapted
from umbrella.models.trained_weights import FILE_NAME as TRAINED_WEIGHTS
from umbrella.models.trained_weights import (
    collect_trained,
    drop_second_names,
    keep_frozen,
    load_trained,
    save_trained,
)
from umbrella.rows.batches.blank_rows import FilledRows, add_blank_scan, token_keys
from umbrella.rows.batches.cohorts import Cohorts
from umbrella.rows.batches.lookahead import Foresight, Lookahead, find_prefetch
from umbrella.rows.batches.order import BatchSizes, RowOrder, read_lengths
from umbrella.rows.batches.token_batches import TokenBatches, TokenPlan
from umbrella.rows.collator import ConversationCollator, without_names
from umbrella.training.answer_check import AnswerCheck
from umbrella.training.batches.cohort_log import CohortLog
from umbrella.training.batches.run_speed import RunSpeed, read_gpu_memory
from umbrella.training.batches.token_loss import supervised_loss, takes_logits_to_keep
from umbrella.training.checkpoints import WholeCheckpoints, explaining_failed_save, name_checkpoint
from umbrella.training.loader_workers import outlive_sigterm, stop_workers
from umbrella.training.provenance import Provenance
from umbrella.training.publishing import PublishedCheckpoints, Publisher
from umbrella.training.run_log import Lines, LinesAboveBar
from umbrella.training.sigterm import SigtermFlag
from umbrella.training.steps_taken import StepsTaken
from umbrella.training.watching.late_tensorboard import LateTensorBoard
from umbrella.training.watching.tracking import PrivateWandbCallback

# Where transformers has put the one, ours takes its place.
REPLACED = {
    WandbCallback: PrivateWandbCallback,
    ProgressCallback: LinesAboveBar,
    PrinterCallback: Lines,
    TensorBoardCallback: LateTensorBoard,
}


class ConversationTrainer(Trainer):
    """A Trainer for batches of `ConversationCollator(keep_metadata=True)`.

    Args:
        blank: the example of a blank row, see `umbrella.rows.transform.ConversationTransform.blank_example`.
        provenance: what lies beside every model that is saved.
        answer_check: measures answers in every evaluation, as eval_accuracy and so on: for the logs, early stopping
            and the choice of the best checkpoint. eval_runtime counts them.
        publisher: what `--push_to_hub` goes through.

    Raises FloatingPointError, naming the rows, when a training loss is nan or infinite.
    """

    # Of the batches of training, to be set with --tokens_per_batch; None: they are made by rows.
    token_plan: TokenPlan | None = None

    def __init__(
        self,
        *args: Any,
        data_collator: ConversationCollator,
        blank: dict,
        provenance: Provenance,
        answer_check: AnswerCheck | None = None,
        publisher: Publisher | None = None,
        **kwargs: Any,
    ) -> None:
        self.blank, self.provenance, self.answer_check, self.publisher = blank, provenance, answer_check, publisher
        super().__init__(*args, data_collator=data_collator, **kwargs)
        self.cohort_log = CohortLog(self.cohorts.names if self.cohorts else (), self.accelerator)
        self.sigterm, self.steps = SigtermFlag(self.accelerator), StepsTaken(self.accelerator)
        self._add_callbacks()
        self._loaders, self._eval_loader = [], None
        self.blank_batch = without_names(data_collator([blank]))
        self.keeps_logits = takes_logits_to_keep(self.model.get_base_model() if is_adapted(self.model) else self.model)
        if self.args.use_liger_kernel and not self.model_accepts_loss_kwargs:
            raise ValueError(
                f"--use_liger_kernel: expected a model whose fused loss is the mean over a step's tokens, found "
                f"{type(self.model).__name__}, whose is the mean over each batch's. Leave the flag out."
            )
        # The loss is ours, so the tokens are counted for families too that would not take their number.
        self.model_accepts_loss_kwargs = self.loss_is_scaled_for_ga = True
        self._loss_shifts_labels = True  # private: which of a batch's tokens are counted is asked nowhere else
        if provenance.base is not None and self.is_deepspeed_enabled and not is_adapted(self.model):
            self.model.register_load_state_dict_pre_hook(keep_frozen)

    def _add_callbacks(self) -> None:
        """In the order in which they are called: a checkpoint is made whole, published, and then a run that was told
        to end does."""
        self.add_callback(WholeCheckpoints(self, self.cohort_weights))
        if self.args.push_to_hub:
            self.add_callback(PublishedCheckpoints(self.publisher, self.accelerator))
        self.add_callback(self.sigterm)
        if self.provenance.first_step is not None:
            self.add_callback(self.provenance.first_step)
        for stock, ours in REPLACED.items():
            if self.pop_callback(stock) is not None:
                self.add_callback(ours)
        self.add_callback(self.steps)

    def train(self, *args: Any, **kwargs: Any) -> TrainOutput:
        self.speed = RunSpeed(self.accelerator)
        try:
            with self.sigterm.listening():
                return super().train(*args, **kwargs)
        finally:
            self._stop_workers()

    # ---------------------------------------------------------------------------------------------- rows

    @property
    def rows_a_step(self) -> int:
        """Rows that a step of the optimizer takes, over all processes; where batches are made by tokens, batches."""
        return self.get_total_train_batch_size(self.args)

    @property
    def rows_a_batch(self) -> int:
        """Rows that all processes take at once."""
        return self.rows_a_step // self.args.gradient_accumulation_steps

    @property
    def cohorts(self) -> Cohorts | None:
        """The cohorts of the training rows, where they are several: the losses and shares of each are logged."""
        return self.provenance.cohorts

    @property
    def cohort_weights(self) -> dict[str, float]:
        """Name → share of an epoch's rows; empty where every row comes once."""
        return {} if self.cohorts is None else self.cohorts.shares

    def order_rows(self) -> RowOrder:
        """The order of the training rows, from epoch to epoch."""
        args = self.args
        grouped = args.train_sampling_strategy == "group_by_length"
        return RowOrder(
            len(self.train_dataset),
            args.train_sampling_strategy,
            BatchSizes(self.rows_a_step, self.rows_a_batch, args.dataloader_drop_last),
            seed=self._data_seed,
            epoch=self._count_epochs,
            lengths=read_lengths(self.train_dataset) if grouped else None,
            cohorts=self.cohorts,
        )

    def deal_batches(self) -> Sampler[list[int]]:
        """The batches of training over all processes, which take them in turn."""
        if self.token_plan is not None:
            return TokenBatches(self.token_plan, self._data_seed, self._count_epochs)
        if self.args.tokens_per_batch is not None:
            raise ValueError(
                "tokens_per_batch: expected a plan of the batches, found none. Make one: trainer.token_plan = "
                "umbrella.training.batches.token_plan.plan_batches(rows, transform, args)"
            )
        size = self.rows_a_batch // self.args.world_size
        return BatchSampler(self.order_rows(), size, self.args.dataloader_drop_last)

    def _count_epochs(self) -> int:
        """Those that are over."""
        return int(self.state.epoch or 0)

    def get_train_dataloader(self) -> DataLoader:
        self._stop_workers()  # of a try with more rows a batch (--auto_find_batch_size)
        args, batches = self.args, self.deal_batches()
        rows = FilledRows(self.train_dataset, self.blank, len(self.train_dataset))
        seed = partial(seed_worker, num_workers=args.dataloader_num_workers, rank=args.process_index)
        return self._make_loader(rows, batches, worker_init_fn=seed)

    def get_eval_dataloader(self, eval_dataset: Any = None) -> DataLoader:
        args, rows = self.args, self.eval_dataset if eval_dataset is None else eval_dataset
        stays = args.dataloader_persistent_workers and rows is self.eval_dataset
        if stays and self._eval_loader is not None:
            return self._eval_loader
        order, batch = SequentialSampler(rows), args.eval_batch_size
        if args.train_sampling_strategy == "group_by_length":
            lengths = read_lengths(rows)
            order = RowOrder(
                len(lengths), "group_by_length", BatchSizes(batch, 1), self._data_seed, lambda: 0, lengths
            )
        loader = self._make_loader(rows, BatchSampler(order, batch, args.dataloader_drop_last))
        if stays:
            self._eval_loader = loader
        return loader

    def _make_loader(
        self, rows: Any, batches: Sampler[list[int]], worker_init_fn: Callable[[int], None] | None = None
    ) -> DataLoader:
        args = self.args
        rows, batches = self._look_ahead(rows, batches)
        loader = DataLoader(
            rows,
            batch_sampler=batches,
            num_workers=args.dataloader_num_workers,
            collate_fn=self.data_collator,
            pin_memory=args.dataloader_pin_memory,
            worker_init_fn=worker_init_fn,
            multiprocessing_context=args.dataloader_multiprocessing_context,
            prefetch_factor=args.dataloader_prefetch_factor,
            persistent_workers=args.dataloader_persistent_workers,
            in_order=args.dataloader_in_order,
        )
        loader = self.accelerator.prepare(loader)
        # Its workers' seeds come from here: drawn from torch's own generator, a run that is resumed and so starts
        # other workers would go on with other dropout.
        loader.base_dataloader.generator = torch.Generator().manual_seed(self._data_seed)
        outlive_sigterm(loader)
        self._loaders.append(loader)
        return loader

    def _look_ahead(self, rows: Any, batches: Sampler[list[int]]) -> tuple[Any, Sampler[list[int]]]:
        """Rows and batches of a loader, with workers told of the rows that come where scans are to be fetched."""
        filled = rows if isinstance(rows, FilledRows) else FilledRows(rows, self.blank, len(rows))
        prefetch = find_prefetch(filled.rows)
        if prefetch is None:
            return rows, batches
        foresight = Foresight(filled.rows, prefetch)
        told = Lookahead(batches, self.args.world_size, self.args.dataloader_num_workers)
        return FilledRows(filled.rows, self.blank, len(filled), foresight), told

    def _stop_workers(self) -> None:
        for loader in self._loaders:
            stop_workers(loader)
        self._loaders, self._eval_loader = [], None

    @property
    def _data_seed(self) -> int:
        return self.args.seed if self.args.data_seed is None else self.args.data_seed

    # ---------------------------------------------------------------------------------------------- steps

    def set_initial_training_values(self, args: TrainingArguments, dataloader: DataLoader) -> tuple:
        if len(dataloader) == 0:
            n_rows = len(self.train_dataset)
            processes = "one process" if args.world_size == 1 else f"{args.world_size} processes"
            raise ValueError(
                f"--dataloader_drop_last: expected at least one whole batch, found {n_rows} rows for "
                f"{self.rows_a_batch // args.world_size} a batch on {processes}: no step would be taken. Leave it "
                f"out, or set --batch_size to at most {n_rows // args.world_size}"
            )
        values = list(super().set_initial_training_values(args, dataloader))
        if self.token_plan is not None:  # a batch of which transformers has counted as one row
            _, n_steps, n_rows, _, _, _, max_steps = values
            values[3:5] = n_rows * max_steps / n_steps, round(n_rows / n_steps)
        return tuple(values)

    def _run_epoch(self, *args: Any, **kwargs: Any) -> None:
        # Private: no hook leaves an epoch out. Resumed from its last step, within an epoch; or
        # `umbrella.training.resuming.CatchUp` has stopped it.
        if self.control.should_training_stop or self.state.global_step >= self.state.max_steps:
            self.control.should_training_stop = True
            return
        super()._run_epoch(*args, **kwargs)

    def get_batch_samples(
        self, epoch_iterator: Iterator, num_batches: int, device: torch.device
    ) -> tuple[list, torch.Tensor | int | None]:
        return super().get_batch_samples(self.speed.watch(epoch_iterator), num_batches, device)

    def training_step(
        self, model: torch.nn.Module, inputs: dict, num_items_in_batch: torch.Tensor | int | None = None
    ) -> torch.Tensor:
        loss = super().training_step(model, self.with_scan(inputs), num_items_in_batch)
        if not torch.isfinite(loss):
            raise FloatingPointError(
                f"step {self.state.global_step + 1}: expected a finite loss, found {loss.item()} in the batch of rows "
                f"{', '.join(filter(None, inputs['task_ids']))}. Look at their scans, lower --learning_rate, or train "
                "in --bf16 instead of --fp16."
            )
        return loss

    def with_scan(self, inputs: dict) -> dict:
        """A batch without scans gets the blank row, so that its process runs the vision tower as the others do."""
        if (self.blank_batch.keys() - token_keys(self.blank_batch)) & inputs.keys():
            return inputs
        blank = send_to_device(self.blank_batch, inputs["input_ids"].device)
        return inputs | add_blank_scan(without_names(inputs), blank, self.data_collator.fill)

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict,
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        names, inputs = inputs.get("task_ids"), without_names(inputs)
        watch = None
        if self.cohorts is not None and names is not None:
            watch = partial(self.cohort_log.add, names, inputs, trains=model.training)
        if self.args.use_liger_kernel:  # its fused loss never makes the logits
            if watch is not None:
                watch(None)
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        smoothing = self.args.label_smoothing_factor
        loss, outputs = supervised_loss(model, inputs, num_items_in_batch, self.keeps_logits, smoothing, watch)
        if num_items_in_batch is not None and self.args.average_tokens_across_devices:
            loss = loss * self.accelerator.num_processes  # which take the mean of their gradients
        return (loss, outputs) if return_outputs else loss

    def prediction_step(self, model: torch.nn.Module, inputs: dict, *args: Any, **kwargs: Any) -> tuple:
        inputs = self.with_scan(inputs)
        named = inputs if self.cohorts is not None else without_names(inputs)
        return super().prediction_step(model, named, *args, **kwargs)

    def evaluation_loop(self, *args: Any, metric_key_prefix: str = "eval", **kwargs: Any) -> EvalLoopOutput:
        # Neither in `evaluate` nor in a callback: it logs, and tells the callbacks, before it returns.
        output = super().evaluation_loop(*args, metric_key_prefix=metric_key_prefix, **kwargs)
        of_cohorts = self.cohort_log.take_evaluation()
        output.metrics.update({f"{metric_key_prefix}_{name}": value for name, value in of_cohorts.items()})
        if self.answer_check is not None and metric_key_prefix == "eval":
            with self.accelerator.autocast():  # `generate` runs the vision tower and the projector outside of forward
                found = self.answer_check(self.model)
            output.metrics.update({f"eval_{name}": value for name, value in found.items()})
        return output

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if "train_loss" in logs and not self.steps.count:
            return  # nothing was left to train: 0.0 is no loss
        super().log(logs | self.cohort_log.take() | read_gpu_memory() if "loss" in logs else logs, start_time)

    # ---------------------------------------------------------------------------------------------- what is saved

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        folder = output_dir or self.args.output_dir
        if self.args.should_save:
            self.provenance.announce(folder)
        if self.provenance.base is None or is_adapted(self.model):
            super().save_model(folder, _internal_call=True)
        else:
            self._save_trained(folder)
        if self.args.should_save:
            self.provenance.save(folder)
        if self.args.push_to_hub and not _internal_call:
            self.push_to_hub(commit_message="Model save")

    def _save_trained(self, folder: str) -> None:
        state = collect_trained(self.model, keep=self.args.should_save)
        if self.args.should_save:
            save_trained(state, self.accelerator.unwrap_model(self.model), folder)
            self.processing_class.save_pretrained(folder)
            torch.save(self.args, Path(folder) / "training_args.bin")

    def _save_checkpoint(self, model: torch.nn.Module, trial: Any) -> None:
        # Private: no hook comes before a checkpoint is written, or where that fails.
        folder = name_checkpoint(self.args, self.state)
        if self.args.should_save:
            shutil.rmtree(folder, ignore_errors=True)  # what an earlier run left half-written
        self.accelerator.wait_for_everyone()
        limit, self.args.save_total_limit = self.args.save_total_limit, None  # `WholeCheckpoints` removes older ones
        try:
            with explaining_failed_save(folder, self.args):
                super()._save_checkpoint(model, trial)
        finally:
            self.args.save_total_limit = limit

    def _save_optimizer_and_scheduler(self, output_dir: str | Path) -> None:
        # Private: transformers leaves frozen weights out for PEFT's models only.
        if not self.is_deepspeed_enabled or self.provenance.base is None:
            super()._save_optimizer_and_scheduler(output_dir)
            return
        with self.model.register_state_dict_post_hook(drop_second_names):
            self.model_wrapped.save_checkpoint(output_dir, exclude_frozen_parameters=True)
        if self.args.should_save and type(self.lr_scheduler).__name__ != "DeepSpeedSchedulerWrapper":
            torch.save(self.lr_scheduler.state_dict(), Path(output_dir) / "scheduler.pt")

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: torch.nn.Module | None = None) -> None:
        # Private: `train` loads weights of its own kinds of files alone.
        path = Path(resume_from_checkpoint) / TRAINED_WEIGHTS
        if path.is_file() and not self.is_fsdp_enabled:
            load_trained(model or self.model, path)
        else:
            super()._load_from_checkpoint(resume_from_checkpoint, model)

    def _load_best_model(self) -> None:
        # Private: as above.
        path = Path(self.state.best_model_checkpoint) / TRAINED_WEIGHTS
        if path.is_file() and not self.is_deepspeed_enabled and not self.is_fsdp_enabled:
            load_trained(self.model, path)
        else:
            super()._load_best_model()

    def _issue_warnings_after_load(self, load_result: Any) -> None:
        # Private: where names do not match, transformers goes on with other weights, and a warning.
        missing = set(load_result.missing_keys) - set(self.model.all_tied_weights_keys)
        if missing or load_result.unexpected_keys:
            raise ValueError(
                f"expected a checkpoint of this model, found one without {sorted(missing)[:3]} and with the unknown "
                f"{sorted(load_result.unexpected_keys)[:3]}. Load model and checkpoint from one run."
            )

    # ---------------------------------------------------------------------------------------------- what is published

    def init_hf_repo(self, token: str | None = None, private: bool | None = None) -> None:
        if self.publisher is None:
            raise ValueError(
                "push_to_hub: expected a publisher, which looks for personal data, found none. Give one: "
                "ConversationTrainer(..., publisher=umbrella.hub.guarded_push.GuardedPush(args))"
            )
        if self.is_world_process_zero():
            self.hub_model_id = self.publisher.open(token)

    def push_to_hub(
        self, commit_message: str = "End of training", blocking: bool = True, token: str | None = None, **kwargs: Any
    ) -> str | None:
        """Save the model and publish the run's folder; returns its address on the main process."""
        if self.hub_model_id is None:
            self.init_hf_repo(token)
        self.save_model(_internal_call=True)
        if not self.is_world_process_zero():
            return None
        return self.publisher.publish(self.args.output_dir, commit_message, token)

    def _push_from_checkpoint(self, checkpoint_folder: str) -> None:
        # Private: transformers would push optimizer states, in the midst of a checkpoint. `PublishedCheckpoints` does.
        pass
