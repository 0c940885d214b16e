"""What answers to repeats come to: how far labels, numbers or texts agree, each with its interval by subject."""

from collections.abc import Sequence

import numpy as np

from umbrella.evaluation.statistics.agreement import (
    cohen_kappa,
    icc,
    icc_interval,
    limits_intervals,
    limits_of_agreement,
    repeatability,
    repeatability_interval,
    share_alike,
)
from umbrella.evaluation.statistics.intervals import bootstrap, number_subjects, share_interval

UNREAD = "unreadable"


def compare_labels(answers: list[list[dict]], labels: Sequence[str], subjects: list[str], n_resamples: int) -> dict:
    """Records of labels, as many of each set: the share alike, Cohen's κ, and how often a set is right or wrong.

    An unreadable answer is an answer of its own. `kappa` is None where it is not defined, its interval where no
    resample differs. `counts`: answers at the first session in rows, at the second in columns.
    """
    index = {label: i for i, label in enumerate((*labels, None))}
    codes = np.array([[index[record["parsed_label"]] for record in of_set] for of_set in answers])
    right = np.array([[r["parsed_label"] == r["expected_label"] for r in of_set] for of_set in answers])
    counts = np.zeros((len(index), len(index)), int)
    np.add.at(counts, (codes[:, 0], codes[:, 1]), 1)

    def measure(rows: np.ndarray) -> dict[str, float]:
        kappa = cohen_kappa(codes[rows])
        return {} if kappa is None else {"kappa": kappa}

    kappa = cohen_kappa(codes)
    intervals = {} if kappa is None else bootstrap(measure, subjects, n_resamples)
    return {
        "alike": _share(share_alike(codes), subjects),
        "kappa": None if kappa is None else {"value": kappa, "interval": intervals.get("kappa")},
        "n_unread": int((codes == len(labels)).sum()),
        "all_right": float(right.all(axis=1).mean()),
        "all_wrong": float((~right).all(axis=1).mean()),
        "labels": [*labels, UNREAD],
        "counts": counts.tolist(),
    }


def compare_texts(answers: list[list[dict]], subjects: list[str]) -> dict:
    """Records of free text: the share of the same text, to the letter."""
    codes = np.array([number_subjects([record["prediction"] for record in of_set]) for of_set in answers])
    return {"alike": _share(share_alike(codes), subjects)}


def _share(hits: np.ndarray, subjects: list[str]) -> dict:
    return {"value": float(hits.mean()), "interval": share_interval(hits, subjects)}


def compare_numbers(answers: list[list[dict]], subjects: list[str], n_resamples: int) -> dict:
    """Records of numbers, all of them read: ICC(2,1), the repeatability coefficient, and the limits of agreement of
    the second session with the first.

    Where a true number changes, the change is taken off the answer, so that what remains is the model's. Intervals are
    by their distributions where there is one set a subject, else by bootstrap over subjects. `icc` is None where it is
    not defined; limits need two sets.
    """
    said = np.array([[record["parsed_number"] for record in of_set] for of_set in answers], float)
    true = np.array([[record["expected_number"] for record in of_set] for of_set in answers], float)
    change = true - true[:, :1]
    values = said - change
    measured = _measure_numbers(values)
    if len(set(subjects)) == len(subjects):
        intervals = {"icc": icc_interval(values), "repeatability": repeatability_interval(values)}
        intervals |= limits_intervals(values[:, 1] - values[:, 0]) if len(values) > 1 else {}
    else:
        intervals = bootstrap(lambda rows: _measure_numbers(values[rows]), subjects, n_resamples)
    names = ("icc", "repeatability", "bias", "low", "high")
    entries = {name: {"value": measured[name], "interval": intervals.get(name)} for name in names if name in measured}
    return {
        **dict.fromkeys(names),
        **entries,
        "n_changed": int((change != 0).any(axis=1).sum()),
        "largest_change": float(np.abs(change).max()),
        "pairs": np.round(values[:, :2], 6).tolist(),
    }


def _measure_numbers(values: np.ndarray) -> dict[str, float]:
    measured = {"repeatability": repeatability(values)}
    if (correlation := icc(values)) is not None:
        measured["icc"] = correlation
    if len(values) > 1:
        limits = limits_of_agreement(values[:, 1] - values[:, 0])
        measured |= {"bias": limits.bias, "low": limits.low, "high": limits.high}
    return measured
