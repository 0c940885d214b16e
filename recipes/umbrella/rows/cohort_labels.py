"""Labels that two cohorts may write in other words."""

from collections.abc import Iterable, Mapping
from itertools import combinations

import pyarrow as pa
from datasets import DatasetDict

from umbrella.rows.cohort_names import read_whole

MOST_LABELS = 50  # different ones of a task type; more are no words to compare


def check_labels(splits_of: Mapping[str, DatasetDict]) -> list[str]:
    """`compare_words` of cohorts."""
    words: dict[str, dict[str, set[str]]] = {}
    for name, of in splits_of.items():
        for rows in of.values():
            table = read_whole(rows, ("task_type", "metadata"))
            labels = table["metadata"].combine_chunks().field("subject_label")
            pairs = pa.table({"task_type": table["task_type"], "label": labels}).group_by(["task_type", "label"])
            for row in pairs.aggregate([]).to_pylist():
                found = words.setdefault(row["task_type"], {}).setdefault(name, set())
                found |= {row["label"]} - {None}
    return compare_words(words)


def compare_words(words: Mapping[str, Mapping[str, set[str]]]) -> list[str]:
    """A sentence for each task type of which two cohorts have labels that the other lacks, "male" and "M" beside the
    "female" of both, and of which one has none. Numbers are no words.

    words  task type → name of the cohort → labels of its rows
    """
    said = []
    for task_type, of in sorted(words.items()):
        said += [
            f"labels of {task_type} differ: only {name} has {_list(one - two)}, only {other} {_list(two - one)}. Each "
            "word counts as a label of its own: write one word for one thing, or keep the cohorts apart"
            for (name, one), (other, two) in combinations(of.items(), 2)
            if are_other_words(one, two)
        ]
        labelled = [name for name, labels in of.items() if labels]
        said += [
            f"labels of {task_type}: {labelled[0]} states them, {name} none: its rows have no label to be scored by"
            for name, labels in of.items()
            if labelled and not labels
        ]
    return said


def are_other_words(one: set[str], two: set[str]) -> bool:
    """Whether labels of two cohorts may be the same things in other words."""
    if max(len(one), len(two)) > MOST_LABELS or (_are_numbers(one) and _are_numbers(two)):
        return False
    return bool(one - two and two - one)


def _are_numbers(labels: Iterable[str]) -> bool:
    try:
        for label in labels:
            float(label.split()[0].replace(",", "."))  # of "45 years" the number
    except (ValueError, IndexError):
        return False
    return True


def _list(labels: Iterable[str]) -> str:
    shown = sorted(labels)
    return ", ".join(map(repr, shown[:6])) + (f" and {len(shown) - 6} more" if len(shown) > 6 else "")
