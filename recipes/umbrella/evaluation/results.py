"""From prediction records to the numbers of metrics.json, each with its interval."""

import json
from collections.abc import Callable, Sequence

import numpy as np
from datasets import Dataset

from umbrella.answers.metrics import (
    absolute_errors,
    classification_metrics,
    confusion,
    encode,
    explain_undefined,
    explain_unknown,
    fill_unread,
    majority_vote,
    regression_metrics,
)
from umbrella.answers.numbers import read_plain_number
from umbrella.evaluation.run_folder import probabilities_of
from umbrella.evaluation.statistics.intervals import bootstrap, mean_interval, share_interval
from umbrella.evaluation.statistics.measures import ACCURACY, EXACT_MATCH, Measure, measure_errors, score_interval

DECADE_YEARS = 10
NOT_STATED = "not stated"  # the group of rows without the value


def subjects_of_rows(rows: Dataset) -> list[str]:
    """The subject of each row; a row without one counts as a subject of its own."""
    plain = rows.with_format(None)
    return [
        entry["subject_id"] or f"row {task_id}"
        for entry, task_id in zip(plain["metadata"], plain["task_id"], strict=True)
    ]


def count_nameless(rows: Dataset) -> int:
    """How many rows count as subjects of their own, see `subjects_of_rows`."""
    return sum(not entry["subject_id"] for entry in rows.with_format(None)["metadata"])


def score_records(records: list[dict]) -> tuple[Measure, np.ndarray]:
    """How prediction records of labels, numbers or texts are scored, and (n,) scores: right or not, or the error."""
    if "parsed_label" in records[0]:
        return ACCURACY, np.array([record["parsed_label"] == record["expected_label"] for record in records], float)
    if "parsed_number" in records[0]:
        truths = [record["expected_number"] for record in records]
        return measure_errors(truths), absolute_errors([r["parsed_number"] for r in records], truths, among=truths)
    return EXACT_MATCH, np.array([r["prediction"].strip() == r["answer"].strip() for r in records], float)


def summarize_classification(
    records: list[dict], subjects: list[str], labels: list[str], n_resamples: int, seed: int
) -> dict:
    """accuracy, n, unparseable, `metrics` (name → value and interval), confusion counts, the vote of each subject."""
    parsed = [record["parsed_label"] for record in records]
    expected = [record["expected_label"] for record in records]
    true, predicted = encode(expected, labels), encode(parsed, labels)
    probabilities = probabilities_of(records, labels)
    n_present = len(set(true.tolist()))

    def measure(rows: np.ndarray) -> dict[str, float]:
        measured = classification_metrics(true[rows], predicted[rows], labels, probabilities[rows])
        if len(set(true[rows].tolist())) < n_present:
            del measured["macro_f1"]  # 0 for a label that a resample happens to lack
        return measured

    metrics = with_intervals(measure, subjects, n_resamples, seed)
    for name, (asked, hits) in _shares(true, predicted, probabilities, labels).items():
        if name in metrics:
            of_rows = [subjects[i] for i in np.flatnonzero(asked)]
            metrics[name]["interval"] = share_interval(hits[asked], of_rows)
    metrics["balanced_accuracy"]["interval"] = share_interval(predicted == true, subjects, strata=true.tolist())
    vote = majority_vote(subjects, parsed, expected)
    return {
        "accuracy": metrics["accuracy"]["value"],
        "n": len(records),
        "n_subjects": len(set(subjects)),
        "unparseable": parsed.count(None),
        "metrics": metrics,
        "undefined": explain_undefined(true, labels, has_probabilities=True),
        "confusion": {"labels": labels, "counts": confusion(parsed, expected, labels).tolist()},
        "majority_vote": _summarize_vote(vote),
    }


