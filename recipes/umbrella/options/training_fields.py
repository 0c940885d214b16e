"""Options of train.py that are its own, and what its flags must fulfil before anything large is imported."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from umbrella.options.arguments import FEATURE_CACHE
from umbrella.options.cuda import by_cuda
from umbrella.options.extras import check_extra
from umbrella.options.list_flags import split_list
from umbrella.options.number_bounds import (
    AT_LEAST_1,
    BELOW_1,
    NOT_NEGATIVE,
    POSITIVE,
    SEED,
    STRENGTH,
    Bounds,
    check_bounds,
)
from umbrella.options.refused_flags import check_alone

LOWER_IS_BETTER = ("loss", "mae", "unparseable")
BOUNDS = {
    **dict.fromkeys(("per_device_train_batch_size", "per_device_eval_batch_size", "lora_r", "lora_alpha"), AT_LEAST_1),
    "tokens_per_batch": AT_LEAST_1,
    **dict.fromkeys(("gradient_accumulation_steps", "eval_accumulation_steps", "save_total_limit"), AT_LEAST_1),
    **dict.fromkeys(("torch_empty_cache_steps", "ddp_bucket_cap_mb", "ddp_timeout"), AT_LEAST_1),
    **dict.fromkeys(("dataloader_prefetch_factor", "early_stopping_patience"), AT_LEAST_1),
    **dict.fromkeys(("num_train_epochs", "adam_epsilon"), POSITIVE),
    **dict.fromkeys(("logging_steps", "eval_steps", "save_steps"), POSITIVE),  # below 1: shares of the run
    **dict.fromkeys(("learning_rate", "warmup_steps", "weight_decay", "max_grad_norm"), NOT_NEGATIVE),
    **dict.fromkeys(("neftune_noise_alpha", "dataloader_num_workers", "eval_delay"), NOT_NEGATIVE),
    **dict.fromkeys(("max_unreadable", "eval_answers"), NOT_NEGATIVE),
    **dict.fromkeys(("adam_beta1", "adam_beta2", "label_smoothing_factor", "lora_dropout"), BELOW_1),
    **dict.fromkeys(("seed", "data_seed"), SEED),
    "max_steps": Bounds(1, also=(-1,)),
    "augment_strength": STRENGTH,
}


@dataclass
class TrainFields:
    """Defaults of this project for some of TrainingArguments' flags, and a few flags more. Never alone: the others are
    of `TrainArguments`, or of `umbrella.options.training_flags.TrainFlags`."""

    output_dir: str | None = field(default=None, metadata={"help": "folder for the model, checkpoints and logs"})
    learning_rate: float = field(default=2e-5, metadata={"help": "peak learning rate"})
    per_device_train_batch_size: int = field(default=4, metadata={"help": "rows a step on each device (--batch_size)"})
    tokens_per_batch: int | None = field(
        default=None,
        metadata={
            "help": "in place of --batch_size: as many rows as fit into so many tokens on each device, those of scans "
            "and of padding counted"
        },
    )
    per_device_eval_batch_size: int = field(default=4, metadata={"help": "rows a step on each device, evaluating"})
    use_cpu: bool | None = by_cuda("train on the CPU (default: where no CUDA device is)")
    dataloader_pin_memory: bool | None = by_cuda("pin batches in memory (default: where CUDA is)")
    remove_unused_columns: bool = field(
        default=False, metadata={"help": "always false: the transform needs the columns of a row"}
    )
    dataloader_persistent_workers: bool | None = field(
        default=None, metadata={"help": "keep workers from epoch to epoch (default: where there are workers)"}
    )
    report_to: list[str] = field(
        default_factory=lambda: ["tensorboard" if find_spec("tensorboard") else "none"],
        metadata={"help": "tensorboard, wandb, ..., all or none (default: tensorboard where it is installed)"},
    )
    # transformers' type is one that no text of a command line can be read as.
    liger_kernel_config: dict | str | None = field(
        default=None, metadata={"help": "which of liger's kernels --use_liger_kernel takes, as JSON"}
    )
    train: list[str] = field(
        default_factory=lambda: ["all"],
        metadata={
            "help": "what is trained: all, or parts: projector, language_model, vision_tower, lora, or a module's name"
        },
    )
    lora_r: int = field(default=16, metadata={"help": "rank of the LoRA adapters"})
    lora_alpha: int = field(default=32, metadata={"help": "their scale is lora_alpha / lora_r"})
    lora_dropout: float = field(default=0.05, metadata={"help": "dropout before the adapters"})
    lora_target_modules: list[str] | None = field(
        default=None, metadata={"help": "ends of module names (default: the language model's linear layers)"}
    )
    load_in_4bit: bool = field(
        default=False, metadata={"help": "QLoRA: frozen weights in 4 bits (needs bitsandbytes)"}
    )
    merge_lora: bool = field(default=False, metadata={"help": "save the whole model at the end, adapters merged in"})
    dtype: str | None = field(
        default=None,
        metadata={
            "help": "number format of frozen weights (default: bfloat16 with --bf16, float16 with --fp16, else "
            "float32)",
            "choices": ["float32", "bfloat16", "float16"],
        },
    )
    attn_implementation: str | None = field(
        default=None, metadata={"help": "eager, sdpa, flash_attention_2, ... (default: the model's choice)"}
    )
    # transformers asks for False with gradient checkpointing: only its reentrant form breaks, which is not used here.
    ddp_find_unused_parameters: bool | None = field(
        default=True, metadata={"help": "let DistributedDataParallel find weights that a step does not use"}
    )
    check_batch: bool = field(
        default=False, metadata={"help": "run one batch, print its shapes, supervised tokens, loss and memory, stop"}
    )
    logging_dir: str | None = field(default=None, metadata={"help": "folder of TensorBoard's logs"})
    augment: bool = field(
        default=False,
        metadata={"help": "change the training scans at random, never left for right (needs the extra 'augment')"},
    )
    augment_strength: float = field(default=1.0, metadata={"help": f"how much they change: {STRENGTH}"})
    feature_cache: str | None = field(default=None, metadata={"help": FEATURE_CACHE})
    max_unreadable: int = field(
        default=0,
        metadata={
            "help": "read every scan before training, and leave out the rows of at most so many that cannot be read "
            "(default: none may be unreadable, only headers are read)"
        },
    )
    resume_on_other_data: bool = field(
        default=False,
        metadata={"help": "go on from a checkpoint on other training rows than it was trained on; both are recorded"},
    )
    delete_other_files: bool = field(
        default=False,
        metadata={
            "help": "with --push_to_hub: replace files in its way that no push of this program wrote, and delete all "
            "others (default: stop at the former before training, leave the latter)"
        },
    )
    eval_answers: int = field(
        default=64, metadata={"help": "validation rows that each evaluation has the model answer; 0: only the loss"}
    )
    early_stopping_patience: int | None = field(
        default=None, metadata={"help": "stop after so many evaluations in a row without a better best metric"}
    )
    # Those that a command line or a YAML gave, and by which name or where; nothing is chosen in their place.
    given: dict[str, str] = field(init=False, repr=False, default_factory=dict)

    # Any: it stands beside the class of transformers that has the other fields, or beside a copy of these.
    def __post_init__(self: Any) -> None:
        if self.output_dir is None:
            raise ValueError("expected --output_dir FOLDER")
        check_bounds(self, BOUNDS)
        self._settle_token_batches()
        self.train, self.report_to = split_list(self.train), split_list(self.report_to)
        self._check_evaluation()
        self._check_features()
        if self.dataloader_persistent_workers is None:
            self.dataloader_persistent_workers = self.dataloader_num_workers > 0
        if self.train_sampling_strategy == "batch_rebalance":
            raise ValueError(
                "--train_sampling_strategy: expected random, sequential or group_by_length, found batch_rebalance, "
                "which does not see each row once on several processes"
            )
        if self.fp16 and self.use_cpu:
            raise ValueError("--fp16: expected a GPU, found --use_cpu true; on a CPU train with --bf16 or in float32")
        if self.merge_lora and self.push_to_hub:
            raise ValueError(
                "--merge_lora: expected no --push_to_hub, which pushes adapters; use push_to_hub.py model"
            )
        if self.merge_lora and "lora" not in self.train:
            raise ValueError(
                f"--merge_lora: expected --train lora, found --train {','.join(self.train)}: there are no adapters"
            )
        check_alone(self, evaluates=_to_word(self.eval_strategy) != "no")
        if isinstance(self.deepspeed, str) and self.deepspeed.endswith(".json") and not Path(self.deepspeed).is_file():
            raise ValueError(
                f"--deepspeed: expected DeepSpeed's configuration, found no file {self.deepspeed}. "
                "Take ds_configs/zero2.json"
            )
        if self.use_liger_kernel:
            check_extra("liger_kernel", "--use_liger_kernel", "liger")

    def _settle_token_batches(self: Any) -> None:
        if self.tokens_per_batch is None:
            return
        for name in ("auto_find_batch_size", "dataloader_drop_last"):
            if getattr(self, name):
                raise ValueError(_say_one_of_two(f"--{name} true"))
        strategy = _to_word(self.train_sampling_strategy)
        if strategy != "random":
            raise ValueError(_say_one_of_two(f"--train_sampling_strategy {strategy}"))
        self.per_device_train_batch_size = 1  # what is counted is batches: transformers and DeepSpeed ask for a number

    def check_given(self, by_command_line: Mapping[str, str], by_recipe: Mapping[str, str]) -> None:
        """Which flags were given, each name with how: those of the command line win, so one that stands for another
        of a YAML's does too. Raises ValueError for two that stand for each other in one place, or the other way."""
        self.given = {**by_recipe, **by_command_line}
        rows = self.given.get("per_device_train_batch_size")
        wins = "tokens_per_batch" in by_command_line and "per_device_train_batch_size" not in by_command_line
        if self.tokens_per_batch is not None and rows is not None and not wins:
            raise ValueError(_say_one_of_two(rows))

    def _check_features(self: Any) -> None:
        if self.feature_cache is None:
            return
        if self.augment:
            raise ValueError(
                "--feature_cache: expected scans that are always shown alike, found --augment true, which changes "
                "them each time. Leave one of the two out"
            )
        if trained := [name for name in self.train if name in ("all", "vision_tower")]:
            raise ValueError(
                f"--feature_cache: expected a frozen vision tower, found --train {','.join(self.train)}: what a "
                f"trained one makes of a scan changes with each step. Leave {trained[0]} out of --train, as in "
                "--train projector,language_model, or leave --feature_cache out"
            )

    def _check_evaluation(self: Any) -> None:
        if self.early_stopping_patience is not None:
            if self.eval_strategy == "no":
                raise ValueError("--early_stopping_patience: expected --eval_strategy steps or epoch, found no")
            self.load_best_model_at_end = True
            self.restore_callback_states_from_checkpoint = True  # a resumed run goes on counting
        stated = self.metric_for_best_model
        # transformers fills in "loss"; `settle_best_metric` does better once the rows are known.
        self.best_metric_suits_task = stated is None and (self.load_best_model_at_end or self.save_strategy == "best")
        if self.best_metric_suits_task:
            if self.greater_is_better is not None:
                raise ValueError(
                    f"--greater_is_better: expected --metric_for_best_model beside it, found {self.greater_is_better} "
                    "alone: the metric that suits the task is taken, whose direction is known"
                )
            self.metric_for_best_model = "loss"
        elif stated is not None and self.greater_is_better is None:
            self.greater_is_better = stated.removeprefix("eval_") not in LOWER_IS_BETTER
        evaluated, saved = _to_word(self.eval_strategy), _to_word(self.save_strategy)
        if self.load_best_model_at_end and saved not in ("best", evaluated):
            raise ValueError(
                "--load_best_model_at_end: expected the same --eval_strategy and --save_strategy, or --save_strategy "
                f"best, found {evaluated} and {saved}: what is evaluated must be kept"
            )


def _say_one_of_two(flag: str) -> str:
    return (
        f"--tokens_per_batch: expected no {flag} beside it, found both: it decides by itself which rows go together, "
        "all of them once an epoch. Leave one of the two out"
    )


def _to_word(strategy: str | Enum) -> str:
    return strategy.value if isinstance(strategy, Enum) else strategy


@dataclass
class PlannedTrainFields(TrainFields):
    """The same for a recipe that is not run: on this machine's CPU, without DeepSpeed, no folder is made."""

    output_dir: str | None = field(default="runs/planned", metadata={"help": "not used"})

    def __post_init__(self) -> None:
        self.use_cpu, self.deepspeed, self.use_liger_kernel = True, None, False
        self.fp16, self.bf16 = False, self.bf16 or self.fp16  # as large
        super().__post_init__()
