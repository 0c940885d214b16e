"""The flags of cross_validate.py beside those of train.py."""

import os
import shlex
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, fields

from umbrella.files.data_format import SPLITS
from umbrella.options.arguments import DataArguments, EvalArguments, ModelArguments
from umbrella.options.number_bounds import AT_LEAST_1, NOT_NEGATIVE, SEED, Bounds, check_bounds
from umbrella.options.parsing import parse_arguments, read_yaml_flags
from umbrella.options.remote_roots import OF_REMOTE
from umbrella.options.training_flags import TrainFlags

DEFAULT_FOLDS = 5
OWN_PATHS = ("json_dir", "output_dir", "image_root", "task_types", "modalities")  # each fold has its own
TOLD_EVAL = ("max_length", "on_overflow", "volume_cache", "volume_cache_gb", "base_model", "use_cpu", "scan_shards")


@dataclass
class FoldArguments:
    """How the data are divided, and which of the runs are done now."""

    folds: int | None = field(
        default=None,
        metadata={
            "help": "parts, of which each is held out once (default: 5; with --by as many as there are groups; with "
            "--by 0 leaves out the runs that tell what a left-out group costs)"
        },
    )
    repeats: int = field(default=1, metadata={"help": "divisions into folds, each with seeds of its own"})
    by: str | None = field(
        default=None, metadata={"help": "leave each group of this metadata out in turn, as site; and random folds too"}
    )
    group_by: str | None = field(
        default=None, metadata={"help": "metadata that names families, as family_id: they stay together"}
    )
    splits: list[str] = field(
        default_factory=lambda: list(SPLITS),
        metadata={"help": "splits of the data that are pooled and divided anew (default: all)"},
    )
    validation: float = field(
        default=0.1,
        metadata={"help": "share of the training subjects that become validation, where --eval_strategy asks for it"},
    )
    leave_out_crossing: bool = field(
        default=False,
        metadata={"help": "leave out rows whose reference is in another fold, in place of keeping them together"},
    )
    fold_seed: int = field(default=0, metadata={"help": "of the division into folds"})
    eval_flags: str = field(
        default="",
        metadata={"help": "flags for eval.py, in quotes, without dashes: 'controls=false by=sex' (default: none)"},
    )
    launcher: str | None = field(
        default=None,
        metadata={"help": "what starts train.py and eval.py, in quotes: 'accelerate launch' (default: python)"},
    )
    jobs: int = field(default=1, metadata={"help": "folds at once, each on a GPU of its own where there are several"})
    fold: int | None = field(
        default=None, metadata={"help": "run this fold alone, counted from 1, as a task of a job array does"}
    )
    collect: bool = field(default=False, metadata={"help": "run nothing: pool what the folds came to"})
    drop_models: bool = field(default=False, metadata={"help": "delete each fold's model when it is evaluated"})

    def __post_init__(self) -> None:
        check_bounds(self, dict.fromkeys(("repeats", "jobs", "fold"), AT_LEAST_1))
        check_bounds(self, {"folds": NOT_NEGATIVE, "fold_seed": SEED})
        check_bounds(self, {"validation": Bounds(0, 1, open_below=True, open_above=True)})
        if self.folds == 1 or (self.folds == 0 and self.by is None):
            raise ValueError(f"--folds: expected at least 2, found {self.folds}")
        if self.fold is not None and self.collect:
            raise ValueError("--fold: expected --collect false beside it, found true: run the fold first")
        if unknown := [name for name in self.splits if name not in SPLITS]:
            raise ValueError(f"--splits: expected some of {', '.join(SPLITS)}, found {unknown[0]!r}")


FOLD_FLAGS = frozenset(one.name for one in fields(FoldArguments))


@dataclass(frozen=True)
class FoldFlags:
    """What the folds' own commands are told.

    recipe  flags of train.py, the YAML's ahead of the command line's, without paths of the data and of the output
    asked   flags of eval.py
    """

    recipe: tuple[str, ...]
    asked: tuple[str, ...]


def check_fold_flags(arguments: tuple[ModelArguments, DataArguments, TrainFlags, FoldArguments]) -> tuple:
    """The same, if they fit a cross-validation. Raises ValueError, and ends the program for a flag in --eval_flags
    that eval.py does not have."""
    _, data, training, folds = arguments
    if data.cohort_places:
        raise ValueError(
            "--json_dir: expected one folder, whose people are divided anew, found "
            f"{len(data.cohort_places)} cohorts. Cross-validate each by itself; or train on some, evaluate on others"
        )
    if data.json_dir is None:
        raise ValueError(
            "--dataset_name: expected --json_dir FOLDER, whose conversations are divided anew; found a published "
            "dataset"
        )
    for name in ("check_batch", "push_to_hub"):
        if getattr(training, name):
            raise ValueError(f"--{name}: expected it to be left out of a cross-validation, found true")
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ValueError(
            "--launcher: expected what starts several processes for each fold, as 'accelerate launch --num_processes "
            "2'; found cross_validate.py itself started so. Start it by python"
        )
    read_eval_flags(folds)
    return arguments


def read_eval_flags(folds: FoldArguments) -> EvalArguments:
    """What --eval_flags says."""
    flags = _to_flags(folds.eval_flags)
    names = {flag.partition("=")[0].removeprefix("--") for flag in flags}
    if taken := sorted(names & {"split", "output_dir", "overwrite", "json_dir", "model_name_or_path"}):
        raise ValueError(f"--eval_flags: expected {taken[0]} to be left out: each fold has its own")
    return parse_arguments((ModelArguments, DataArguments, EvalArguments), ["--json_dir", "DATA", *flags])[2]


def _to_flags(text: str) -> list[str]:
    """ "controls=false by=sex" → --controls=false, --by=sex."""
    return [f"--{word.removeprefix('--')}" for word in shlex.split(text)]


def tell_folds(data: DataArguments, model: ModelArguments, training: TrainFlags, folds: FoldArguments) -> FoldFlags:
    """The flags of the folds' commands, from those that this command was given."""
    argv = list(sys.argv[1:])
    from_yaml = read_yaml_flags(argv.pop(0)) if argv and argv[0].endswith((".yaml", ".yml")) else []
    recipe = leave_out([*from_yaml, *argv], {*FOLD_FLAGS, *OWN_PATHS, "resume_from_checkpoint"})
    defaults = {one.name: one.default for kind in (DataArguments, ModelArguments) for one in fields(kind)}
    told = {name: getattr(data, name, None) or getattr(model, name, None) for name in (*TOLD_EVAL, *OF_REMOTE)}
    told["use_cpu"] = training.use_cpu
    asked = [
        part
        for name, value in told.items()
        if value is not None and value != defaults.get(name)
        for part in (f"--{name}", *(value if isinstance(value, list) else [str(value)]))
    ]
    return FoldFlags(tuple(recipe), (*asked, *_to_flags(folds.eval_flags)))


def leave_out(argv: Sequence[str], names: Collection[str]) -> list[str]:
    """A command line without these flags and their values."""
    kept, keeps = [], True
    for argument in argv:
        if argument.startswith("--"):
            keeps = argument.partition("=")[0].removeprefix("--").replace("-", "_") not in names
        if keeps:
            kept.append(argument)
    return kept