def _shares(
    true: np.ndarray, predicted: np.ndarray, probabilities: np.ndarray, labels: list[str]
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The metrics that are shares of rows: name → (which rows they are about, which of all rows are hits)."""
    every = np.full(len(true), True)
    shares = {
        "accuracy": (every, predicted == true),
        "accuracy_scored": (every, probabilities.argmax(axis=1) == true),
    }
    for index, label in enumerate(labels):
        shares[f"sensitivity_{label}"] = (true == index, predicted == index)
        shares[f"specificity_{label}"] = (true != index, (predicted != index) & (predicted < len(labels)))
    return shares


def _summarize_vote(vote: tuple[list, list] | None) -> dict:
    if vote is None:
        return {"undefined": "rows of one subject have different true labels"}
    right = [label == truth for label, truth in zip(*vote, strict=True)]
    return {
        "accuracy": sum(right) / len(right),
        "interval": share_interval(right, range(len(right))),
        "n_subjects": len(right),
    }


def summarize_regression(records: list[dict], subjects: list[str], n_resamples: int, seed: int) -> dict:
    """n, unparseable and `metrics` of the numbers in the answers; the value of one that is not known is None, and
    `undefined` says why."""
    answered = [record["parsed_number"] for record in records]
    expected = np.array([record["expected_number"] for record in records], float)
    predicted = fill_unread(answered, expected, among=expected)

    def measure(rows: np.ndarray) -> dict[str, float]:
        found = regression_metrics([answered[i] for i in rows], expected[rows], among=expected)
        return {name: value for name, value in found.items() if value is not None}

    unknown = explain_unknown(answered, expected)
    metrics = with_intervals(measure, subjects, n_resamples, seed)
    metrics["mae"]["interval"] = mean_interval(np.abs(predicted - expected), subjects)
    squared = mean_interval((predicted - expected) ** 2, subjects)
    metrics["rmse"]["interval"] = None if squared is None else tuple(end**0.5 for end in squared)
    return {
        "n": len(records),
        "n_subjects": len(set(subjects)),
        "unparseable": answered.count(None),
        "metrics": metrics | {name: {"value": None, "interval": None} for name in unknown},
        "undefined": unknown,
    }


def summarize_text(records: list[dict], subjects: list[str], n_resamples: int, seed: int) -> dict:
    """n and `metrics` of the answers against the rows' own."""
    from umbrella.answers.text_metrics import TextMetrics  # its packages are needed for free text only

    measure = TextMetrics([record["prediction"] for record in records], [record["answer"] for record in records])
    metrics = with_intervals(measure, subjects, n_resamples, seed)
    metrics["exact_match"]["interval"] = share_interval(measure.exact, subjects)
    return {
        "n": len(records),
        "n_subjects": len(set(subjects)),
        "unparseable": sum(not record["prediction"] for record in records),
        "metrics": metrics,
    }


def with_intervals(
    measure: Callable[[np.ndarray], dict[str, float]], subjects: Sequence[str], n_resamples: int, seed: int
) -> dict[str, dict]:
    """Name → {"value", "interval"} (None where one cannot be had) of what `measure` gives for row indices."""
    values = measure(np.arange(len(subjects)))
    intervals = bootstrap(measure, subjects, n_resamples, seed)
    return {name: {"value": value, "interval": intervals.get(name)} for name, value in values.items()}


def score_by_group(
    scores: Sequence[float] | np.ndarray, measure: Measure, rows: Dataset, names: Sequence[str]
) -> dict[str, dict[str, dict]]:
    """Metadata name → group → {"accuracy" or "mae", "interval", "n", "n_subjects"}."""
    subjects, result = subjects_of_rows(rows), {}
    for name in names:
        members: dict[str, list[int]] = {}
        for i, group in enumerate(group_rows(rows, name)):
            members.setdefault(group, []).append(i)
        result[name] = {}
        for group, indices in sorted(members.items()):
            of_group, of_subjects = [scores[i] for i in indices], [subjects[i] for i in indices]
            result[name][group] = {
                measure.key: float(np.mean(of_group)),
                "interval": score_interval(measure, of_group, of_subjects),
                "n": len(indices),
                "n_subjects": len(set(of_subjects)),
            }
    return result


def group_rows(rows: Dataset, name: str) -> list[str]:
    """The group of each row by a name in its metadata. NAME_bin stands for bins of the number NAME where the metadata
    hold no such name themselves: decades of age, quarters of all else. Rows without the value are "not stated".
    """
    values = read_metadata(rows, name, required=not name.endswith("_bin"))
    if name.endswith("_bin") and all(value is None for value in values):
        base = name.removesuffix("_bin")
        return bin_numbers(base, read_metadata(rows, base))
    return [NOT_STATED if value is None else str(value) for value in values]


def bin_numbers(name: str, values: Sequence) -> list[str]:
    """The bin of each of a column's values: decades of an age, quarters of all else."""
    numbers, other = read_numbers(values)
    if other is not None:
        raise ValueError(
            f"--by {name}_bin: expected numbers in metadata.{name}, found {other!r}. "
            f"For its values as they are: --by {name}"
        )
    if name == "age":
        edges = np.arange(
            np.nanmin(numbers) // DECADE_YEARS * DECADE_YEARS, np.nanmax(numbers) + DECADE_YEARS + 1, DECADE_YEARS
        )
    else:
        edges = np.unique(np.nanquantile(numbers, [0, 0.25, 0.5, 0.75, 1]))
    places = np.clip(np.searchsorted(edges, numbers, side="right") - 1, 0, max(len(edges) - 2, 0))
    last = [edges[min(place + 1, len(edges) - 1)] for place in places]
    return [
        NOT_STATED if np.isnan(number) else f"{edges[place]:g} to {end:g}"
        for number, place, end in zip(numbers, places, last, strict=True)
    ]


def read_numbers(values: Sequence) -> tuple[np.ndarray, object]:
    """Metadata as (n,) numbers, nan for None and for what is none, and the first that is none (None: all are)."""
    numbers = [read_plain_number(value) if isinstance(value, str) else value for value in values]
    numbers = [number if isinstance(number, int | float) else None for number in numbers]
    others = (value for value, number in zip(values, numbers, strict=True) if value is not None and number is None)
    return np.array([np.nan if number is None else number for number in numbers], float), next(others, None)


def read_metadata(rows: Dataset, name: str, required: bool = True) -> list:
    """One value a row, None where it has none: of the named fields of `metadata` or of the keys in its `extra`.

    Raises ValueError that lists the names there are where no row has the value and it is required.
    """
    entries = merge_metadata(rows)
    values = [entry.get(name) for entry in entries]
    if required and all(value is None for value in values):
        raise ValueError(
            f"{name}: expected a name in the rows' metadata, found none; there are {', '.join(list_names(entries))}. "
            f"Of a table's columns generate_conversations.py keeps those that are named: --metadata {name}"
        )
    return values


def list_names(entries: list[dict]) -> list[str]:
    """The names that at least one row's merged metadata have a value of."""
    return sorted({key for entry in entries for key, value in entry.items() if value is not None})


def merge_metadata(rows: Dataset) -> list[dict]:
    """A row's metadata in one dict: the named fields, and the keys of `extra`."""
    merged = []
    for entry in rows.with_format(None)["metadata"]:
        stated = {name: value for name, value in entry.items() if name != "extra"}
        merged.append({**json.loads(entry["extra"] or "{}"), **stated})
    return merged
