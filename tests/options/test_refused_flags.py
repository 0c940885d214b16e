"""Every flag of transformers' TrainingArguments is followed, or refused with what to do instead."""

from dataclasses import fields

import pytest
import torch
from tiny_trainer import trainer_parts
from torch.nn.functional import cross_entropy
from transformers import TrainingArguments

from umbrella.models.loading import load_model, load_processor
from umbrella.options.parsing import parse_arguments
from umbrella.options.refused_flags import REPLACED, REPLACED_IN_ACCELERATOR_CONFIG
from umbrella.options.training_arguments import TrainArguments
from umbrella.rows.transform import ConversationTransform
from umbrella.training.trainer import ConversationTrainer
from umbrella_dataset import load_umbrella

# Read in transformers 5.23's sources against this project's Trainer: what each asks for happens.
FOLLOWED = """
output_dir per_device_train_batch_size num_train_epochs max_steps learning_rate lr_scheduler_type lr_scheduler_kwargs
warmup_steps optim optim_args weight_decay adam_beta1 adam_beta2 adam_epsilon optim_target_modules
gradient_accumulation_steps average_tokens_across_devices max_grad_norm bf16 fp16 tf32
activation_checkpointing activation_checkpointing_kwargs gradient_checkpointing gradient_checkpointing_kwargs
torch_compile torch_compile_backend torch_compile_mode use_liger_kernel liger_kernel_config use_cache
neftune_noise_alpha torch_empty_cache_steps auto_find_batch_size
logging_strategy logging_steps logging_first_step log_on_each_node logging_nan_inf_filter include_num_input_tokens_seen
log_level log_level_replica disable_tqdm report_to run_name project trackio_space_id trackio_bucket_id
trackio_static_space_id
eval_strategy eval_steps eval_delay per_device_eval_batch_size prediction_loss_only eval_accumulation_steps
save_only_model save_strategy save_steps save_on_each_node save_total_limit
push_to_hub hub_token hub_private_repo hub_model_id hub_strategy hub_always_push
load_best_model_at_end metric_for_best_model ignore_data_skip restore_callback_states_from_checkpoint
full_determinism seed data_seed use_cpu
dataloader_drop_last dataloader_num_workers dataloader_pin_memory dataloader_persistent_workers
dataloader_prefetch_factor dataloader_multiprocessing_context dataloader_in_order train_sampling_strategy
ddp_find_unused_parameters ddp_bucket_cap_mb ddp_broadcast_buffers ddp_static_graph ddp_backend
fsdp fsdp_config deepspeed debug skip_memory_metrics do_train resume_from_checkpoint local_rank
""".split()
# Refused together with another flag, or in part: see `umbrella.options.refused_flags.check_flags`.
IN_PART = "do_eval eval_on_start label_names label_smoothing_factor ddp_timeout accelerator_config greater_is_better"


def refuse(capsys, *flags):
    """What train.py prints of flags that it does not take."""
    with pytest.raises(SystemExit) as end:
        parse_arguments((TrainArguments,), ["--output_dir", "run", *flags])
    assert end.value.code == 2
    return capsys.readouterr().err


def test_each_flag_of_the_installed_transformers_has_been_judged():
    judged = [*FOLLOWED, *REPLACED, *IN_PART.split()]
    assert len(judged) == len(set(judged))
    unknown = {field.name for field in fields(TrainingArguments)} - set(judged)
    assert not unknown, (
        f"transformers has the new flags {', '.join(sorted(unknown))}. Read what its Trainer does with each, and "
        "whether ours takes its place: followed → FOLLOWED in this file, else → REPLACED in refused_flags.py"
    )


