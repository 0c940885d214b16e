"""How a YAML file and the command line become the options of `umbrella.options.arguments`."""

import argparse
import json
import math
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from umbrella.files.json_files import parse_json
from umbrella.files.yaml_files import read_yaml
from umbrella.options.address_flags import check_addresses
from umbrella.options.arguments import BUILT, TINY_DEFAULTS, ModelArguments
from umbrella.options.commands.ending import describe_launcher, let_rank_0_speak
from umbrella.options.cuda import BY_CUDA
from umbrella.options.flag_names import (
    GUIDE_SPELLINGS,
    name_as_given,
    spell_as_given,
    suggest,
    translate_guide_spellings,
)
from umbrella.options.keys import check_keys
from umbrella.options.list_flags import split_list
from umbrella.options.repeated_flags import note_repeated
from umbrella.options.single_files import load_argument_parser
from umbrella.options.training_fields import TrainFields

_NUMBER = re.compile(r"-?(0|[1-9]\d{0,400})(\.\d{1,400})?([eE][-+]?\d{1,9})?", re.A)
NUMBERS = {"int": "a whole number", "float": "a number"}


class _Parser(load_argument_parser()):  # type: ignore[misc]  # transformers' class, whose types are not followed
    """HfArgumentParser whose errors are one sentence, about the flags as they were given in `argv`."""

    argv: tuple[str, ...] = ()

    def __init__(self, dataclasses: tuple[type, ...], **options: Any):
        super().__init__(dataclasses, formatter_class=argparse.HelpFormatter, **options)
        # _actions and _option_string_actions are private: argparse lists its flags nowhere else.
        for action in list(self._actions):
            if action.dest in BY_CUDA:
                names = (f"--{negated}" for negated in (f"no_{action.dest}", f"no-{action.dest.replace('_', '-')}"))
                self.add_argument(*names, action="store_false", dest=action.dest, help=action.help)
        for action in self._actions:
            is_told = action.default in (None, argparse.SUPPRESS) or "(default: " in action.help
            action.help += "" if is_told else " (default: %(default)s)"

    def error(self, message: str) -> None:
        let_rank_0_speak(all_meet_it=True)
        message = re.sub(r"^argument (--\w+)\S*:", r"\1:", message)
        message = re.sub(r"invalid (int|float) value:", lambda kind: f"expected {NUMBERS[kind[1]]}, found", message)
        message = spell_as_given(message, self.argv, self.flags)
        # Hundreds of flags: argparse's usage text would bury the one sentence that matters.
        self.exit(2, f"{self.prog}: error: {message}\n(all flags: {self.prog} --help)\n{describe_launcher()}")

    @property
    def flags(self) -> list[str]:
        """The flags, each in its first spelling."""
        return [action.option_strings[0] for action in self._actions]

    def find(self, argument: str) -> argparse.Action | None:
        """The action of an argument that is a flag, with or without a value behind `=`."""
        return self._option_string_actions.get(argument.partition("=")[0])


