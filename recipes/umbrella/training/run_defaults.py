"""What a training run takes where nobody has said: for "tiny", and by the run's length. Said with its reason."""

import math
from copy import copy
from typing import Any

from umbrella.options.arguments import BUILT, TINY_DEFAULTS
from umbrella.options.training_arguments import TrainArguments
from umbrella.rows.batches.token_batches import TokenPlan
from umbrella.training.steps_taken import say_steps

TINY_STEPS = 300
LINES, MOST_STEPS_A_LINE = 20, 50  # of losses in a run; steps from one to the next
EVALUATIONS, MOST_STEPS_AN_EVALUATION = 10, 500


def settle_run(
    args: TrainArguments, model_name_or_path: str, n_rows: int, plan: TokenPlan | None = None
) -> tuple[TrainArguments, list[str]]:
    """The arguments with what depends on the run's length, where it was not given: epochs for "tiny", steps from one
    loss that is shown to the next, from one evaluation to the next. And a sentence on each choice that is not a plain
    default, and on the batches of a `plan` by tokens."""
    said = []
    if model_name_or_path in BUILT:
        args, said = _settle_tiny(args, n_rows, plan)
    if plan:
        plan.cover_steps(args.max_steps) if args.max_steps > 0 else plan.cover(math.ceil(args.num_train_epochs))
        said = [*said, plan.describe()]
    n_steps = count_steps(args, n_rows, plan)
    values = {}
    if args.logging_strategy == "steps" and "logging_steps" not in args.given:
        values["logging_steps"] = min(math.ceil(n_steps / LINES), MOST_STEPS_A_LINE)
        values["logging_first_step"] = args.logging_first_step or "logging_first_step" not in args.given
    if args.eval_strategy == "steps" and not args.given.keys() & {"eval_steps", "logging_steps", "save_steps"}:
        eval_steps = values["eval_steps"] = min(math.ceil(n_steps / EVALUATIONS), MOST_STEPS_AN_EVALUATION)
        said = [*said, f"--eval_steps {eval_steps}: the run has {say_steps(n_steps)}"]
        if args.load_best_model_at_end:  # what is evaluated must be kept
            values["save_steps"] = eval_steps
    return with_values(args, **values), said


def with_values(args: TrainArguments, **values: Any) -> TrainArguments:
    """A copy of the arguments with other values. `dataclasses.replace` would settle all the others anew: where the
    parser has chosen one, none would be left to choose."""
    settled = copy(args)
    for name, value in values.items():
        setattr(settled, name, value)
    return settled


def _settle_tiny(args: TrainArguments, n_rows: int, plan: TokenPlan | None) -> tuple[TrainArguments, list[str]]:
    chosen = {name: value for name, value in TINY_DEFAULTS.items() if name not in args.given}
    if plan:
        chosen.pop("per_device_train_batch_size", None)
    reason = "they train random weights"
    if not args.given.keys() & {"num_train_epochs", "max_steps"}:
        epochs = math.ceil(TINY_STEPS / count_steps(args, n_rows, plan, epochs=1))
        args = with_values(args, num_train_epochs=max(float(epochs), args.num_train_epochs))
        chosen["epochs"] = args.num_train_epochs
        reason += f"; {n_rows} rows make {say_steps(count_steps(args, n_rows, plan))}"
    flags = " ".join(f"--{name} {value:g}" for name, value in chosen.items())
    return args, [f"defaults of tiny: {flags} ({reason}; flags overrule them)"] if chosen else []


def count_steps(args: TrainArguments, n_rows: int, plan: TokenPlan | None = None, epochs: float | None = None) -> int:
    """Optimizer steps of a run over `n_rows`, of so many `epochs` (None: as the arguments say); `plan` of its batches
    where they are made by tokens."""
    if epochs is None and args.max_steps > 0:
        return args.max_steps
    batches = n_rows / (args.per_device_train_batch_size * args.world_size)
    batches = math.floor(batches) if args.dataloader_drop_last else math.ceil(batches)
    an_epoch = plan.n_steps if plan else math.ceil(batches / args.gradient_accumulation_steps)
    return max(math.ceil((args.num_train_epochs if epochs is None else epochs) * an_epoch), 1)
