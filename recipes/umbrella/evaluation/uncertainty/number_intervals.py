"""Intervals about answered numbers that hold the true one in a promised share of rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from umbrella.evaluation.statistics.conformal import quantile_over_subjects, spread_of_subjects
from umbrella.evaluation.statistics.notation import number
from umbrella.evaluation.uncertainty.holding_sets import describe_held, say_held, say_too_few

LEVELS = tuple(round(0.05 * i, 2) for i in range(1, 20))  # of the curve of what is held by what is promised
LEAST_WITH_SPREAD = 0.5  # of the rows, for a spread to tell widths


@dataclass(frozen=True)
class NumberAnswers:
    """Rows that were answered with a number, (n,) each; `answered` is nan where none could be read."""

    subjects: list[str]
    unit: str | None
    answered: np.ndarray
    true: np.ndarray

    @classmethod
    def of_records(cls, records: Sequence[dict], subjects: list[str], unit: str | None) -> "NumberAnswers":
        """From lines of predictions.jsonl."""
        answered, true = (np.array([r[key] for r in records], float) for key in ("parsed_number", "expected_number"))
        return cls(subjects, unit, answered, true)

    @cached_property
    def errors(self) -> np.ndarray:
        """(n,) distance from the truth; inf where no number could be read, which no interval holds."""
        return np.nan_to_num(np.abs(self.answered - self.true), nan=np.inf)

    @cached_property
    def spread(self) -> np.ndarray:
        """(n,) of the answers to the row's subject; nan where there is one answer."""
        return spread_of_subjects(self.answered, self.subjects)

    @property
    def n_subjects(self) -> int:
        return len(set(self.subjects))


def describe_intervals(answers: NumberAnswers, fitted_on: NumberAnswers | None, level: float) -> dict:
    """Intervals as wide for each row, and such as follow the spread of a subject's answers, where there is one.

    half_width  in the unit of the answers
    normalised  half widths are `factor` × (spread of the subject's answers + `floor`); a factor of None: no spread
    curve       of levels → the share of the evaluated rows that is held
    """
    if fitted_on is None:
        return {"level": level, "sentences": ["No intervals could be set: see below."]}
    half_width = quantile_over_subjects(fitted_on.errors, fitted_on.subjects, level)
    entry: dict = {"level": level, "n_subjects": fitted_on.n_subjects, "half_width": None, "unit": answers.unit}
    if np.isinf(half_width):
        return {"sentences": [_say_none(entry, fitted_on)], **entry}
    n_unread = int(np.isinf(answers.errors).sum())
    held = describe_held(answers.errors <= half_width, answers.subjects, level, fitted_on.n_subjects)
    entry |= {"half_width": half_width, "n_unread": n_unread, **held, "curve": _draw_curve(answers, fitted_on)}
    unit = f" {answers.unit}" if answers.unit else ""
    unread = f" {n_unread} answers without a number have no interval and hold nothing." if n_unread else ""
    sentence = f"Intervals of ± {number(half_width)}{unit} about the answer: of the truths {say_held(entry)}{unread}"
    entry["normalised"] = _normalise(answers, fitted_on, level)
    return {"sentences": [sentence, *entry["normalised"]["sentences"]], **entry}


def _say_none(entry: dict, fitted_on: NumberAnswers) -> str:
    n_unread = int(np.isinf(fitted_on.errors).sum())
    n_subjects, level = entry["n_subjects"], entry["level"]
    if n_subjects / (n_subjects + 1) < level:
        return say_too_few(level, n_subjects, "intervals")
    return (
        f"No interval holds {100 * level:g} % of the truths: in {n_unread} of {len(fitted_on.errors)} validation "
        "answers no number could be read."
    )


def _draw_curve(answers: NumberAnswers, fitted_on: NumberAnswers) -> dict[str, list[float]]:
    halves = [quantile_over_subjects(fitted_on.errors, fitted_on.subjects, level) for level in LEVELS]
    held = [float((answers.errors <= half).mean()) for half in halves]
    drawn = [(level, share) for level, share, half in zip(LEVELS, held, halves, strict=True) if np.isfinite(half)]
    return {"level": [level for level, _ in drawn], "held": [share for _, share in drawn]}


def _normalise(answers: NumberAnswers, fitted_on: NumberAnswers, level: float) -> dict:
    """Widths by the spread of a subject's answers: errors are divided by it before their quantile is taken
    (Papadopoulos et al. 2008, Normalized nonconformity measures for regression conformal prediction, AIA)."""
    sides = (fitted_on, answers)
    spreads = np.concatenate([side.spread for side in sides])
    if min((~np.isnan(side.spread)).mean() for side in sides) < LEAST_WITH_SPREAD:
        why = "Most rows are their subject's only one: no spread of its answers tells which intervals may be narrower."
        return {"factor": None, "sentences": [why]}
    # Of both splits' answers, no truth: the same whatever row is which, so that the promise stands.
    floor = float(np.nanmean(spreads))
    if floor == 0:
        why = "All answers to a subject are the same: no spread tells which intervals may be narrower."
        return {"factor": None, "sentences": [why]}
    scales = [np.where(np.isnan(side.spread), floor, side.spread) + floor for side in sides]
    factor = quantile_over_subjects(fitted_on.errors / scales[0], fitted_on.subjects, level)
    halves = factor * scales[1]
    entry = {
        "level": level,
        "n_subjects": fitted_on.n_subjects,
        "factor": factor,
        "floor": floor,
        "half_widths": {"least": float(halves.min()), "mean": float(halves.mean()), "most": float(halves.max())},
        **describe_held(answers.errors <= halves, answers.subjects, level, fitted_on.n_subjects),
    }
    unit = f" {answers.unit}" if answers.unit else ""
    sentence = (
        f"Where the widths follow the spread of a subject's answers they are ± {number(float(halves.min()))} to "
        f"{number(float(halves.max()))}{unit}, ± {number(float(halves.mean()))} on average: of the truths "
        f"{say_held(entry)}"
    )
    return {"sentences": [sentence], **entry}
