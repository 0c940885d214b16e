"""Could something else than the image explain the labels? Logistic regression on confounds alone, and matched rows."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from datasets import Dataset
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from umbrella.evaluation.results import read_metadata, read_numbers
from umbrella.evaluation.statistics.intervals import share_interval
from umbrella.evaluation.statistics.measures import ACCURACY
from umbrella.evaluation.statistics.notation import percent
from umbrella.evaluation.statistics.paired import compare_paired, correct_entries
from umbrella.evaluation.verdicts import judge_beside
from umbrella.options.commands.progress import show_progress
from umbrella.records.small_groups import MATCHED
from umbrella.rows.scan_places import find_subject_places
from umbrella.scans.head import estimate_head_volume_ml
from umbrella.scans.scan_files import find_source
from umbrella.scans.volumes import load_volume
from umbrella.views.volume_cache import identify_scan

HEAD_VOLUME = "head_volume"
CALIPER_SD = 0.2  # of the logit of the propensity score, after Austin 2011, Pharmaceutical Statistics 10:150


def evaluate_confounds(
    names: Sequence[str],
    train: Dataset | None,
    rows: Dataset,
    records: list[dict],
    subjects: Sequence[str],
    read_truth: Callable[[str], Any],
) -> dict:
    """How far the confounds alone get, and the model's accuracy among rows whose confounds do not tell the label.

    The regression is fitted on the training split and judged on `rows`. Matching (two labels only) pairs each row of
    the rarer label with the nearest of the other by propensity score, fitted on `rows`, within 0.2 of its SD.

    Raises ValueError for a name that no row's metadata has, or without a labelled training split.
    """
    labelled = [] if train is None else [i for i, e in enumerate(train["metadata"]) if e["subject_label"] is not None]
    if not labelled:
        raise ValueError("--confounds: expected a labelled training split to fit the confounds on, found none")
    train = train.with_format(None).select(labelled)
    table, train_table = read_confounds((rows, train), names)
    truths = np.array([record["expected_label"] for record in records])
    right = np.array([record["parsed_label"] for record in records]) == truths
    train_labels = np.array([read_truth(entry["subject_label"]) for entry in train["metadata"]])
    if len(set(train_labels)) < 2:
        raise ValueError(
            f"--confounds: expected at least two labels in the training split, found only {train_labels[0]!r}; "
            "leave it out"
        )
    alone = build_regression(train_table).fit(train_table, train_labels).predict(table) == truths
    matched = match_rows(table, truths) if len(set(truths)) == 2 else None
    kinds = {"": np.arange(len(rows))}
    if matched is not None and len(matched):
        kinds["matched"] = matched
    compared = correct_entries({kind: _compare(right, alone, subjects, of, len(kinds)) for kind, of in kinds.items()})
    beside = judge_beside(compared[""]["paired"], "the confounds alone", ACCURACY)
    sentence = (
        f"Confounds: {', '.join(name.replace('_', ' ') for name in names)}. They alone get {percent(alone.mean())} of "
        f"the rows right, the model {percent(right.mean())}. {beside['sentence']}"
    )
    entries = [
        _entry("confounds alone, logistic regression", alone, subjects),
        _entry("the model, all rows", right, subjects) | compared[""],
    ]
    if "matched" in compared:
        of_subjects = [subjects[i] for i in matched]
        model = _entry("the model, rows matched on the confounds", right[matched], of_subjects) | compared["matched"]
        entries += [model, _entry("confounds alone, the same matched rows", alone[matched], of_subjects)]
        apart = judge_beside(model["paired"], "the confounds alone", ACCURACY)
        sentence += f"{MATCHED}{apart['sentence']}"
    elif matched is not None:
        sentence += (
            " No two rows of different labels are alike in the confounds, so there are none on which the model "
            "could be judged apart from them: its accuracy may be theirs."
        )
    return {
        "names": list(names),
        "verdict": beside["verdict"],
        "sentence": sentence,
        "paired": compared[""]["paired"],
        "rows": entries,
    }


def _compare(
    right: np.ndarray, alone: np.ndarray, subjects: Sequence[str], of: np.ndarray, n_tests: int
) -> dict[str, dict]:
    """The model beside the confounds on some of the rows, by their indices."""
    of_subjects = [subjects[i] for i in of]
    return {"paired": compare_paired(ACCURACY, right[of], alone[of], of_subjects, n_tests=n_tests).to_dict()}


def read_confounds(tables: Sequence[Dataset], names: Sequence[str]) -> list[np.ndarray]:
    """(n rows, n names) for each of the tables, object: numbers as floats (nan where missing), words as text.

    A name's values are numbers where all that are stated in all of the tables are ("21.37" too).
    """
    found = [np.empty((len(rows), len(names)), object) for rows in tables]
    ends = np.cumsum([len(rows) for rows in tables])[:-1]
    volumes = {}
    for index, name in enumerate(names):
        if name == HEAD_VOLUME:
            parts = [_read_head_volumes(rows, volumes) for rows in tables]
        else:
            values = [value for rows in tables for value in read_metadata(rows, name)]
            numbers, other = read_numbers(values)
            words = ["not stated" if value is None else str(value) for value in values]
            parts = np.split(np.array(numbers if other is None else words, object), ends)
        for table, part in zip(found, parts, strict=True):
            table[:, index] = part
    return found


def _read_head_volumes(rows: Dataset, known: dict[tuple, float]) -> list[float]:
    """Of each row in ml: the mean over the subject's scans, which are of one head."""
    volumes = []
    for row in show_progress(rows.with_format(None), desc="measuring heads", unit="row"):
        if not row["images"]:
            raise ValueError(f"{row['source']}: head_volume: expected a scan to measure, found none in the row")
        own = [_read_head_volume(row["images"][place], known) for place in find_subject_places(row)]
        volumes.append(float(np.mean(own)))
    return volumes


