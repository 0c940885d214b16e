"""Participants → train, validation, test: families together, strata in equal shares, the same by the seed."""

import json
import warnings
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from cohort import CohortError, is_missing, to_key
from table_file import read_table

SPLITS = ("train", "validation", "test")
_MOST_FOLDS = 40
_TOLERANCE = 0.05  # how far the share of a split may be from what was asked for


def parse_fractions(text: str) -> dict[str, float]:
    """ "0.8,0.1,0.1" → the share of each split. Raises CohortError unless there are three that add up to 1."""
    try:
        shares = [float(part) for part in text.split(",")]
    except ValueError:
        shares = []
    if (
        len(shares) != 3
        or any(not 0 <= share <= 1 for share in shares)
        or abs(sum(shares) - 1) > 1e-6
        or not shares[0]
    ):
        raise CohortError(
            f"--split: expected three shares for train, validation, test that add up to 1, as 0.8,0.1,0.1, "
            f"found {text}"
        )
    return dict(zip(SPLITS, shares, strict=True))


def split_subjects(
    subjects: Sequence[str], strata: Sequence[str], groups: Sequence[str], fractions: dict[str, float], seed: int
) -> dict[str, str]:
    """Participant → split. `strata` and `groups` hold one value a participant; a group stays together.

    scikit-learn's StratifiedGroupKFold deals the groups of several members into k folds, StratifiedKFold all others
    (it is quick for 100,000); each split takes a number of folds, and the second deal evens out what the first left
    uneven. Depends on nothing but the arguments, not on their order. Raises CohortError for a group larger than every
    split and for a cohort too small for the strata.
    """
    order = sorted(range(len(subjects)), key=lambda i: subjects[i])
    subjects, strata, groups = ([values[i] for i in order] for values in (subjects, strata, groups))
    sizes = Counter(groups)
    _check_group_sizes(sizes, fractions, len(subjects))
    members = defaultdict(list)
    for i, group in enumerate(groups):
        members["group" if sizes[group] > 1 else "single"].append(i)
    split_of, missing = {}, dict(fractions)
    for kind in ("group", "single"):
        if not members[kind]:
            continue
        y, g = np.array(strata)[members[kind]], np.array(groups)[members[kind]]
        n_folds = _choose_folds(missing, _most_folds(y, len(set(g.tolist()))))
        fold = _deal(y, g if kind == "group" else None, sum(n_folds.values()), seed)
        names = _name_folds(np.bincount(fold, minlength=sum(n_folds.values())), n_folds, missing)
        split_of |= {subjects[i]: names[f] for i, f in zip(members[kind], fold.tolist(), strict=True)}
        # What the families have left uneven, the others even out.
        counts = Counter(split_of.values())
        missing = {name: max(0.0, share * len(subjects) - counts[name]) for name, share in fractions.items()}
        missing = {name: n / (sum(missing.values()) or 1.0) for name, n in missing.items()}
    _check_shares(split_of, fractions)
    return {subject: split_of[subject] for subject in subjects}


