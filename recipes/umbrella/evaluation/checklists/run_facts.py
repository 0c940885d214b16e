"""What run.json, trainer_state.json and config.json say for a reporting checklist."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from umbrella.evaluation.checklists.fact import Known, Reader, say_absent, say_pairs
from umbrella.evaluation.checklists.run_files import CONFIG, STATE, RunFiles
from umbrella.options.arguments import BUILT
from umbrella.records.evaluations import SETTINGS
from umbrella.records.run import FILE_NAME as RUN_RECORD

PROCESS = "this evaluation"
HYPERPARAMETERS = (
    *("learning_rate", "lr_scheduler_type", "warmup_steps", "num_train_epochs", "max_steps", "optim", "weight_decay"),
    *("adam_beta1", "adam_beta2", "adam_epsilon", "max_grad_norm", "label_smoothing_factor"),
    *("per_device_train_batch_size", "gradient_accumulation_steps", "bf16", "fp16", "dtype", "load_in_4bit"),
    *("train", "lora_r", "lora_alpha", "lora_dropout", "lora_target_modules", "augment", "augment_strength"),
    *("early_stopping_patience", "max_length", "on_overflow"),
)


def _of_starts(say: Callable[[Any], list[str]], read: Callable[[dict], Any]) -> Callable[[RunFiles], Known | str]:
    """What each start of run.json says, the last one in words."""

    def find(files: RunFiles) -> Known | str:
        if not files.starts or any(read(start) is None for start in files.starts):
            return say_absent(RUN_RECORD) if not files.starts else f"{RUN_RECORD} is of an earlier version without it"
        times = [f"started {len(files.starts)} times, at last with"] if len(files.starts) > 1 else []
        return Known([read(start) for start in files.starts], [*times, *say(read(files.starts[-1]))])

    return find


def _pick_hyperparameters(start: dict) -> dict | None:
    arguments = start.get("arguments")
    if not arguments:
        return None
    idle = () if "lora" in (arguments.get("train") or ()) else ("lora_",)
    idle += () if arguments.get("augment") else ("augment_",)
    used = [name for name in HYPERPARAMETERS if not name.startswith(idle)] if idle else HYPERPARAMETERS
    return {name: arguments[name] for name in used if arguments.get(name) is not None}


def _say_start(models: list[dict]) -> list[str]:
    """Of a run that went on its checkpoint stands in front of what it began with."""
    checkpoints = [Path(one["checkpoint"]).name for one in models if "checkpoint" in one]
    first = next((one for one in models if "checkpoint" not in one), None)
    if first is None:
        return checkpoints or ["nothing"]
    is_open = first.get("revision") or first["name"] in BUILT
    commit = f" at {first['revision']}" if first.get("revision") else ""
    seed = f", drawn from seed {first['seed']}" if first.get("seed") is not None else ""
    return [*checkpoints, f"{first['name'] if is_open else Path(first['name']).name}{commit}{seed}"]


def _say_hardware(hardware: dict) -> list[str]:
    gpus = [f"{n} {name}" for name, n in Counter(hardware["gpus"]).items()] or ["no GPU"]
    return [*gpus, f"{hardware['cpus']} CPUs ({hardware['machine']})", f"processes {hardware['processes']}"]


def _read_process(files: RunFiles) -> Known:
    value = {name: files.process[name] for name in ("versions", "hardware")}
    return Known(value, [*say_pairs(value["versions"]), *_say_hardware(value["hardware"])])


def _read_origin(files: RunFiles) -> Known | str:
    """Whether the evaluated rows are of the data folder that the model was trained on."""
    if not files.starts:
        return say_absent(RUN_RECORD)
    start, split = files.starts[-1], files.metrics["split"]
    of_training, of_test = start.get("splits_sha256"), files.splits_sha256
    fingerprint = start.get("data", {}).get(split, {}).get("sha256")
    value = {"training": of_training, "evaluation": of_test}
    if fingerprint == files.settings["data"]:
        return Known(
            {"training": fingerprint, "evaluation": fingerprint}, ["the rows are of the training's own data folder"]
        )
    if of_training and of_test:
        where = "another division than" if of_training != of_test else "the division of"
        where = (
            "the site that was held out of the division of" if files.is_held_out and of_training == of_test else where
        )
        return Known(value, [f"the rows are of {where} the training's data"])
    return f"{RUN_RECORD} and {SETTINGS} do not tell whether the data are the training's"


def say_choice(state: dict) -> str:
    """By what the weights were chosen, from trainer_state.json."""
    if state["best_model_checkpoint"] is None:
        return f"the last of the run, step {state['global_step']}; none was chosen by its results"
    best = Path(state["best_model_checkpoint"]).name
    return f"{best} is the run's best on the validation split ({state['best_metric']:.4g})"


def _read_choice(files: RunFiles) -> Known | str:
    if files.state is None:
        return say_absent(STATE)
    best = files.state["best_model_checkpoint"]
    value = {name: files.state[name] for name in ("global_step", "best_metric")}
    return Known({**value, "best": best and Path(best).name}, [say_choice(files.state)])


def _read_architecture(files: RunFiles) -> Known | str:
    if files.config is None:
        return say_absent(CONFIG)
    kinds = {
        key: files.config[key].get("model_type") for key in ("vision_config", "text_config") if key in files.config
    }
    value = {"architectures": files.config.get("architectures"), "model_type": files.config.get("model_type"), **kinds}
    parts = [f"{key.split('_')[0]} {kind}" for key, kind in kinds.items() if kind]
    return Known(value, [*(value["architectures"] or []), *parts])


RUN_FACTS = {
    "training": Reader("training", RUN_RECORD, _of_starts(say_pairs, _pick_hyperparameters)),
    "seeds": Reader("seeds", RUN_RECORD, _of_starts(say_pairs, lambda start: start.get("seeds"))),
    "hardware": Reader("hardware of training", RUN_RECORD, _of_starts(_say_hardware, lambda s: s.get("hardware"))),
    "software": Reader("software of training", RUN_RECORD, _of_starts(say_pairs, lambda s: s.get("versions"))),
    "start_weights": Reader(
        "weights at the start", RUN_RECORD, _of_starts(_say_start, lambda s: s.get("started_from"))
    ),
    "same_splits": Reader("origin of the evaluated rows", RUN_RECORD, _read_origin),
    "checkpoint_choice": Reader("choice of the weights", STATE, _read_choice),
    "architecture": Reader("architecture", CONFIG, _read_architecture),
    "this_evaluation": Reader("software and hardware of the evaluation", PROCESS, _read_process),
}
