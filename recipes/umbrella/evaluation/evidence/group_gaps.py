"""How far apart the best and the worst group of each --by are: in the score, and of two labels in the rows of each."""

from collections.abc import Sequence

import numpy as np
from datasets import Dataset

from umbrella.evaluation.group_tests import name_some
from umbrella.evaluation.results import NOT_STATED, group_rows, score_records, subjects_of_rows
from umbrella.evaluation.statistics.group_gaps import LEAST_SUBJECTS, Gap, find_gap
from umbrella.evaluation.statistics.intervals import LEVEL
from umbrella.evaluation.statistics.measures import ACCURACY, Measure
from umbrella.evaluation.verdicts import say_rows


def gather_group_gaps(names: Sequence[str] | None, rows: Dataset, records: list[dict]) -> dict | None:
    """`by`: metadata name → what `measure_gaps` gives; None without names (--by)."""
    if not names:
        return None
    measure, scores = score_records(records)
    truths = [record.get("expected_label") for record in records]
    subjects = subjects_of_rows(rows)
    by, sentences = {}, []
    for name in names:
        by[name] = measure_gaps(measure, scores, truths, group_rows(rows, name), subjects)
        sentences += [f"By {name.replace('_', ' ')}, {sentence}" for sentence in by[name].pop("sentences")]
    return {"sentences": sentences, "least_subjects": LEAST_SUBJECTS, "by": by}


def measure_gaps(
    measure: Measure,
    scores: np.ndarray,
    truths: Sequence[str | None],
    groups: Sequence[str],
    subjects: Sequence[str],
) -> dict:
    """`gaps`: a list of what is compared, each with `of`, `gap` (None where it cannot be had) and `left_out` groups.
    `equalised_odds` of two labels: the larger of their two gaps with its interval. `sentences`.

    truths  the true labels; None for numbers. Where they are two, the rows of each are compared too: of these the
            shares that are right are the sensitivity of one label and the specificity of the other.
    """
    every = np.full(len(scores), True)
    parts: list[tuple[str | None, np.ndarray]] = [(None, every)]
    labels = sorted({truth for truth in truths if truth is not None})
    if len(labels) == 2:
        parts += [(label, np.array([truth == label for truth in truths])) for label in labels]
    gaps, joint = [], []
    for label, asked in parts:
        gaps.append({"of": label, **_compare(measure, scores, groups, subjects, asked, LEVEL)})
        if label is not None:  # both intervals hold together, so that the larger gap's does
            joint.append(_compare(measure, scores, groups, subjects, asked, (1 + LEVEL) / 2)["gap"])
    odds = _join_odds(joint)
    sentences = [_say(gaps[0], measure), *_say_left_out(gaps[0]["left_out"])]
    if odds is not None:
        sentences.append(
            f"the equalised odds difference, the larger gap of both labels' rows, is {_say_gap(odds, ACCURACY)}."
        )
    elif joint and gaps[0]["gap"] is not None:
        few = " or ".join(label for label, gap in zip(labels, joint, strict=True) if gap is None)
        sentences.append(
            f"no equalised odds difference: fewer than two groups have {LEAST_SUBJECTS} subjects of {few}."
        )
    return {"gaps": gaps, "equalised_odds": odds, "sentences": sentences}


def _compare(
    measure: Measure,
    scores: np.ndarray,
    groups: Sequence[str],
    subjects: Sequence[str],
    asked: np.ndarray,
    level: float,
) -> dict:
    members: dict[str, list[int]] = {}
    for i in np.flatnonzero(asked).tolist():
        members.setdefault(groups[i], []).append(i)
    described = {
        name: {
            measure.key: float(np.mean(scores[rows])),
            "n": len(rows),
            "n_subjects": len({subjects[i] for i in rows}),
        }
        for name, rows in sorted(members.items())
    }
    ranked = {n: d for n, d in described.items() if n != NOT_STATED and d["n_subjects"] >= LEAST_SUBJECTS}
    rows = [i for name in ranked for i in members[name]]
    gap = find_gap(measure, scores[rows], [groups[i] for i in rows], [subjects[i] for i in rows], level)
    left_out = {name: entry for name, entry in described.items() if name not in ranked}
    return {"gap": None if gap is None else gap.to_dict(), "groups": ranked, "left_out": left_out}


def _join_odds(gaps: Sequence[dict | None]) -> dict | None:
    known = [gap for gap in gaps if gap is not None]
    if len(known) < 2:
        return None
    ends = [gap["interval"] for gap in known if gap["interval"] is not None]
    interval = (max(low for low, _ in ends), max(high for _, high in ends)) if len(ends) == len(known) else None
    return {"difference": max(gap["difference"] for gap in known), "interval": interval}


def _say(found: dict, measure: Measure) -> str:
    if found["gap"] is None:
        known = ", ".join(found["groups"]) or "none"
        return f"there is no gap to measure, which takes two groups; ranked: {known}."
    gap, groups = Gap(**found["gap"]), found["groups"]
    if gap.best == gap.worst:
        scores = f"all {gap.n_groups} groups have the {measure.name} {measure.show(groups[gap.best][measure.key])}"
    else:
        best, worst = (
            f"{name} ({measure.show(groups[name][measure.key])}, {say_rows(groups[name])})"
            for name in (gap.best, gap.worst)
        )
        scores = f"the {measure.name} is best of {best} and worst of {worst}"
    seen = f"{scores}: a gap of {_say_gap(found['gap'], measure)}."
    return f"{seen} {_say_chance(gap, measure)} {_say_verdict(gap, measure)}"


def _say_chance(gap: Gap, measure: Measure) -> str:
    if gap.by_chance is None:
        return "All rows have the same score, which tells nothing of the gap that chance would make between groups."
    return f"Of {gap.n_groups} groups that are alike about {_show(gap.by_chance, measure)} would be seen by chance."


def _show(size: float, measure: Measure) -> str:
    return measure.show_difference(size).removeprefix("+") + measure.unit_of_difference


def _say_gap(gap: dict, measure: Measure) -> str:
    if gap["interval"] is None:
        return f"{_show(gap['difference'], measure)}, no interval: in a group all subjects have the same error"
    low, high = (measure.show_difference(end).removeprefix("+") for end in gap["interval"])
    return f"{_show(gap['difference'], measure)}, 95 % interval {low} to {high}{measure.unit_of_difference}"


def _say_verdict(gap: Gap, measure: Measure) -> str:
    if gap.interval is None:
        return "Whether they differ cannot be told."
    low, high = gap.interval
    if low > 0:
        return "The groups differ."
    if high <= measure.margin:
        return f"No two groups differ by more than {measure.show_margin()}."
    return "Too few rows to tell whether any two groups differ."


def _say_left_out(left_out: dict[str, dict]) -> list[str]:
    """A sentence of its own, which can be withheld."""
    named = [f"{name} ({say_rows(entry)})" for name, entry in left_out.items()]
    return [f"not ranked, of fewer than {LEAST_SUBJECTS} subjects or not stated: {name_some(named)}."] if named else []
