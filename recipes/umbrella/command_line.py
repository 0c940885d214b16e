"""How a YAML file and the command line become the options of `umbrella.arguments`."""

import difflib
import json
import sys
from collections.abc import Collection
from pathlib import Path

import yaml
from transformers import HfArgumentParser

from umbrella.command import let_rank_0_speak
from umbrella.tracking import check_keys
from umbrella.training_arguments import TrainArguments

# The training guide's spellings → today's flags.
GUIDE_SPELLINGS = {
    "batch_size": ("per_device_train_batch_size", "per_device_eval_batch_size"),
    "epochs": ("num_train_epochs",),
    "evaluation_strategy": ("eval_strategy",),
}


class _Parser(HfArgumentParser):
    def error(self, message: str):
        let_rank_0_speak(all_meet_it=True)
        # Hundreds of flags: argparse's usage text would bury the one sentence that matters.
        self.exit(2, f"{self.prog}: error: {message}\n(all flags: {self.prog} --help)\n")


def parse_arguments(dataclasses: tuple[type, ...], argv: list[str] | None = None) -> tuple:
    """`[config.yaml] [--flag value ...]` → one instance of each dataclass; flags win over the YAML.

    The YAML becomes flags ahead of the command line's, so both obey the same rules. Unknown and abbreviated flags end
    the program with a sentence, as do values that do not fit and keys (`check_keys`).
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    spellings = "; ".join(f"--{guide} is --{' and --'.join(today)}" for guide, today in GUIDE_SPELLINGS.items())
    epilog = f"In front of the flags may stand a YAML file with flags. Also accepted: {spellings}."
    parser = _Parser(dataclasses, allow_abbrev=False, epilog=epilog if TrainArguments in dataclasses else None)
    known = [option for action in parser._actions for option in action.option_strings]
    # The deepspeed launcher puts its own --local_rank=N in front.
    launcher = [argv.pop(0)] if argv and argv[0].startswith("--local_rank") else []
    try:
        from_yaml = read_yaml_flags(argv.pop(0)) if argv and argv[0].endswith((".yaml", ".yml")) else []
        check_keys(from_yaml + argv)
        flags = translate_guide_spellings(launcher + from_yaml + argv, known)
        *instances, unknown = parser.parse_args_into_dataclasses(flags, return_remaining_strings=True)
    except (ValueError, OSError, yaml.YAMLError) as error:
        parser.error(str(error))
    if unknown:
        close = difflib.get_close_matches(unknown[0].split("=")[0], known, n=1)
        parser.error(f"unknown argument {unknown[0]}" + (f": did you mean {close[0]}?" if close else ""))
    return tuple(instances)


def read_yaml_flags(path: str) -> list[str]:
    """A recipe's YAML as command-line flags: `learning_rate: 2e-5` → `--learning_rate 2e-5`."""
    if not Path(path).is_file():
        raise ValueError(f"{path}: expected a YAML file with a recipe, found no such file")
    # Every scalar as it is written: YAML itself would read 2e-5 as text and `no` as false.
    recipe = yaml.load(Path(path).read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
    if not isinstance(recipe, dict):
        raise ValueError(f"{path}: expected a mapping of flags to values, found {type(recipe).__name__}")
    flags = []
    for key, value in recipe.items():
        flags.append(f"--{key}")
        if isinstance(value, list):
            flags += value
        else:
            flags.append(json.dumps(_type_scalars(value)) if isinstance(value, dict) else value)
    return flags


def _type_scalars(value):
    """Numbers and true, false, null within a mapping: as JSON has them; all else is text."""
    if isinstance(value, dict):
        return {key: _type_scalars(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_type_scalars(inner) for inner in value]
    try:
        return json.loads(value)
    except json.JSONDecodeError:
        return value


def translate_guide_spellings(argv: list[str], known: Collection[str] = ()) -> list[str]:
    """The guide's flags in today's spelling: `--epochs 3` → `--num_train_epochs 3`. Those that are `known` to the
    recipe stay: evaluation has a --batch_size of its own."""
    translated, arguments = [], iter(argv)
    for argument in arguments:
        name, equals, value = argument.partition("=")
        today = GUIDE_SPELLINGS.get(name.removeprefix("--")) if name.startswith("--") else None
        if today is None or name in known:
            translated.append(argument)
            continue
        value = value if equals else next(arguments, "")
        translated += [part for flag in today for part in (f"--{flag}", value)]
    return translated
