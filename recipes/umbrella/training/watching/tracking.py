"""What of a run may leave it: numbers and a few settings. No key, no path, no name of a person or a machine."""

import logging
import os
from numbers import Real
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel, TrainerControl, TrainerState, TrainingArguments
from transformers.integrations import WandbCallback

logger = logging.getLogger(__name__)

# Settings that are words. Others may be paths, or names that somebody chose.
WORDS = (
    "eval_strategy",
    "logging_strategy",
    "lr_scheduler_type",
    "metric_for_best_model",
    "model_type",
    "optim",
    "save_strategy",
    "train_sampling_strategy",
)
# Their keys are labels, not settings.
LABELS = ("id2label", "label2id")


class PrivateWandbCallback(WandbCallback):
    """Sends numbers and `describe_run` to Weights & Biases: no host, user, command, console, code or model.

    WANDB_MODE, WANDB_PROJECT, WANDB_ENTITY, WANDB_NAME and WANDB_DIR are followed; WANDB_LOG_MODEL and WANDB_WATCH are
    not. What is private of WandbCallback is what its own `setup` sets.
    """

    def __init__(self) -> None:
        asked = [name for name in ("WANDB_LOG_MODEL", "WANDB_WATCH") if os.environ.get(name, "false") != "false"]
        if asked:
            logger.warning("%s: not followed, no weights are sent to Weights & Biases", " and ".join(asked))
        super().__init__()
        self._log_model = type(self._log_model).FALSE

    def setup(self, args: TrainingArguments, state: TrainerState, model: PreTrainedModel, **kwargs: Any) -> None:
        self._initialized = True
        if not state.is_world_process_zero:
            return
        if self._wandb.run is None:
            os.environ["WANDB_ERROR_REPORTING"] = "false"  # of wandb's own errors, with paths
            self._wandb.init(
                project=os.environ.get("WANDB_PROJECT", args.project),
                name=Path(args.run_name).name if args.run_name else None,
                settings=private_settings(),
            )
        self._wandb.config.update(describe_run(args, model), allow_val_change=True)
        self._wandb.define_metric("train/global_step")
        self._wandb.define_metric("*", step_metric="train/global_step", step_sync=True)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: PreTrainedModel | None = None,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        super().on_log(args, state, control, model=model, logs=only_numbers(logs), **kwargs)

    def on_predict(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, float],
        **kwargs: Any,
    ) -> None:
        super().on_predict(args, state, control, only_numbers(metrics), **kwargs)


def private_settings() -> Any:
    """wandb's settings with all that it gathers by itself turned off, whatever the environment says."""
    from wandb import Settings

    return Settings(
        console="off",  # else all that is printed is kept in output.log: names of rows, paths
        disable_code=True,
        disable_git=True,
        disable_job_creation=True,
        save_code=False,
        # "", not None: None would leave them to the environment, or to wandb's own search.
        email="",
        host="",
        program="",
        username="",
        x_disable_machine_info=True,
        x_disable_meta=True,
        x_disable_stats=True,
        x_save_requirements=False,
    )


def describe_run(args: TrainingArguments, model: PreTrainedModel) -> dict:
    """The settings that are sent: numbers and `WORDS` of the training arguments, of the model's config and of LoRA;
    the model's name where it is one of the Hub, without its owner."""
    config = model.config.to_dict()
    adapters = getattr(model, "peft_config", {})  # transformers' own models have none
    name = model.config.name_or_path
    return {
        **_settings_of(config),
        **_settings_of(args.to_dict()),
        **{f"peft_{key}": _settings_of(adapter.to_dict()) for key, adapter in adapters.items()},
        "model/num_parameters": model.num_parameters(),
        "model/name": None if not name or Path(name).exists() else name.split("/")[-1],
    }


def _settings_of(config: dict) -> dict:
    kept: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, dict) and key not in LABELS:
            kept[key] = _settings_of(value)
        elif isinstance(value, Real) or (key in WORDS and isinstance(value, str)):
            kept[key] = value
    return {key: value for key, value in kept.items() if value != {}}


def only_numbers(logs: dict) -> dict[str, Real]:
    """The entries of a log that are numbers."""
    return {key: value for key, value in logs.items() if isinstance(value, Real)}