@pytest.mark.parametrize(
    "flags, found, remedy",
    [
        (("--enable_jit_checkpoint",), "true", "a run always saves a checkpoint first, and ends with code 75"),
        (("--do_predict", "true"), "true", "python recipes/eval.py --model_name_or_path MODEL --split test"),
        (("--remove_unused_columns", "true"), "true", "loaded from a row's columns"),
        (("--length_column_name", "n_tokens"), "n_tokens", "their column 'length'"),
        (("--include_for_metrics", "inputs"), "['inputs']", "--eval_answers"),
        (("--batch_eval_metrics", "true"), "true", "--eval_answers"),
        (("--eval_do_concat_batches", "false"), "false", "--eval_answers"),
        (("--eval_use_gather_object", "true"), "true", "--eval_answers"),
        (("--fp16_full_eval", "true"), "true", "--bf16 true or --fp16 true is for both"),
        (("--hub_revision", "draft"), "draft", "the repository's main branch"),
        (("--label_names", "targets"), "['targets']", "its key 'labels'"),
        (("--do_eval", "true"), "true", "--eval_strategy steps or epoch"),
        (("--eval_on_start", "true"), "true", "--eval_strategy steps or epoch"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_a_flag_that_would_not_be_followed_is_refused_with_what_is(flags, found, remedy, capsys):
    error = refuse(capsys, *flags)
    assert f"{flags[0]}: expected it to be left out, found {found}. " in error
    assert remedy in error
    parse_arguments((TrainArguments,), ["--output_dir", "run"])  # left out, as the sentence says


@pytest.mark.parametrize("name", REPLACED_IN_ACCELERATOR_CONFIG)
def test_accelerators_own_dealing_out_of_rows_is_refused(name, capsys):
    other = {"split_batches": "true", "dispatch_batches": "true"}.get(name, "false")
    error = refuse(capsys, "--accelerator_config", f'{{"{name}": {other}}}')
    assert f"--accelerator_config: {name}: expected it to be left out, found {other}. Which rows" in error


def test_other_settings_of_accelerator_are_taken_and_a_second_way_to_accumulate_is_not(capsys):
    kept = '{"non_blocking": true, "gradient_accumulation_kwargs": {"sync_each_batch": true}}'
    (args,) = parse_arguments((TrainArguments,), ["--output_dir", "run", "--accelerator_config", kept])
    assert args.accelerator_config.non_blocking is True
    second = refuse(capsys, "--accelerator_config", '{"gradient_accumulation_kwargs": {"num_steps": 4}}')
    assert "num_steps: expected it to be left out, found 4. --gradient_accumulation_steps is this number" in second


def test_flags_that_state_what_happens_anyway_are_taken():
    flags = "--do_train --do_eval true --eval_strategy epoch --label_names labels --prediction_loss_only true"
    (args,) = parse_arguments((TrainArguments,), ["--output_dir", "run", *flags.split()])
    assert args.do_eval and args.label_names == ["labels"]


def test_settings_of_what_is_switched_off_are_taken():
    flags = '--eval_steps 5 --liger_kernel_config {"rope":true} --hub_model_id lab/model --trackio_space_id lab/space'
    (args,) = parse_arguments((TrainArguments,), ["--output_dir", "run", *flags.split()])
    assert args.liger_kernel_config == {"rope": True}


def test_the_direction_of_a_metric_that_nobody_named_is_refused(capsys):
    flags = "--eval_strategy epoch --save_strategy epoch --load_best_model_at_end true --greater_is_better false"
    assert "--greater_is_better: expected --metric_for_best_model beside it" in refuse(capsys, *flags.split())


def test_a_fused_loss_takes_no_smoothing_and_a_cpu_no_timeout(monkeypatch):
    monkeypatch.setattr("umbrella.options.training_fields.check_extra", lambda *_: None)
    with pytest.raises(
        ValueError, match=r"--label_smoothing_factor: .* found 0.1. --use_liger_kernel has a loss without it"
    ):
        TrainArguments(output_dir="run", report_to="none", use_liger_kernel=True, label_smoothing_factor=0.1)
    TrainArguments(output_dir="run", report_to="none", use_cpu=True, ddp_timeout=60)  # one process waits for none
    monkeypatch.setattr(TrainingArguments, "world_size", property(lambda self: 2))
    with pytest.raises(ValueError, match=r"--ddp_timeout: .* found 60. transformers follows it on GPUs alone"):
        TrainArguments(output_dir="run", report_to="none", use_cpu=True, ddp_timeout=60)


# ------------------------------------------------------------------------------------------------ what is followed


@pytest.fixture(scope="module")
def rows(small_data):
    rows = load_umbrella(small_data, split="train")
    rows.set_transform(ConversationTransform(load_processor("tiny")))
    return rows


def build_trainer(rows, folder, **options):
    plain = {"report_to": "none", "disable_tqdm": True, "max_steps": 1, "logging_steps": 1, "save_strategy": "no"}
    return ConversationTrainer(
        model=load_model("tiny", seed=0),
        args=TrainArguments(output_dir=str(folder), per_device_train_batch_size=2, **(plain | options)),
        train_dataset=rows,
        **trainer_parts(),
    )


def test_smoothed_labels_have_the_loss_that_torch_gives_them(rows, tmp_path):
    trainer = build_trainer(rows, tmp_path, label_smoothing_factor=0.2)
    batch = trainer.data_collator([rows[0], rows[1]])
    loss = trainer.compute_loss(trainer.model, dict(batch))
    inputs = {key: batch[key] for key in ("input_ids", "attention_mask", "pixel_values")}
    with torch.no_grad():
        logits = trainer.model(**inputs).logits[:, :-1]
    expected = cross_entropy(logits.flatten(0, 1), batch["labels"][:, 1:].flatten(), label_smoothing=0.2)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    plain = cross_entropy(logits.flatten(0, 1), batch["labels"][:, 1:].flatten())
    assert abs(loss.item() - plain.item()) > 1e-3


@pytest.mark.slow
def test_noise_on_embeddings_another_order_and_the_count_of_tokens_are_followed(rows, tmp_path):
    def first_step(**options):
        trainer = build_trainer(rows, tmp_path, **options)
        trainer.train()
        return trainer.state.log_history[0], list(trainer.order_rows())

    plain, order = first_step()
    counted, same_order = first_step(include_num_input_tokens_seen="non_padding")
    assert (counted["loss"], same_order) == (plain["loss"], order)
    assert 100 < counted["num_input_tokens_seen"] < 1000
    assert first_step(neftune_noise_alpha=50.0)[0]["loss"] != pytest.approx(plain["loss"], rel=1e-4)
    reordered = first_step(data_seed=1)
    assert reordered[1] != order
    assert reordered[0]["loss"] != plain["loss"]
