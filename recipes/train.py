"""Train a vision-language model on conversations about brain scans.

    accelerate launch recipes/train.py recipes/configs/quickstart.yaml
    accelerate launch recipes/train.py --json_dir DATA --output_dir runs/first --model_name_or_path
    llava-hf/llava-1.5-7b-hf

The YAML's values are flags; flags on the command line win. `--check_batch` runs one batch and stops.
"""

import os

from transformers import EarlyStoppingCallback, set_seed
from transformers.trainer_utils import get_last_checkpoint

from umbrella.answer_check import AnswerCheck, settle_best_metric
from umbrella.arguments import DataArguments, ModelArguments
from umbrella.augmentation import Augmentation, SetEpoch
from umbrella.batch_check import check_batch
from umbrella.collator import ConversationCollator
from umbrella.command import run
from umbrella.command_line import parse_arguments
from umbrella.modeling import check_fits, load_model, load_processor
from umbrella.preflight import check_output_dir, check_scans, check_texts, check_world_size
from umbrella.recipe import asked_for, resolve_recipe
from umbrella.run_record import write_run_record
from umbrella.splits import load_splits, pick_split
from umbrella.trainer import ConversationTrainer, SaveRecipe
from umbrella.training_arguments import TrainArguments
from umbrella.training_data import write_training_data
from umbrella.transform import ConversationTransform
from umbrella.volume_cache import open_volume_cache


def main():
    # ------------------------------------------------------------------------------------------------ arguments
    model_args, data_args, training_args = parse_arguments((ModelArguments, DataArguments, TrainArguments))
    check_world_size(training_args.world_size)
    resume = training_args.resume_from_checkpoint
    check_output_dir(training_args.output_dir, resumes=resume is not None)
    if training_args.logging_dir:
        os.environ["TENSORBOARD_LOGGING_DIR"] = training_args.logging_dir
    set_seed(training_args.seed)

    # ------------------------------------------------------------------------------------------------ data
    with training_args.main_process_first(local=False):
        splits = load_splits(data_args)
    train_rows = pick_split(splits, "train")
    eval_rows = pick_split(splits, "validation") if training_args.eval_strategy != "no" else None
    if training_args.process_index == 0:
        for rows in filter(None, (train_rows, eval_rows)):
            check_scans(rows)

    # ------------------------------------------------------------------------------------------------ model
    processor = load_processor(model_args.model_name_or_path)
    recipe = resolve_recipe(asked_for(data_args), processor, model_args.model_name_or_path)
    options = recipe.transform_options() | {
        "max_length": data_args.max_length,
        "on_overflow": data_args.on_overflow,
        "volume_cache": open_volume_cache(data_args.volume_cache, data_args.volume_cache_gb),
    }
    augmentation = Augmentation(training_args.seed, training_args.augment_strength) if training_args.augment else None
    transform = ConversationTransform(processor, **options, augment=augmentation)
    for rows in filter(None, (train_rows, eval_rows)):
        check_texts(rows, transform.encoder)
    train_rows.set_transform(transform)
    answer_check = None
    if eval_rows is not None:
        eval_rows.set_transform(ConversationTransform(processor, **options))
        asked = {"n_rows": training_args.eval_answers, "seed": training_args.seed}
        answer_check = AnswerCheck(
            eval_rows, processor, options, **asked, batch_size=training_args.per_device_eval_batch_size
        )
        settle_best_metric(training_args, answer_check.metrics)
    model = load_model(model_args.model_name_or_path, seed=training_args.seed)
    check_fits(model, processor, recipe.image_size)

    # ------------------------------------------------------------------------------------------------ train
    callbacks = [SaveRecipe(recipe), *([SetEpoch(augmentation)] if augmentation else [])]
    if training_args.early_stopping_patience:
        callbacks.append(EarlyStoppingCallback(training_args.early_stopping_patience))
    trainer = ConversationTrainer(
        model=model,
        args=training_args,
        data_collator=ConversationCollator(processor, keep_metadata=True),
        train_dataset=train_rows,
        eval_dataset=eval_rows,
        processing_class=processor,
        callbacks=callbacks,
        answer_check=answer_check,
    )
    if training_args.check_batch:
        check_batch(trainer)
        return
    if trainer.is_world_process_zero():
        seeds = {"seed": training_args.seed, "data_seed": training_args.data_seed}
        write_run_record(training_args.output_dir, splits, data_args.json_dir, seeds, training_args.world_size)
        write_training_data(training_args.output_dir, train_rows)
        recipe.save(training_args.output_dir)
    if resume is not None and resume.lower() == "true":
        resume = get_last_checkpoint(training_args.output_dir)
    result = trainer.train(resume_from_checkpoint=resume)

    # ------------------------------------------------------------------------------------------------ save
    trainer.log_metrics("train", result.metrics)
    trainer.save_metrics("train", result.metrics)
    trainer.save_state()
    trainer.save_model()  # last, since it pushes what the folder holds when --push_to_hub is set
    if trainer.is_world_process_zero():
        print(f"model, processor, recipe and run.json are in {training_args.output_dir}")


if __name__ == "__main__":
    run(main)
