"""What a training run says of itself: a line for each loss, and at its end whether it has learned."""

import math
from typing import Any

from transformers import PrinterCallback, ProgressCallback, TrainerControl, TrainerState, TrainingArguments

from umbrella.answers.readability import MOST_UNREADABLE
from umbrella.options.arguments import BUILT, TINY_DEFAULTS
from umbrella.options.training_arguments import TrainArguments
from umbrella.training.run_defaults import TINY_STEPS
from umbrella.training.steps_taken import say_steps

LEAST_FALL = 0.1  # of the first loss
HARDLY_LEARNED = 0.25  # of the loss of guessing: above, an answer of a few words seldom comes out whole
HIGH_LEARNING_RATE = 1e-2
NOT_SHOWN = ("total_flos", "epoch", "_per_second")


class Lines(PrinterCallback):
    """Prints a line of numbers for each log: `step 20 of 200  epoch 2.5  loss 5.089`."""

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        if state.is_world_process_zero and (line := to_line(logs, state)):
            print(line, flush=True)


class LinesAboveBar(ProgressCallback):
    """The same, above the progress bar."""

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        if state.is_world_process_zero and self.training_bar is not None and (line := to_line(logs, state)):
            self.training_bar.write(line)


def to_line(logs: dict, state: TrainerState) -> str | None:
    """A log for a person; None for that of the whole run, which has a table of its own."""
    if "train_runtime" in logs:
        return None
    numbers = [f"{name} {value:.4g}" for name, value in logs.items() if not name.endswith(NOT_SHOWN)]
    return "  ".join([f"step {state.global_step} of {state.max_steps}", f"epoch {state.epoch:.4g}", *numbers])


def describe_learning(
    state: TrainerState, args: TrainArguments, model_name_or_path: str, vocabulary_size: int
) -> list[str]:
    """Whether a run has learned: what its loss came from and to and, where that is little, what to change.

    state            the Trainer's, at its end
    vocabulary_size  number of tokens: a model that knows nothing has the loss ln(vocabulary_size)
    """
    history, n_steps = state.log_history, state.global_step
    losses = [entry["loss"] for entry in history if "loss" in entry]
    if not losses:  # seldom logged, or not at all: there is the mean of the run
        losses = [entry["train_loss"] for entry in history if "train_loss" in entry][-1:]
    first, last = losses[0] if len(losses) > 1 else None, losses[-1]
    said = [f"loss {f'{first:.4g} → ' if first is not None else ''}{last:.4g} in {say_steps(n_steps)}"]
    chance = math.log(vocabulary_size)
    remedy = _say_what_to_change(args, model_name_or_path, n_steps)
    if last > HARDLY_LEARNED * chance:
        guessing = f"guessing among its {vocabulary_size} tokens has loss {chance:.3g}"
        said.append(f"The model has hardly learned: {guessing}. {remedy}")
    elif first is not None and last > (1 - LEAST_FALL) * first:
        fall = f"fell by {1 - last / first:.1%}" if last < first else f"rose by {last / first - 1:.1%}"
        said.append(f"The loss {fall} only. {remedy}")
    unreadable = next((entry["eval_unparseable"] for entry in reversed(history) if "eval_unparseable" in entry), 0.0)
    if unreadable > MOST_UNREADABLE:
        said.append(f"{unreadable:.0%} of the answers to validation rows state no label or number. {remedy}")
    return said


def _say_what_to_change(args: TrainArguments, model_name_or_path: str, n_steps: int) -> str:
    length = "max_steps" if args.max_steps > 0 else "num_train_epochs"  # the first overrules the second
    to_blame = [length] if n_steps < TINY_STEPS else []
    to_blame += ["learning_rate"] if args.learning_rate != TINY_DEFAULTS["learning_rate"] else []
    given = [args.given[name] for name in to_blame if name in args.given]
    if model_name_or_path in BUILT and given:
        return f"To let the model learn more: leave out {' and '.join(given)}, tiny has defaults that train it."
    way = "lower" if args.learning_rate > HIGH_LEARNING_RATE else "higher"
    changes = [f"a {way} --learning_rate (it was {args.learning_rate:g})"]
    by_steps = args.max_steps > 0
    done = f"{say_steps(n_steps)} {'was' if n_steps == 1 else 'were'} done"
    changes.append(f"more {'--max_steps' if by_steps else '--epochs'} ({done})")
    if args.train != ["all"]:
        changes.append(f"more parts in --train (they were {','.join(args.train)})")
    return f"To let the model learn more: try {', '.join(changes[:-1])} or {changes[-1]}."
