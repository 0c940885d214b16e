"""Several data folders in one run: which, in which shares, and what one subject id in two of them means."""

import difflib
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TOLERANCE = 1e-6  # of the sum of the weights
LEAST_SHARE = 1e-12  # of which a row would come once in more epochs than there will be
KEYS = ("json_dir", "weight", "image_root")  # of a cohort in the YAML
DIFFERENT, SAME = "different", "same"


@dataclass(frozen=True)
class CohortPlace:
    """One of several cohorts.

    name        its rows are called NAME/task_id
    weight      its share of the rows of an epoch; None: every row once
    image_root  what its relative scan paths start from; None: its folder
    """

    name: str
    json_dir: str
    weight: float | None = None
    image_root: str | None = None


@dataclass
class CohortFlags:
    """Which folders. After `settle_cohorts` `json_dir` is one folder, or None where `cohort_places` are several."""

    json_dir: str | None = field(
        default=None,
        # Not "+": lists are torn at commas and spaces, which folders may have in their names.
        metadata={"help": "folder with train/, validation/, test/ of JSON files, or several: A B C", "nargs": "*"},
    )
    cohort_weights: list[float] | None = field(
        default=None,
        metadata={
            "help": "of several --json_dir: share of each of an epoch's rows, as 0.6 0.3 0.1 (default: every row once)"
        },
    )
    cohorts: str | None = field(
        default=None,
        metadata={"help": "a YAML file in place of --json_dir A B C: NAME: {json_dir, weight, image_root}"},
    )
    same_ids: str | None = field(
        default=None,
        metadata={
            "help": "whom one subject id in two cohorts means: different people, or the same person (default: the "
            "same, and refused where the two are in different splits)",
            "choices": [DIFFERENT, SAME],
        },
    )
    cohort_places: list[CohortPlace] = field(
        init=False, default_factory=list, metadata={"help": "the cohorts, where they are several"}
    )

    cohort_notes: list[str] = field(
        init=False, default_factory=list, metadata={"help": "what was found between them when they were read"}
    )

    def settle_cohorts(self, image_root: str | None) -> str | None:
        """Sets `json_dir` and `cohort_places` by what was given. Returns the image_root of one folder.

        Raises ValueError for a file that names no cohorts, a name or folder twice, and weights that are no shares.
        """
        folders = [self.json_dir] if isinstance(self.json_dir, str) else list(self.json_dir or ())
        if self.json_dir is not None and not all([folders, *folders]):
            raise ValueError("--json_dir: expected a folder, or several with spaces between them, found none")
        if self.cohorts is not None:
            places = read_places(self.cohorts, image_root)
            flag = self.cohorts
        else:
            names = [Path(os.path.abspath(os.path.expanduser(folder))).name for folder in folders]
            weights: list[float | None] = [None] * len(folders)
            if self.cohort_weights is not None:
                _check_count(self.cohort_weights, len(folders))
                weights = [*self.cohort_weights] if len(folders) > 1 else weights
            places = [
                CohortPlace(name, folder, weight, image_root)
                for name, folder, weight in zip(names, folders, weights, strict=True)
            ]
            flag = "--cohort_weights"
        if self.cohort_weights is not None and (self.cohorts is not None or len(places) < 2):
            found = "--cohorts, whose file has them: weight: 0.6" if self.cohorts else f"{len(places) or 'no'} folder"
            raise ValueError(f"--cohort_weights: expected several folders, --json_dir A B C, found {found}")
        check_places(places)
        check_weights([place.weight for place in places], flag)
        self.cohort_places = places if len(places) > 1 else []
        if self.same_ids is not None and not self.cohort_places:
            raise ValueError(
                f"--same_ids {self.same_ids}: expected several cohorts, --json_dir A B C, found one. Leave it out"
            )
        self.json_dir = places[0].json_dir if len(places) == 1 else None
        return places[0].image_root if len(places) == 1 else image_root


def read_places(path: str, image_root: str | None) -> list[CohortPlace]:
    """The cohorts of a YAML file; folders count from the working folder, as they do on the command line.

    image_root  of those that name none of their own
    Raises ValueError, naming file and cohort, for what is no such file.
    """
    from umbrella.files.yaml_files import read_yaml  # not above: a recipe's own end comes first, see `last_exit`

    if not os.path.isfile(path):
        raise ValueError(f"--cohorts: expected a YAML file, found none at {path}")
    found = read_yaml(Path(path))
    shape = "NAME: {json_dir: FOLDER, weight: 0.6, image_root: FOLDER}, the last two where they are needed"
    if not isinstance(found, dict) or not found:
        raise ValueError(f"{path}: expected cohorts as {shape}; found {_name_kind(found)}")
    places = []
    for name, entry in found.items():
        if not isinstance(entry, dict) or not entry.get("json_dir"):
            raise ValueError(f"{path}: {name}: expected {shape}; found {_name_kind(entry)} without a json_dir")
        if unknown := sorted(entry.keys() - set(KEYS)):
            close = difflib.get_close_matches(unknown[0], KEYS, n=1)
            remedy = f"Did you mean {close[0]}?" if close else "Take it out"
            if unknown[0].isdecimal():  # of "weight: 0,6", which is a 0 and a key 6
                remedy = "Write numbers with a point, as 0.6"
            raise ValueError(f"{path}: {name}: expected no key but {', '.join(KEYS)}, found {unknown[0]}. {remedy}")
        for key, value in entry.items():
            if not isinstance(value, str):
                raise ValueError(f"{path}: {name}: {key}: expected one value, found {_name_kind(value)}")
        weight = None if "weight" not in entry else _read_weight(entry["weight"], f"{path}: {name}")
        places.append(CohortPlace(name, entry["json_dir"], weight, entry.get("image_root", image_root)))
    return places


