"""What flags are called: the training guide's spellings, and what was meant by a flag that does not exist."""

import difflib
import re
from collections.abc import Collection, Sequence

# The training guide's spellings → today's flags.
GUIDE_SPELLINGS = {
    "batch_size": ("per_device_train_batch_size", "per_device_eval_batch_size"),
    "epochs": ("num_train_epochs",),
    "evaluation_strategy": ("eval_strategy",),
}
LAUNCHERS_OWN = "--local_rank"
MOST_SUGGESTED = 3


def translate_guide_spellings(argv: Sequence[str], known: Collection[str] = ()) -> list[str]:
    """The guide's flags in today's spelling: `--epochs 3` → `--num_train_epochs 3`. Those that are `known` to the
    recipe stay: evaluation has a --batch_size of its own."""
    translated, arguments = [], list(argv)
    while arguments:
        argument = arguments.pop(0)
        name, equals, value = argument.partition("=")
        today = _today(name) if name not in known else None
        if today is None:
            translated.append(argument)
            continue
        if not equals and arguments and not arguments[0].startswith("--"):
            value = arguments.pop(0)
            equals = True
        translated += [part for flag in today for part in ((f"--{flag}", value) if equals else (f"--{flag}",))]
    return translated


def _today(name: str) -> tuple[str, ...] | None:
    return GUIDE_SPELLINGS.get(name.removeprefix("--").replace("-", "_")) if name.startswith("--") else None


def name_as_given(argv: Sequence[str], known: Collection[str] = ()) -> dict[str, str]:
    """Today's names of the flags in `argv` → how they were given: {"num_train_epochs": "--epochs"}."""
    named = {}
    for name in (argument.partition("=")[0] for argument in argv if argument.startswith("--")):
        today = _today(name) if name not in known else None
        named |= dict.fromkeys(today or (name.removeprefix("--").replace("-", "_"),), name)
    return named


def spell_as_given(message: str, argv: Sequence[str], known: Collection[str] = ()) -> str:
    """A message about today's flags, with the guide's names in the place of those that were given by them."""
    for today, given in name_as_given(argv, known).items():
        message = re.sub(rf"--{today}\b", given, message)
    return message


def suggest(unknown: str, known: Collection[str]) -> list[str]:
    """The flags that may have been meant, at most three: by the first of these rules that finds any. `--batchsize`,
    `--Batch-Size`; `--lr`, by initials; one letter too few, too many, wrong or in its neighbour's place; `--epoch`,
    a beginning; alike. The shorter of two spellings is preferred, so the guide's."""
    meant = unknown.lstrip("-").partition("=")[0]
    flags = [flag for flag in dict.fromkeys(known) if flag.startswith("--") and flag != LAUNCHERS_OWN]
    rules = (
        lambda name: _squash(name) == _squash(meant),
        lambda name: "".join(word[0] for word in name.split("_") if len(word) > 1) == meant.lower(),
        lambda name: is_one_typo_away(name, meant),
        lambda name: len(meant) > 2 and name.startswith(meant),
    )
    for rule in rules:
        if found := [flag for flag in flags if rule(flag.removeprefix("--"))]:
            return _drop_second_spellings(sorted(found, key=len))[:MOST_SUGGESTED]
    return difflib.get_close_matches(f"--{meant}", flags, n=1)


def _squash(name: str) -> str:
    return re.sub(r"[-_]", "", name).lower()


def is_one_typo_away(a: str, b: str) -> bool:
    """Whether a letter was left out, added, changed, or has changed places with its neighbour."""
    start = next((i for i, pair in enumerate(zip(a, b, strict=False)) if pair[0] != pair[1]), min(len(a), len(b)))
    a, b = a[start:], b[start:]
    return a != b and (a[1:] == b or a == b[1:] or a[1:] == b[1:] or (a[:2] == b[1::-1] and a[2:] == b[2:]))


def _drop_second_spellings(flags: list[str]) -> list[str]:
    """Of a guide's flag and today's one for the same, the guide's alone."""
    second = {f"--{today}" for guide in GUIDE_SPELLINGS if f"--{guide}" in flags for today in GUIDE_SPELLINGS[guide]}
    return [flag for flag in flags if flag not in second]
