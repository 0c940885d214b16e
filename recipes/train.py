"""Train a vision-language model on conversations about brain scans.

    accelerate launch recipes/train.py recipes/configs/quickstart.yaml
    accelerate launch recipes/train.py --json_dir DATA --output_dir runs/first --model_name_or_path
    llava-hf/llava-1.5-7b-hf

The YAML's values are flags; flags on the command line win. `--check_batch` runs one batch and stops.
Exit codes: 0 done, 1 an error, 2 a flag that does not exist, 75 told to end (SIGTERM) and saved: start it again with
--resume_from_checkpoint auto.
"""

from umbrella.options.arguments import DataArguments, ModelArguments
from umbrella.options.commands.ending import run
from umbrella.options.parsing import parse_arguments
from umbrella.options.training_flags import TrainFlags

if __name__ == "__main__":  # a wrong flag, or --help, is answered before the slow imports
    run(lambda: parse_arguments((ModelArguments, DataArguments, TrainFlags)))

import os
from functools import partial
from pathlib import Path

from datasets import Dataset, DatasetDict
from transformers import EarlyStoppingCallback, TrainerCallback, set_seed

from umbrella.files.shards.reading import find_fetch_ahead
from umbrella.files.written_files import writing
from umbrella.hub.exporting import merge_adapters
from umbrella.hub.guarded_push import GuardedPush
from umbrella.models.cached_tower import attach_feature_cache
from umbrella.models.feature_cache import open_feature_cache
from umbrella.models.for_training import describe_trained, find_autocast, load_for_training
from umbrella.models.loading import check_fits, load_processor
from umbrella.options.training_arguments import TrainArguments
from umbrella.planning.volume_checks import check_volumes
from umbrella.privacy.shared_questions import record_questions
from umbrella.records.leakage import describe_training_data
from umbrella.records.recipe import resolve_recipe
from umbrella.records.run import read_run_record
from umbrella.rows.batches.cohorts import Cohorts
from umbrella.rows.collator import ConversationCollator
from umbrella.rows.cpu_threads import leave_cores_to_workers
from umbrella.rows.length_check import check_lengths
from umbrella.rows.loading import pick_training_splits, read_splits
from umbrella.rows.remote_scans import know_scans
from umbrella.rows.transform import ConversationTransform
from umbrella.training.answer_check import AnswerCheck, check_answers, settle_best_metric
from umbrella.training.augmentation_epoch import SetEpoch
from umbrella.training.batch_check import check_batch
from umbrella.training.batches.cohort_log import describe_cohorts
from umbrella.training.batches.run_speed import to_table
from umbrella.training.batches.token_plan import plan_batches
from umbrella.training.main_process import main_process_first, on_main_process
from umbrella.training.out_of_memory import explain_out_of_memory
from umbrella.training.preflight import (
    check_deepspeed,
    check_enough_rows,
    check_output_dir,
    check_texts,
    check_world_size,
)
from umbrella.training.provenance import Provenance
from umbrella.training.resuming import CatchUp, check_belongs, check_is_shared, choose_checkpoint, is_to_be_saved
from umbrella.training.run_defaults import settle_run
from umbrella.training.run_log import describe_learning
from umbrella.training.run_start import FirstStep, check_same_data, describe_start
from umbrella.training.trainer import ConversationTrainer
from umbrella.training.unreadable import leave_out_unreadable, write_unreadable
from umbrella.views.augmentation import Augmentation, WindowDraw
from umbrella.views.settings import ViewSettings, is_window
from umbrella.views.volume_cache import open_volume_cache


def main() -> None:
    model_args, data_args, training_args = parse_arguments((ModelArguments, DataArguments, TrainArguments))
    with explain_out_of_memory(training_args, data_args):
        train(model_args, data_args, training_args)