def _read_head_volume(scan: dict, known: dict[tuple, float]) -> float:
    source = find_source(scan)
    key = identify_scan(source)  # never the bytes themselves, which would stay in memory
    if key not in known:
        volume, spacing_mm = load_volume(source, scan["modality"], normalize=True, standardize=False)
        known[key] = estimate_head_volume_ml(volume, spacing_mm)
    return known[key]


def build_regression(table: np.ndarray) -> Pipeline:
    """Logistic regression on standardised numbers and one-hot words."""
    words = [i for i in range(table.shape[1]) if isinstance(table[0, i], str)]
    numbers = [i for i in range(table.shape[1]) if i not in words]
    return make_pipeline(
        make_column_transformer(
            (make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numbers),
            (OneHotEncoder(handle_unknown="ignore"), words),
        ),
        LogisticRegression(max_iter=1000),
    )


def match_rows(table: np.ndarray, truths: np.ndarray) -> np.ndarray:
    """Indices of rows in pairs of one of each label whose confounds say nearly the same, nearest first."""
    rarer, other = sorted(set(truths.tolist()), key=lambda label: (truths == label).sum())
    logits = build_regression(table).fit(table, truths == rarer).decision_function(table)
    caliper = CALIPER_SD * logits.std()
    first, second = np.flatnonzero(truths == rarer), np.flatnonzero(truths == other)
    distances = np.abs(logits[first][:, None] - logits[second])
    pairs, used_first, used_second = [], set(), set()
    for flat in np.argsort(distances, axis=None):
        i, j = np.unravel_index(flat, distances.shape)
        if distances[i, j] > caliper:
            break
        if i not in used_first and j not in used_second:
            used_first.add(i)
            used_second.add(j)
            pairs += [first[i], second[j]]
    return np.array(sorted(pairs), int)


def _entry(title: str, right: np.ndarray, subjects: Sequence[str]) -> dict:
    return {
        "title": title,
        "n": len(right),
        "n_subjects": len(set(subjects)),
        "accuracy": float(np.mean(right)),
        "interval": share_interval(right, subjects),
    }
