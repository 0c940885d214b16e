"""From which checkpoint a run goes on, and whether it belongs to this run."""

from pathlib import Path
from socket import gethostname
from typing import Any

from safetensors import safe_open
from transformers import (
    EarlyStoppingCallback,
    PreTrainedModel,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from umbrella.files.json_files import build_record, read_json
from umbrella.models.base import read_base
from umbrella.models.trained_weights import FILE_NAME as TRAINED_WEIGHTS
from umbrella.records.recipe import load_recipe
from umbrella.training.checkpoints import find_fault, find_whole_checkpoint, read_marker
from umbrella.training.steps_taken import say_steps
from umbrella.training.trainer import ConversationTrainer

FINAL_MODELS = ("model*.safetensors", "adapter_model*.safetensors", TRAINED_WEIGHTS)


def choose_checkpoint(asked: str | None, output_dir: str) -> str | None:
    """The checkpoint's folder for what --resume_from_checkpoint says; says which, for a person.

    Args:
        asked: "auto": the last whole one, None where there is none; "true": the same, but there must be one; a folder.

    Raises ValueError where the folder is no whole checkpoint, where "true" finds none, and where a start would
    overwrite the model of a finished run: "auto" that finds none, a checkpoint of another folder.
    """
    if asked is None or asked.lower() == "false":
        return None
    if asked.lower() in ("auto", "true"):
        found = find_whole_checkpoint(output_dir, print)
        if found is None and asked.lower() == "true":
            raise ValueError(
                f"--resume_from_checkpoint: expected a whole checkpoint in {output_dir}, found none. Start anew in "
                "another --output_dir, or with --resume_from_checkpoint auto, which starts where there is none."
            )
        if found is None and has_model(output_dir):
            raise ValueError(
                f"--resume_from_checkpoint: expected a checkpoint in {output_dir}, found a finished run's model and "
                "no whole checkpoint: a new run would overwrite it. Choose another --output_dir, and to train that "
                f"model further give it too: --model_name_or_path {output_dir}"
            )
        print(f"going on from {found}" if found else f"no checkpoint in {output_dir}: starting from the beginning")
        return found
    if not Path(asked).is_dir():
        raise ValueError(
            f"--resume_from_checkpoint: expected the folder of a whole checkpoint, found {asked}, which does not "
            "exist. auto takes the last whole one."
        )
    if read_marker(asked) is None or not (Path(asked) / "trainer_state.json").is_file():
        fault = "is none" if read_marker(asked) else find_fault(asked)
        raise ValueError(
            f"--resume_from_checkpoint: expected the folder of a whole checkpoint, found {asked}, which {fault}. "
            "auto takes the last whole one."
        )
    if has_model(output_dir) and not _is_in(asked, output_dir):
        raise ValueError(
            f"--output_dir {output_dir}: expected the folder of {asked}, or one without a model, found a finished "
            f"run's model, which would be overwritten. Give another --output_dir, or {Path(asked).parent} to go on "
            "there"
        )
    return asked


def has_model(folder: str | Path) -> bool:
    """Whether a run has come to its end there: a final model, whole or as trained parts, lies in it."""
    return any(path for pattern in FINAL_MODELS for path in Path(folder).glob(pattern))


def _is_in(checkpoint: str, output_dir: str) -> bool:
    return Path(checkpoint).resolve().parent == Path(output_dir).resolve()


def is_to_be_saved(checkpoint: str, args: TrainingArguments, state: TrainerState) -> bool:
    """Whether a run that had no step left to take is saved: from its last checkpoint, since a kill may have cut off
    the model there, else only where its folder lacks the model. Says which checkpoint it was.

    Raises ValueError where the checkpoint is of another folder: a copy of its weights is no run.
    """
    none_left = f"no step was left to take: {checkpoint} is of step {state.global_step} of {state.max_steps}"
    if not _is_in(checkpoint, args.output_dir):
        raise ValueError(
            f"{none_left}. Expected steps for a new --output_dir, found none; nothing is written. Set --max_steps or "
            f"--epochs higher, or export the checkpoint: recipes/export.py --model_name_or_path {checkpoint} "
            "--output_dir FOLDER"
        )
    last = find_whole_checkpoint(args.output_dir)
    if not has_model(args.output_dir) or (last and Path(last).resolve() == Path(checkpoint).resolve()):
        print(f"{none_left}; its weights are saved as the run's model")
        return True
    push = f". To push it: recipes/push_to_hub.py model --model {args.output_dir}" if args.push_to_hub else ""
    print(f"{none_left}; the model in {args.output_dir} stays as it is{push}")
    return False


def check_is_shared(checkpoint: str | None) -> None:
    """Raise ValueError on a process that cannot see the checkpoint that the first one has chosen for all."""
    if checkpoint is not None and not Path(checkpoint).is_dir():
        raise ValueError(
            f"{checkpoint}: expected a checkpoint that every node sees, found none on {gethostname()}. Put "
            "--output_dir on storage that all nodes share."
        )


def check_belongs(checkpoint: str, trainer: ConversationTrainer) -> None:
    """Raise ValueError where a checkpoint is of another recipe, base or model, of steps of another size or of
    other weights of its cohorts."""
    marker, state, now = read_marker(checkpoint), _read_state(checkpoint), trainer.provenance
    recipe, base = load_recipe(checkpoint), read_base(checkpoint)
    for name, found in vars(recipe).items():
        _compare(checkpoint, f"--{name}", found, getattr(now.recipe, name))
    if (base is None) != (now.base is None):
        saved, found = ("the whole model" if one is None else f"parts of {one.name!r}" for one in (base, now.base))
        _compare(checkpoint, "--train", saved, found)
    if base is not None:
        base.check(now.base, checkpoint)
    _check_shapes(checkpoint, trainer.model)
    _check_optimizer(checkpoint)
    _compare_steps(checkpoint, marker, trainer)
    if not trainer.args.resume_on_other_data:  # whose cohorts may be others
        _compare(checkpoint, "--cohort_weights", marker.get("cohort_weights", {}), trainer.cohort_weights)
    if trainer.is_deepspeed_enabled:
        _compare(checkpoint, "processes", marker["world_size"], trainer.args.world_size)
    if trainer.args.max_steps > 0 and state.global_step > trainer.args.max_steps:
        _compare(checkpoint, "--max_steps", f"at least {state.global_step}", trainer.args.max_steps)


class CatchUp(TrainerCallback):
    """What a run that ended right after its checkpoint still had to do there, before training goes on: evaluate, and
    stop early. Else the best checkpoint would miss one, and a run that had stopped early would train on."""

    def __init__(self, trainer: ConversationTrainer, checkpoint: str) -> None:
        self.trainer, self.checkpoint = trainer, checkpoint

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        before = _read_state(self.checkpoint).max_steps
        if state.is_world_process_zero and state.global_step < state.max_steps != before:
            print(
                f"a run of {say_steps(state.max_steps)} goes on from a checkpoint of one of {before}: from here "
                f"--lr_scheduler_type {args.lr_scheduler_type.value} is that of {say_steps(state.max_steps)}"
            )
        callbacks = self.trainer.callback_handler.callbacks
        early_stopping = [callback for callback in callbacks if isinstance(callback, EarlyStoppingCallback)]
        for callback in early_stopping:
            callback.early_stopping_patience = args.early_stopping_patience  # transformers took the checkpoint's
            state.stateful_callbacks.setdefault("EarlyStoppingCallback", {})  # for a run that starts with it now
        if _lacks_evaluation(args, state):
            # Private: the public `evaluate` steps no scheduler that waits for a metric, nor looks for the best.
            metrics = self.trainer._evaluate(None, None)
            if self.trainer._determine_best_metric(metrics, None):
                state.best_model_checkpoint = self.checkpoint
        if any(one.early_stopping_patience_counter >= one.early_stopping_patience for one in early_stopping):
            control.should_training_stop = True


def _lacks_evaluation(args: TrainingArguments, state: TrainerState) -> bool:
    """Whether the step that the state is of was to be evaluated, by transformers' own rule, and was not."""
    if any(entry["step"] == state.global_step and "eval_runtime" in entry for entry in state.log_history):
        return False
    is_last = state.global_step >= state.max_steps
    if args.eval_strategy == "steps":
        return (state.global_step % state.eval_steps == 0 or is_last) and args.eval_delay <= state.global_step
    return args.eval_strategy == "epoch" and (state.epoch % 1 == 0 or is_last) and args.eval_delay <= state.epoch


def _read_state(checkpoint: str) -> TrainerState:
    path = Path(checkpoint) / "trainer_state.json"
    remedy = "Go on from another checkpoint: --resume_from_checkpoint FOLDER"
    read_json(path, dict, ("global_step", "max_steps"), remedy)
    return build_record(path, lambda: TrainerState.load_from_json(str(path)), remedy)


def _compare(checkpoint: str, name: str, expected: Any, found: Any) -> None:
    if expected != found:
        raise ValueError(
            f"{checkpoint}: {name}: expected {expected!r}, with which it was trained, found {found!r}. Go on with the "
            "same, or start anew in another --output_dir."
        )


def _compare_steps(checkpoint: str, marker: dict, trainer: ConversationTrainer) -> None:
    """A step of other rows is another run; so are batches by tokens of rows that have other lengths now."""
    saved, plan = marker.get("token_batches") or {}, trainer.token_plan
    now = plan.record() if plan else {}
    _compare(checkpoint, "--tokens_per_batch", saved.get("tokens_a_batch"), now.get("tokens_a_batch"))
    if plan is None:
        if not trainer.args.auto_find_batch_size:
            name = "rows a step (batch size × accumulation × processes)"
            _compare(checkpoint, name, marker["rows_a_step"], trainer.rows_a_step)
        return
    name = "batches a step (accumulation × processes)"
    _compare(checkpoint, name, saved["batches_a_step"], now["batches_a_step"])
    if not trainer.args.resume_on_other_data:
        name = "hash of the rows' lengths in tokens (they depend on --max_length and the processor)"
        _compare(checkpoint, name, saved["lengths_xxh3_128"], now["lengths_xxh3_128"])
        _compare(checkpoint, "batches an epoch", saved["batches_an_epoch"], now["batches_an_epoch"])


def _check_optimizer(checkpoint: str) -> None:
    """transformers goes on without a word where there is none: with other steps than the run would have taken."""
    if not (Path(checkpoint) / "scheduler.pt").is_file() and not list(Path(checkpoint).glob("global_step*")):
        raise ValueError(
            f"{checkpoint}: expected the optimizer's state, found weights alone, as --save_only_model saves them. "
            f"Start from them as a model: --model_name_or_path {checkpoint}, in another --output_dir."
        )


def _check_shapes(checkpoint: str, model: PreTrainedModel) -> None:
    """The checkpoint's own tensors must be some of the model's."""
    own = {name: tuple(getattr(value, "ds_shape", value.shape)) for name, value in model.named_parameters()}
    for path in Path(checkpoint).glob("model*.safetensors"):
        with safe_open(path, "pt") as file:
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
        for name, shape in shapes.items():
            if own.get(name, shape) != shape:
                _compare(checkpoint, f"shape of {name}", shape, own[name])
        if not shapes.keys() & own.keys():
            _compare(checkpoint, "names of weights", sorted(shapes)[:2], sorted(own)[:2])
