"""Which groups of rows a model fails on more than on all others: by each of their metadata, and by measured scans.

failures.json, private as predictions.jsonl is, has the groups by name; metrics.json, which a push publishes, says how
many there are and by what: nobody asked to publish what the metadata say of few subjects.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from accelerate import PartialState
from datasets import Dataset

from umbrella.evaluation.evidence.failure_columns import Column, list_columns
from umbrella.evaluation.evidence.scan_measures import measure_scans
from umbrella.evaluation.results import score_records, subjects_of_rows
from umbrella.evaluation.statistics.against_rest import compare_with_rest
from umbrella.evaluation.statistics.differences import difference_interval
from umbrella.evaluation.statistics.group_gaps import LEAST_SUBJECTS
from umbrella.evaluation.statistics.holm import correct_by_holm
from umbrella.evaluation.statistics.intervals import number_subjects
from umbrella.evaluation.statistics.measures import EXACT_MATCH, Measure, score_interval
from umbrella.evaluation.statistics.paired import MOST_P
from umbrella.evaluation.verdicts import say_rows
from umbrella.files.json_files import write_json
from umbrella.records.evaluations import FAILURES, FAILURES_PAGE

MOST_NAMED = 10


def gather_failures(folder: Path, rows: Dataset, records: list[dict], seed: int, is_asked: bool) -> dict | None:
    """Write failures.json into the evaluation's folder, and return its `sentences`; None where no report is asked for,
    and on all processes but the main one."""
    if not is_asked or not PartialState().is_main_process:
        return None
    found = find_failures(rows, records, seed)
    write_json(folder / FAILURES, found, indent=2)
    return {
        "sentences": [
            *found["sentences"],
            f"{FAILURES_PAGE}, beside the report and never published, shows single rows and groups.",
        ]
    }


def find_failures(rows: Dataset, records: list[dict], seed: int) -> dict:
    """What failures.json holds.

    key, all     "wrong" or "mae", and that of all rows with its interval
    groups       each with `column`, `group`, its error and the `rest`'s, `difference` with `interval`, `p`, and
                 `p_holm`, corrected over all groups; those that fail more first, the surest of them first
    too_small    groups of too few subjects to compare, or with too few beside them
    columns      name → the group of each row
    sentences    that name no group; `notes` on what was not compared
    """
    measure, scores = score_records(records)
    subjects = subjects_of_rows(rows)
    errors = 1 - scores if measure.better > 0 else scores
    counted = {"n": len(errors), "n_subjects": len(set(subjects))}
    interval = score_interval(measure, errors, subjects)
    found: dict = {
        "key": "wrong" if measure.better > 0 else "mae",
        "all": {"error": float(errors.mean()), "interval": interval},
    }
    found["all"] |= counted
    start = _say_errors(measure, errors, counted)
    if measure is EXACT_MATCH:
        reason = "Free text is neither right nor wrong, so groups of rows are not compared."
        return found | _nothing([reason])
    if not errors.any():
        return found | _nothing([f"{start} There is nothing to compare groups by."])
    columns, notes = list_columns(rows, records, measure_scans(rows, seed))
    groups, members, too_small = _divide(columns, errors, subjects)
    sentences = [f"{start} {_say_groups(groups)}"]
    if groups:
        tests = [compare_with_rest(errors, subjects, of_group, seed=seed) for of_group in members]
        p_values = [test.p for test in tests if test.p is not None]  # all: LEAST_SUBJECTS are on both sides
        tested = zip(groups, members, p_values, correct_by_holm(p_values), strict=True)
        groups = [
            group | _compare(measure, errors, rows, subjects) | {"p": p, "p_holm": p_holm}
            for group, rows, p, p_holm in tested
        ]
        groups.sort(key=lambda group: (group["difference"] <= 0, group["p"], -group["difference"]))
        sentences = [f"{sentences[0]} {_say_worse(groups)}"]
    named = {column.name: column.groups for column in columns}
    return found | {
        "groups": groups, "too_small": too_small, "columns": named, "sentences": sentences, "notes": notes
    }  # fmt: skip


def _nothing(sentences: list[str]) -> dict:
    return {"groups": [], "too_small": [], "columns": {}, "sentences": sentences, "notes": []}


def _divide(
    columns: Sequence[Column], errors: np.ndarray, subjects: Sequence[str]
) -> tuple[list[dict], list[np.ndarray], list[dict]]:
    """Groups that can be compared with the rest, the rows of each, (n,) bool, and groups of too few subjects."""
    groups: list[dict] = []
    members: list[np.ndarray] = []
    too_small: list[dict] = []
    codes = number_subjects(subjects)
    for column in columns:
        of_column: list[tuple[dict, np.ndarray]] = []
        for name in sorted(set(column.groups)):
            rows = np.array([group == name for group in column.groups])
            inside, outside = len(set(codes[rows].tolist())), len(set(codes[~rows].tolist()))
            described = {"column": column.name, "group": name, "n": int(rows.sum()), "n_subjects": inside}
            if min(inside, outside) < LEAST_SUBJECTS:
                too_small.append({**described, "error": float(errors[rows].mean())})
            else:
                of_column.append((described, rows))
        if len(of_column) == 2 and (of_column[0][1] != of_column[1][1]).all():  # one comparison: the worse group's
            of_column = [max(of_column, key=lambda entry: float(errors[entry[1]].mean()))]
        groups += [described for described, _ in of_column]
        members += [rows for _, rows in of_column]
    return groups, members, too_small


def _compare(measure: Measure, errors: np.ndarray, rows: np.ndarray, subjects: Sequence[str]) -> dict:
    inside, outside = float(errors[rows].mean()), float(errors[~rows].mean())
    interval = difference_interval(measure, errors, rows, subjects)
    return {"error": inside, "rest": outside, "difference": inside - outside, "interval": interval}


def _say_errors(measure: Measure, errors: np.ndarray, counted: dict) -> str:
    if measure.better < 0:
        return f"The {measure.name} is {measure.show(float(errors.mean()))} ({say_rows(counted)})."
    n_wrong = int(errors.sum())
    return f"{n_wrong or 'None'} of {say_rows(counted)} {'is' if n_wrong < 2 else 'are'} answered wrongly."


def _say_groups(groups: Sequence[dict]) -> str:
    if not groups:
        return (
            f"No group could be compared with the rest: nothing divides the rows into groups of {LEAST_SUBJECTS} "
            "subjects or more."
        )
    by = list(dict.fromkeys(group["column"] for group in groups))
    more = f" and {len(by) - MOST_NAMED} others" if len(by) > MOST_NAMED else ""
    what = "group was" if len(groups) == 1 else "groups were"
    return f"{len(groups)} {what} compared with all other rows, by {', '.join(by[:MOST_NAMED])}{more}."


def _say_worse(groups: Sequence[dict]) -> str:
    worse = [group for group in groups if group["p_holm"] < MOST_P and group["difference"] > 0]
    if not worse:
        return "Of none is it shown, corrected over all of them (Holm), that it fails more than the rest."
    by = ", ".join(dict.fromkeys(group["column"] for group in worse))
    return f"{len(worse)} fail{'s' if len(worse) == 1 else ''} more than the rest, corrected over all (Holm): by {by}."
