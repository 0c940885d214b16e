"""What each control did to the answers: scored as the real run's are, and judged."""

from collections.abc import Callable, Sequence

import numpy as np

from umbrella.answers.metrics import absolute_errors
from umbrella.evaluation.controls import Control
from umbrella.evaluation.sides import count_turns
from umbrella.evaluation.statistics.measures import ACCURACY, Measure, measure_errors
from umbrella.evaluation.statistics.paired import correct_entries
from umbrella.evaluation.verdicts import compare_with_control, count_changes, judge
from umbrella.rows.changed_scans import MIRRORED

Exchanged = dict[str, tuple[Control, list[dict]]]  # name → the control, its records


def compare_labels(records: list[dict], exchanged: Exchanged, subjects: Sequence[str]) -> dict:
    """`controls`, `verdicts`, and the accuracies under each control by name. Two unparseable answers are the same."""
    controls = {}
    for name, (control, got) in exchanged.items():
        asked = [records[i] for i in control.indices]
        truths = [record["expected_label"] for record in asked]
        answers = [[record["parsed_label"] for record in of_run] for of_run in (asked, got)]
        scores = [[label == truth for label, truth in zip(of_run, truths, strict=True)] for of_run in answers]
        controls[name] = _compare(control, ACCURACY, scores, answers, subjects, _count_family(control, exchanged))
        if control.change == MIRRORED:
            of_subjects = [subjects[i] for i in control.indices]
            controls[name]["turns"] = count_turns(answers[0], answers[1], sorted(set(truths)), of_subjects)
    controls = _correct(controls)
    result = {f"accuracy_{name}": control["accuracy"] for name, control in controls.items()}
    if "reference_reversed" in controls:
        result["n_reversed"] = controls["reference_reversed"]["n"]
    return {**result, "controls": controls, "verdicts": judge(controls, ACCURACY)}


def compare_numbers(
    records: list[dict],
    exchanged: Exchanged,
    subjects: Sequence[str],
    read: Callable[[str], float | None],
) -> dict:
    """`controls` and `verdicts` by the absolute error. `read` finds the number in an answer."""
    truths = [record["expected_number"] for record in records]
    errors = absolute_errors([record["parsed_number"] for record in records], truths, among=truths)
    measure = measure_errors(truths)
    controls = {}
    for name, (control, got) in exchanged.items():
        answers = [
            [records[i]["parsed_number"] for i in control.indices],
            [read(record["prediction"]) for record in got],
        ]
        scores = [errors[control.indices]]
        scores.append(absolute_errors(answers[1], [truths[i] for i in control.indices], among=truths))
        controls[name] = _compare(control, measure, scores, answers, subjects, _count_family(control, exchanged))
    controls = _correct(controls)
    return {"controls": controls, "verdicts": judge(controls, measure)}


def compare_texts(records: list[dict], exchanged: Exchanged, subjects: Sequence[str]) -> dict:
    """`controls` and `verdicts` by the answers that changed: a free text is not simply right or wrong."""
    controls = {}
    for name, (control, got) in exchanged.items():
        changed = [
            records[i]["prediction"] != record["prediction"] for i, record in zip(control.indices, got, strict=True)
        ]
        counted = count_changes(changed, [subjects[i] for i in control.indices])
        controls[name] = _describe(control) | counted
    return {"controls": controls, "verdicts": judge(controls, None)}


def _compare(
    control: Control,
    measure: Measure,
    scores: Sequence[Sequence[float] | np.ndarray],
    answers: Sequence[Sequence],
    subjects: Sequence[str],
    n_tests: int,
) -> dict:
    changed = [before != after for before, after in zip(*answers, strict=True)]
    of_subjects = [subjects[i] for i in control.indices]
    numbers = compare_with_control(measure, scores[0], scores[1], changed, of_subjects, control.donors, n_tests)
    return _describe(control) | numbers


def _describe(control: Control) -> dict:
    stated = {"several": control.several, "sequence": control.sequence, "note": control.note}
    return {"title": control.title} | {name: value for name, value in stated.items() if value}


def _correct(controls: dict[str, dict]) -> dict[str, dict]:
    """Corrected by family, see `_find_family`; in the order that they came in."""
    families: dict[str, dict[str, dict]] = {}
    for name, control in controls.items():
        families.setdefault(_find_family(name, control.get("sequence", "")), {})[name] = control
    corrected = {name: entry for family in families.values() for name, entry in correct_entries(family).items()}
    return {name: corrected[name] for name in controls}


def _count_family(control: Control, exchanged: Exchanged) -> int:
    family = _find_family(control.name, control.sequence)
    return sum(_find_family(other.name, other.sequence) == family for other, _ in exchanged.values())


def _find_family(name: str, sequence: str) -> str:
    """Of which tests a control is one: those on all scans, those that exchange a sequence, those without one."""
    if not sequence:
        return "all scans"
    return "exchanged" if name.endswith("_swapped") else "left out"
