"""Flags of transformers' TrainingArguments that this project's Trainer takes the place of, or that never come to
anything in train.py: refused, with what does it instead. A flag that is taken and does nothing would be a lie.

Settings of something that is off (--liger_kernel_config without --use_liger_kernel, --eval_steps with --eval_strategy
no) are taken: a flag of the command line switches off what a YAML has set up.
"""

from dataclasses import fields
from typing import Any

_LOSSES_ALONE = (
    "An evaluation keeps the losses alone, and has --eval_answers rows answered, which are scored here. "
    "eval.py gives all metrics"
)
_NUMBER_TYPE = (
    "Evaluations are made while a model trains, in its own number type: --bf16 true or --fp16 true is for both"
)

# Why a flag does nothing here, and what does it instead. Each is refused unless it has its default.
REPLACED = {
    "enable_jit_checkpoint": "Told to end (SIGTERM), a run always saves a checkpoint first, and ends with code 75",
    "do_predict": "train.py answers no split: python recipes/eval.py --model_name_or_path MODEL --split test does",
    "remove_unused_columns": "Scans and texts are loaded from a row's columns, and no model is handed one of them",
    "length_column_name": "The lengths of rows are those of their column 'length', which is always there",
    "include_for_metrics": _LOSSES_ALONE,
    "batch_eval_metrics": _LOSSES_ALONE,
    "eval_do_concat_batches": _LOSSES_ALONE,
    "eval_use_gather_object": _LOSSES_ALONE,
    "fp16_full_eval": _NUMBER_TYPE,
    "bf16_full_eval": _NUMBER_TYPE,
    "hub_revision": "A push goes to the repository's main branch, as that of push_to_hub.py model does",
    "parallelism_config": "Rows are dealt out, and the loss is taken, here, for data parallelism alone; "
    "--deepspeed ds_configs/zero3.json spreads a large model over the GPUs",
}
# Of --accelerator_config: the rows of each process are dealt out by `umbrella.rows.batches.order`.
_ORDER = "Which rows each process gets is decided here: every row once an epoch, blank ones to fill up"
REPLACED_IN_ACCELERATOR_CONFIG = {
    "split_batches": f"{_ORDER}. --batch_size is the rows of one process",
    "dispatch_batches": f"{_ORDER}, each process loading its own",
    "even_batches": _ORDER,
    "use_seedable_sampler": f"{_ORDER}, in an order by --data_seed and the epoch",
}


def check_replaced(args: Any) -> None:
    """Raise ValueError for the first of the flags of `REPLACED` that has not its default."""
    _check_defaults("--", args, REPLACED)


def check_alone(args: Any, evaluates: bool) -> None:
    """The same for flags that are refused for what they are or stand beside, which takes no library to tell."""
    check_replaced(args)
    if args.label_names not in (None, ["labels"]):
        _refuse("--label_names", args.label_names, "The labels of a batch are its key 'labels', for every model")
    for name in ("do_eval", "eval_on_start"):
        if getattr(args, name) and not evaluates:
            _refuse(f"--{name}", True, "It needs --eval_strategy steps or epoch, which was not asked for")
    if args.use_liger_kernel and args.label_smoothing_factor:
        _refuse("--label_smoothing_factor", args.label_smoothing_factor, "--use_liger_kernel has a loss without it")


def check_flags(args: Any) -> None:
    """Raise ValueError for the first flag that would be taken and not be followed.

    Called when transformers has read them (`TrainingArguments.__post_init__`).
    """
    _check_defaults("--accelerator_config: ", args.accelerator_config, REPLACED_IN_ACCELERATOR_CONFIG)
    if "num_steps" in (args.accelerator_config.gradient_accumulation_kwargs or {}):
        _refuse(
            "--accelerator_config: num_steps",
            args.accelerator_config.gradient_accumulation_kwargs["num_steps"],
            "--gradient_accumulation_steps is this number",
        )
    if args.use_cpu and args.world_size > 1 and args.ddp_timeout != type(args).ddp_timeout:
        _refuse("--ddp_timeout", args.ddp_timeout, "transformers follows it on GPUs alone, and --use_cpu is true")


def _check_defaults(prefix: str, options: Any, replaced: dict[str, str]) -> None:
    for option in fields(options):
        if option.name in replaced:
            default = [] if option.name == "include_for_metrics" else option.default
            if getattr(options, option.name) != default:
                _refuse(f"{prefix}{option.name}", getattr(options, option.name), replaced[option.name])


def _refuse(flag: str, value: Any, reason: str) -> None:
    shown = str(value).lower() if isinstance(value, bool) else value
    raise ValueError(f"{flag}: expected it to be left out, found {shown}. {reason}.")