def _name_kind(value: Any) -> str:
    kinds = {"dict": "a mapping", "list": "a list", "str": "a text"}
    return kinds.get(type(value).__name__, "nothing")


def _read_weight(text: str, place: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{place}: weight: expected a number as 0.6, found {text!r}") from None


def check_places(places: Sequence[CohortPlace]) -> None:
    """Raise ValueError where two cohorts have one name or one folder, and for a name that cannot be in a task_id."""
    names: dict[str, str] = {}
    folders: dict[str, str] = {}
    for place in places if len(places) > 1 else ():
        if not place.name.strip() or "/" in place.name or not place.name.isprintable():
            raise ValueError(f"cohorts: expected a name without a slash, found {place.name!r}. Choose another")
        real = os.path.realpath(os.path.expanduser(place.json_dir))
        if real in folders:
            raise ValueError(
                f"cohorts: expected each folder once, found {place.json_dir} and {folders[real]}, which are one. Take "
                "one of them out; to see its rows more often give it a larger weight"
            )
        if place.name in names:
            raise ValueError(
                f"cohorts: expected a name of its own for each, found {place.name} of {names[place.name]} and of "
                f"{place.json_dir}. Name them in a file: --cohorts FILE.yaml with a line for each, as "
                f"one: {{json_dir: {names[place.name]}}}"
            )
        names[place.name] = folders[real] = place.json_dir
    if alike := [name for name in names if f"share_{name}" in names]:
        raise ValueError(
            f"cohorts: expected names whose loss and share of the loss are told apart, found {alike[0]} and "
            f"share_{alike[0]}, which both log loss_share_{alike[0]}. Choose another"
        )


def _check_count(weights: Sequence[float], n: int) -> None:
    if n > 1 and len(weights) != n:
        raise ValueError(
            f"--cohort_weights: expected {n} shares, one for each folder of --json_dir in their order, found "
            f"{len(weights)}: {' '.join(f'{weight:g}' for weight in weights)}"
        )


def check_weights(weights: Sequence[float | None], flag: str) -> None:
    """Raise ValueError for weights that some cohorts have and others not, that are not positive, or whose sum is not
    1."""
    known = [weight for weight in weights if weight is not None]
    if not known:
        return
    if len(known) < len(weights):
        raise ValueError(
            f"{flag}: expected a weight for each of {len(weights)} cohorts, or none at all, found {len(known)}"
        )
    shown = " ".join(f"{weight:g}" for weight in known)
    if not (math.isfinite(sum(known)) and all(weight >= 0 for weight in known)):
        raise ValueError(f"{flag}: expected shares above 0 that add up to 1, found {shown}")
    if min(known) <= LEAST_SHARE * sum(known):
        raise ValueError(
            f"{flag}: expected shares above 0, found {shown}. A cohort that is not trained on is left out of the list"
        )
    if abs(sum(known) - 1) > TOLERANCE:
        raise ValueError(
            f"{flag}: expected {len(known)} shares that add up to 1, found {shown} ({sum(known):g}). Write "
            f"{' '.join(map(str, _scale(known)))} for the same proportions"
        )


def _scale(weights: Sequence[float]) -> list[float]:
    """Shares that add up to 1, with as few decimals as tell them all from 0."""
    parts = 1000
    while 0 in (shares := share_out(parts, weights)):
        parts *= 10
    return [share / parts for share in shares]


def share_out(n: int, weights: Sequence[float]) -> list[int]:
    """`n` divided by weights into whole numbers that add up to it, by the largest remainders (Hamilton's method);
    of equal ones the first."""
    total = math.fsum(weights)
    exact = [n * weight / total for weight in weights]
    shares = [math.floor(part + 1e-9) for part in exact]  # 0.1 × 30 is 3, though 3.0000000000000004 or less in floats
    by_remainder = sorted(range(len(weights)), key=lambda i: (shares[i] - exact[i], i))
    for i in by_remainder[: n - sum(shares)]:
        shares[i] += 1
    return shares


def take_one_folder(value: str | Sequence[str] | None, why: str) -> str | None:
    """The one folder that a flag of a recipe for one was given. Raises ValueError for several; `why` ends the
    sentence."""
    folders = [value] if isinstance(value, str) else list(value or ())
    if len(folders) > 1:
        raise ValueError(f"--json_dir: expected one folder, found {len(folders)}: {' '.join(folders)}. {why}")
    return folders[0] if folders else None