def parse_arguments(dataclasses: tuple[type, ...], argv: list[str] | None = None) -> tuple:
    """`[config.yaml] [--flag value ...]` → one instance of each dataclass; flags win over the YAML.

    The YAML becomes flags ahead of the command line's, so both obey the same rules. Unknown and abbreviated flags end
    the program with a sentence, as do values that do not fit, keys (`check_keys`) and addresses where none can be
    (`check_addresses`). Lists stand with commas or with spaces (`split_list`). A training of "tiny" has defaults of
    its own; `TrainFields.given` says which flags were.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    spellings = "; ".join(f"--{guide} is --{' and --'.join(today)}" for guide, today in GUIDE_SPELLINGS.items())
    epilog = f"In front of the flags may stand a YAML file with flags. Also accepted: {spellings}."
    trains = any(issubclass(kind, TrainFields) for kind in dataclasses)
    parser = _Parser(dataclasses, allow_abbrev=False, epilog=epilog if trains else None)
    # The deepspeed launcher puts its own --local_rank=N in front.
    launcher = [argv.pop(0)] if argv and argv[0].startswith("--local_rank") else []
    recipe = argv.pop(0) if argv and argv[0].endswith((".yaml", ".yml")) else None
    try:
        from_yaml = [] if recipe is None else read_yaml_flags(recipe)
        check_keys(from_yaml + argv)
        check_addresses(from_yaml + argv)
        _check_json(from_yaml + argv)
        parser.argv = (*launcher, *from_yaml, *argv)
        note_repeated(translate_guide_spellings(argv, parser.flags) if trains else argv, parser.find)
        flags = _split_lists(translate_guide_spellings(parser.argv, parser.flags) if trains else parser.argv, parser)
        if trains and ModelArguments in dataclasses and _names_tiny(parser, flags):
            parser.set_defaults(**TINY_DEFAULTS)
        # Ahead of what is missing: a flag with a typo is missing too.
        _refuse_unknown([flag for flag in flags if flag.startswith("--") and not parser.find(flag)], parser, trains)
        _refuse_unknown(parser.parse_known_args(flags)[1], parser, trains)
        instances = parser.parse_args_into_dataclasses(flags)
        in_yaml = {today: f"{flag} (in {recipe})" for today, flag in name_as_given(from_yaml, parser.flags).items()}
        for instance in instances:
            if isinstance(instance, TrainFields):
                instance.check_given(name_as_given(argv, parser.flags), in_yaml)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    return tuple(instances)


def _refuse_unknown(unknown: list[str], parser: _Parser, trains: bool) -> None:
    if unknown:
        also = [f"--{guide}" for guide in GUIDE_SPELLINGS] if trains else []
        close = suggest(unknown[0], [*also, *parser.flags]) if unknown[0].startswith("-") else []
        parser.error(f"unknown argument {unknown[0]}" + (f": did you mean {' or '.join(close)}?" if close else ""))


def _check_json(flags: list[str]) -> None:
    """Raise ValueError for a mapping among the flags' values that is no JSON, or has a key twice."""
    name = "the command line"
    for flag in flags:
        is_name = flag.startswith("--")
        name, _, value = flag.partition("=") if is_name else (name, "", flag)
        if value.startswith("{"):
            try:
                parse_json(value)
            except (ValueError, RecursionError) as error:
                raise ValueError(f"{name}: expected a mapping as JSON, found another: {error}") from None


def _names_tiny(parser: _Parser, flags: list[str]) -> bool:
    return parser.parse_known_args(flags)[0].model_name_or_path in BUILT


def _split_lists(argv: Sequence[str], parser: _Parser) -> list[str]:
    """The flags with the values of each list apart, whether they stood with commas or with spaces."""
    flags, values = [], None  # values: those of the list that is being read
    for argument in (*argv, "--"):
        if values is not None and not argument.startswith("--"):
            values.append(argument)
            continue
        flags += split_list(values or [])
        action, values = parser.find(argument), None
        if action is not None and action.nargs == "+":
            argument, equals, value = argument.partition("=")
            values = [value] if equals else []
        flags.append(argument)
    return flags[:-1]


def read_yaml_flags(path: str) -> list[str]:
    """A recipe's YAML as command-line flags: `learning_rate: 2e-5` → `--learning_rate 2e-5`."""
    if not Path(path).is_file():
        raise ValueError(f"{path}: expected a YAML file with a recipe, found no such file")
    recipe = read_yaml(Path(path))  # texts: YAML itself would read 2e-5 as text and `no` as false
    if not isinstance(recipe, dict):
        raise ValueError(f"{path}: expected a mapping of flags to values, found {type(recipe).__name__}")
    flags = []
    for key, value in recipe.items():
        if isinstance(value, dict):
            value = json.dumps(_type_scalars(value))
        values = value if isinstance(value, list) else [value]
        if not all(isinstance(part, str) for part in values):
            raise ValueError(f"{path}: {key}: expected a list of words or numbers, found a list or a mapping in it")
        if any(part.startswith("--") for part in values):
            raise ValueError(f"{path}: {key}: expected a value, found a flag in its place. Give it a line of its own")
        flags += [f"--{key}", *values]
    return flags


def _type_scalars(value: Any) -> Any:
    """Numbers and true, false, null within a mapping: as JSON has them; all else is text."""
    if isinstance(value, dict):
        return {key: _type_scalars(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_type_scalars(inner) for inner in value]
    if value in ("true", "false", "null") or _NUMBER.fullmatch(value):
        typed = json.loads(value)
        return typed if typed is None or math.isfinite(typed) else value
    return value