def _deal(strata: np.ndarray, groups: np.ndarray | None, n_folds: int, seed: int) -> np.ndarray:
    """The number of each member's fold, (n,)."""
    try:
        from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold
    except ImportError:
        raise CohortError('splits need scikit-learn. Install it: pip install "umbrella-vlm[cohort]"') from None
    fold = np.zeros(len(strata), dtype=int)
    if n_folds == 1:
        return fold
    splitter = (StratifiedKFold if groups is None else StratifiedGroupKFold)(n_folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # A stratum with fewer members than folds is in some of them only: the summary shows the counts.
        warnings.filterwarnings("ignore", message="The least populated class")
        for number, (_, members) in enumerate(splitter.split(strata, strata, groups)):
            fold[members] = number
    return fold


def _most_folds(strata: np.ndarray, n_units: int) -> int:
    return max(1, min(n_units, max(Counter(strata.tolist()).values()), _MOST_FOLDS))


def _name_folds(sizes: np.ndarray, n_folds: dict[str, int], fractions: dict[str, float]) -> list[str]:
    """The split of each fold. Validation and test take the folds nearest to their size: one that a large group has
    made too large goes to train."""
    names = ["train"] * len(sizes)
    for name in SPLITS[:0:-1]:
        for _ in range(n_folds[name]):
            ideal = fractions[name] * sizes.sum() / n_folds[name]
            free = [i for i in range(len(sizes)) if names[i] == "train"]
            names[min(free, key=lambda i: (abs(sizes[i] - ideal), i))] = name
    return names


def _choose_folds(fractions: dict[str, float], most: int) -> dict[str, int]:
    """How many folds each split takes: the fewest that meet the shares best, at most `most` in all."""

    def count(n_folds: int) -> dict[str, int]:
        others = {name: round(fractions[name] * n_folds) for name in SPLITS[1:]}
        return {"train": n_folds - sum(others.values()), **others}

    def error(n_folds: int) -> float:
        return round(sum(abs(n / n_folds - fractions[name]) for name, n in count(n_folds).items()), 6)

    return count(min(range(1, most + 1), key=lambda n: (error(n), n)))


def _check_group_sizes(sizes: Counter, fractions: dict[str, float], n_subjects: int) -> None:
    largest = max(fractions, key=lambda name: fractions[name])
    room = fractions[largest] * n_subjects
    for group, size in sizes.most_common(1):
        if size > 1 and size > room:
            raise CohortError(
                f"--group_by: expected groups that fit into a split (the largest, {largest}, is to have {room:.0f} of "
                f"{n_subjects} participants), found the group {group!r} with {size}. Give another column: this one "
                "may not be of families"
            )


def _check_shares(split_of: dict[str, str], fractions: dict[str, float]) -> None:
    counts = Counter(split_of.values())
    for name, fraction in fractions.items():
        share = counts[name] / len(split_of)
        if (fraction and not counts[name]) or abs(share - fraction) > _TOLERANCE + 1 / len(split_of):
            raise CohortError(
                f"--split: expected about {fraction:.0%} of {len(split_of)} participants in {name}, found a division "
                f"that gives it {counts[name]}: the cohort is too small for it. Give fewer columns to --stratify, "
                "a --group_by of smaller groups, or larger shares"
            )


def read_split_file(path: Path) -> tuple[dict[str, str], list[str]]:
    """(participant without "sub-" → split, what was inferred in sentences) of a splits.json, or of a table with the
    columns participant_id and split."""
    if path.suffix.lower() == ".json":
        pairs, notes = _read_splits_json(path), []
    else:
        table = read_table(path)
        if not {"participant_id", "split"} <= set(table.columns):
            raise CohortError(
                f"--split_file {path}: expected the columns participant_id and split, found {', '.join(table.columns)}"
            )
        pairs, notes = [(row["participant_id"], row["split"]) for row in table.rows], table.notes
    split_of = {}
    for name, split in pairs:
        if is_missing(name):
            raise CohortError(f"--split_file {path}: expected an id in every row, found {name!r} in {split}")
        if split not in (*SPLITS, "external"):
            raise CohortError(
                f"--split_file {path}: {name}: expected {', '.join(SPLITS)} or external, found {split!r}"
            )
        if split_of.setdefault(to_key(name), split) != split:
            raise CohortError(
                f"--split_file {path}: {name}: expected one split, found {split_of[to_key(name)]}, {split}"
            )
    return split_of, notes


def _read_splits_json(path: Path) -> list[tuple[str, str]]:
    """(participant, split)."""
    try:
        splits = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_to_dict)["splits"]
        return [(str(name), split) for split, names in splits.items() for name in names]
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        raise CohortError(
            f"--split_file {path}: expected a splits.json as this program writes it, each split in it once"
        ) from None


def _to_dict(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """json would keep the last of two equal keys and let the participants of the first vanish."""
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a key twice in one object")
    return dict(pairs)