def train(model_args: ModelArguments, data_args: DataArguments, training_args: TrainArguments) -> None:
    # ------------------------------------------------------------------------------------------------ before all else
    checkpoint = check_start(training_args)
    if training_args.logging_dir:
        os.environ["TENSORBOARD_LOGGING_DIR"] = training_args.logging_dir
    set_seed(training_args.seed)

    # ------------------------------------------------------------------------------------------------ data
    name = model_args.model_name_or_path
    with main_process_first():
        splits = read_splits(data_args)
    know_scans(splits, on_main_process)
    used = pick_training_splits(splits, training_args.eval_strategy.value)
    Cohorts.of(used["train"], data_args.cohort_places)  # what cannot be is refused before the scans are read
    processor = load_processor(name)
    recipe = resolve_recipe(ViewSettings.of(data_args), processor, name)
    feature_cache = open_feature_cache(
        training_args.feature_cache, data_args.volume_cache_gb, drawn_frames=recipe.settings.frames
    )
    options = recipe.settings.stated() | {
        "max_length": data_args.max_length,
        "on_overflow": data_args.on_overflow,
        "volume_cache": open_volume_cache(data_args.volume_cache, data_args.volume_cache_gb),
        "feature_cache": feature_cache,
        "fetch_ahead": find_fetch_ahead(),
    }
    transform = ConversationTransform(processor, **options)
    used, unreadable = leave_out_unreadable(used, transform, training_args, checkpoint)
    check_rows(used, transform, training_args, checkpoint)
    cohorts = Cohorts.of(used["train"], data_args.cohort_places)
    on_main_process(check_volumes, used, transform.settings)
    drawn = cohorts.draw if cohorts and cohorts.weights else None
    plan = on_main_process(plan_batches, used["train"], transform, training_args, drawn)
    training_args, chosen = settle_run(training_args, name, len(used["train"]), plan)
    threads = leave_cores_to_workers(training_args.dataloader_num_workers, training_args.device)
    chosen += filter(None, [cohorts and cohorts.describe(), threads])
    augmentation = Augmentation(training_args.seed, training_args.augment_strength) if training_args.augment else None
    windows = WindowDraw(training_args.seed) if is_window(recipe.settings.frames) else None
    shown = ConversationTransform(processor, **options, augment=augmentation, draw_window=windows)
    train_rows = used["train"].with_transform(shown)
    eval_rows = used["validation"].with_transform(transform) if "validation" in used else None

    # ------------------------------------------------------------------------------------------------ model
    answer_check = None
    if eval_rows is not None:
        n_answers, batch_size = training_args.eval_answers, training_args.per_device_eval_batch_size
        answer_check = AnswerCheck(eval_rows, processor, options, n_answers, training_args.seed, batch_size)
        training_args = settle_best_metric(training_args, answer_check.metrics)
    model, base = load_for_training(name, training_args, model_args.base_model, data_args.volume_spacing)
    check_fits(model, processor, recipe.image_size, data_args.max_length)
    if feature_cache is not None:
        autocast = find_autocast(training_args)
        attach_feature_cache(model, processor, feature_cache, training_args.device, autocast)

    # ------------------------------------------------------------------------------------------------ train
    splits = DatasetDict(splits | used)
    start = on_main_process(describe_start, (model_args, data_args, training_args), splits, checkpoint)
    left_out = partial(write_unreadable, training_args.output_dir, unreadable, training_args.max_unreadable)
    first_step = FirstStep(start, training_args.output_dir, left_out)
    trainer = ConversationTrainer(
        model=model,
        args=training_args,
        data_collator=ConversationCollator(processor, keep_metadata=True),
        train_dataset=train_rows,
        eval_dataset=eval_rows,
        processing_class=processor,
        callbacks=choose_callbacks(training_args, augmentation, windows),
        blank=transform.blank_example(),
        provenance=Provenance(recipe, base, first_step, on_main_process(record_questions, used["train"]), cohorts),
        answer_check=answer_check,
        publisher=GuardedPush(training_args) if training_args.push_to_hub else None,
    )
    trainer.token_plan = plan
    if training_args.check_batch:
        check_batch(trainer)
        return
    if checkpoint is not None:
        check_belongs(checkpoint, trainer)
        trainer.add_callback(CatchUp(trainer, checkpoint))
    if trainer.is_world_process_zero():
        seen = f"seen before: {describe_training_data(start.before)}"
        print(describe_trained(model, base), seen, *chosen, sep="\n")
    result = trainer.train(resume_from_checkpoint=checkpoint)

    # ------------------------------------------------------------------------------------------------ save
    if first_step.began or on_main_process(is_to_be_saved, checkpoint, training_args, trainer.state):
        save_run(trainer, result.metrics, name)


def check_start(training_args: TrainArguments) -> str | None:
    """What can be told to be wrong before anything is loaded. Returns the checkpoint that the run goes on from."""
    check_world_size(training_args.world_size)
    check_deepspeed(training_args)
    asked = training_args.resume_from_checkpoint
    on_main_process(check_output_dir, training_args.output_dir, (asked or "false").lower() != "false")
    checkpoint = on_main_process(choose_checkpoint, asked, training_args.output_dir)
    check_is_shared(checkpoint)
    return checkpoint


def check_rows(
    used: dict[str, Dataset], transform: ConversationTransform, training_args: TrainArguments, checkpoint: str | None
) -> None:
    """What can be told of the rows before the model is loaded."""
    for rows in used.values():
        on_main_process(check_texts, rows, transform.encoder)
        on_main_process(check_lengths, rows, transform)
    on_main_process(check_answers, used, training_args.eval_answers)
    on_main_process(check_same_data, checkpoint, used["train"], training_args.resume_on_other_data)
    check_enough_rows(len(used["train"]), training_args.world_size)


def choose_callbacks(training_args: TrainArguments, *drawn: Augmentation | WindowDraw | None) -> list[TrainerCallback]:
    drawn_each_epoch = [each for each in drawn if each]
    callbacks: list[TrainerCallback] = [SetEpoch(*drawn_each_epoch)] if drawn_each_epoch else []
    if training_args.early_stopping_patience:
        callbacks.append(EarlyStoppingCallback(training_args.early_stopping_patience))
    return callbacks


def save_run(trainer: ConversationTrainer, metrics: dict[str, float], model_name_or_path: str) -> None:
    """Write the model and what the run came to, and say it."""
    args, processor = trainer.args, trainer.processing_class
    began = trainer.provenance.first_step.began
    measured, of_cohorts = trainer.speed.measure(), trainer.cohort_log.measure()
    with writing(args.output_dir, "move the folder to another disk; --resume_from_checkpoint auto then goes on"):
        if began:
            trainer.save_metrics("train", metrics | measured | of_cohorts)
        trainer.save_state()
        trainer.save_model()  # last, since it pushes what the folder holds when --push_to_hub is set
        if args.merge_lora and args.should_save:
            merge_adapters(Path(args.output_dir), processor, trainer.provenance.recipe)
    if trainer.is_world_process_zero():
        if began:
            learning = describe_learning(trainer.state, args, model_name_or_path, len(processor.tokenizer))
            print(to_table(measured), *describe_cohorts(trainer.cohort_log.names, of_cohorts), *learning, sep="\n")
        records = ", recipe and run.json" if read_run_record(args.output_dir) else " and recipe"
        print(f"model, processor{records} are in {args.output_dir}")


if __name__ == "__main__":
    run(main)
