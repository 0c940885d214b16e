"""Who is in the data: subjects by split, shared by splits, left out on the way, and what is stated of them."""

import re
from collections import Counter
from itertools import combinations

import numpy as np
from datasets import DatasetDict

from umbrella.evaluation.results import list_names, merge_metadata, read_numbers, subjects_of_rows
from umbrella.records.cohort import NO_ROW, Exclusion, to_key
from umbrella.records.training_data import count_without_subject, subjects_of

LABEL = "subject_label"
# Words in the names of metadata that say who a subject is, or where it was scanned.
SAID_OF_SUBJECTS = frozenset(
    "age sex gender site center centre hospital institution scanner manufacturer vendor field ethnicity race "
    "handedness education diagnosis group bmi".split()
)
MOST_CATEGORIES = 12


def count_splits(splits: DatasetDict) -> dict[str, dict[str, int]]:
    """Split → its rows, and the subjects that they are about."""
    return {name: {"rows": len(rows), "subjects": len(set(subjects_of_rows(rows)))} for name, rows in splits.items()}


def count_shared(splits: DatasetDict) -> dict:
    """Subjects in two splits, references included, and rows that name nobody."""
    subjects = {name: subjects_of(rows) for name, rows in splits.items()}
    return {
        "shared": {f"{a}, {b}": len(subjects[a] & subjects[b]) for a, b in combinations(subjects, 2)},
        "rows_without_subject": sum(map(count_without_subject, splits.values())),
    }


def count_exclusions(exclusions: list[Exclusion], splits: dict[str, list[str]] | None) -> dict:
    """How many participants were found, wholly excluded and used, and how many entries each reason has.

    A participant can have several entries, and be used all the same; scans of whom no table has a row are entries
    alone. Without `splits` found, excluded and used are None.
    """
    reasons = dict(Counter(row.reason for row in exclusions).most_common())
    if splits is None:
        return {"found": None, "excluded": None, "used": None, "reasons": reasons}
    used = {to_key(name) for names in splits.values() for name in names}
    named = {to_key(row.participant_id) for row in exclusions if row.reason != NO_ROW} - {""}
    return {"found": len(used | named), "excluded": len(named - used), "used": len(used), "reasons": reasons}


def describe_subjects(splits: DatasetDict, asked: tuple[str, ...] = ()) -> dict[str, dict[str, dict]]:
    """Name of the metadata → split → what is stated of its subjects, by the first of their rows that states it;
    `several`: of how many of them other rows state something else.

    Numbers: `n`, `missing`, `mean`, `sd` (None of one), `quartiles`, `range`; else `n`, `missing`, `counts`.
    The labels, what names as age, sex or site tell, and the names `asked` for.
    """
    entries = {split: merge_metadata(rows) for split, rows in splits.items()}
    subjects = {split: subjects_of_rows(rows) for split, rows in splits.items()}
    described = {}
    for name in _choose_names(entries, asked):
        values = {split: _first_values(subjects[split], of_split, name) for split, of_split in entries.items()}
        stated = [value for of_split in values.values() for value in of_split if value is not None]
        if not stated:
            continue
        is_number = read_numbers(stated)[1] is None and len(set(map(str, stated))) > MOST_CATEGORIES // 2
        describe = _describe_numbers if is_number else _describe_categories
        described[name] = {
            split: {**describe(of_split), "several": _count_several(subjects[split], entries[split], name)}
            for split, of_split in values.items()
        }
    return described


def _choose_names(entries: dict[str, list[dict]], asked: tuple[str, ...]) -> list[str]:
    names = {name for of_split in entries.values() for name in list_names(of_split)}
    telling = {name for name in names if SAID_OF_SUBJECTS & set(re.findall("[a-z]+", name.lower()))}
    return [LABEL, *sorted((telling | (names & set(asked))) - {LABEL})]


def _first_values(subjects: list[str], entries: list[dict], name: str) -> list:
    """One value a subject, None where no row of it has one."""
    values: dict[str, object] = {}
    for subject, entry in zip(subjects, entries, strict=True):
        if values.get(subject) is None:
            values[subject] = entry.get(name)
    return list(values.values())


def _count_several(subjects: list[str], entries: list[dict], name: str) -> int:
    stated: dict[str, set[str]] = {}
    for subject, entry in zip(subjects, entries, strict=True):
        if entry.get(name) is not None:
            stated.setdefault(subject, set()).add(str(entry[name]))
    return sum(len(values) > 1 for values in stated.values())


def _describe_numbers(values: list) -> dict:
    numbers, _ = read_numbers([value for value in values if value is not None])
    n = len(numbers)
    return {
        "n": len(values),
        "missing": len(values) - n,
        "mean": float(numbers.mean()) if n else None,
        "sd": float(numbers.std(ddof=1)) if n > 1 else None,
        "quartiles": np.quantile(numbers, [0.25, 0.5, 0.75]).tolist() if n else None,
        "range": [float(numbers.min()), float(numbers.max())] if n else None,
    }


def _describe_categories(values: list) -> dict:
    counts = Counter(str(value) for value in values if value is not None)
    return {"n": len(values), "missing": len(values) - counts.total(), "counts": dict(sorted(counts.items()))}
