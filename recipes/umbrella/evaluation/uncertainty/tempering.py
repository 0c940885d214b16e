"""Do the probabilities of labels mean what they say, and does a temperature help?"""

import numpy as np

from umbrella.answers.metrics import calibration_bins, expected_calibration_error
from umbrella.evaluation.results import with_intervals
from umbrella.evaluation.statistics.notation import number
from umbrella.evaluation.statistics.temperature import (
    fit_temperature,
    probabilities_at,
    squared_error,
    surprise,
)
from umbrella.evaluation.uncertainty.label_answers import LabelAnswers
from umbrella.evaluation.verdicts import say_rows

TITLES = {"nll": "negative log-likelihood", "brier": "Brier score", "ece": "expected calibration error"}


def describe_temperature(answers: LabelAnswers, fitted_on: LabelAnswers | None, n_resamples: int, seed: int) -> dict:
    """The temperature that fits `fitted_on` best, and scores of the evaluated rows before and after it.

    scores  nll (nats), brier and ece → "before", and where there is a temperature "after" and "change", each with
            "value" and "interval"
    bins    "before" and "after" → [rows, mean probability, share right] of each of ten bins that is not empty
    """
    fitted = None if fitted_on is None else fit_temperature(fitted_on.log_likelihoods, fitted_on.true)
    temperature = None if fitted is None else fitted.value
    settings = {"before": 1.0} | ({} if temperature is None else {"after": temperature})
    by_setting = {name: _score(answers, setting) for name, setting in settings.items()}

    def measure(rows: np.ndarray) -> dict[str, float]:
        measured = {}
        for name, (nll, brier, probabilities) in by_setting.items():
            ece = expected_calibration_error(answers.true[rows], probabilities[rows])
            scores = {"nll": nll[rows].mean(), "brier": brier[rows].mean(), "ece": ece}
            measured |= {f"{score} {name}": float(value) for score, value in scores.items()}
        if "after" in by_setting:
            measured |= {f"{s} change": measured[f"{s} after"] - measured[f"{s} before"] for s in TITLES}
        return measured

    found = with_intervals(measure, answers.subjects, n_resamples, seed)
    scores: dict[str, dict] = {score: {} for score in TITLES}
    for name, entry in found.items():
        score, setting = name.split()
        scores[score][setting] = entry
    entry = {
        "value": temperature,
        "why": None if fitted is None else fitted.why,
        "scores": scores,
        "bins": {name: _list_bins(answers.true, probabilities) for name, (*_, probabilities) in by_setting.items()},
    }
    sentences = [_say_temperature(entry, fitted_on)]
    if fitted_on is not None:
        absent = [f"“{label}”" for i, label in enumerate(answers.labels) if not (fitted_on.true == i).any()]
        if absent:
            sentences.append(
                f"No validation row is {' or '.join(absent)}: what is fitted there need not hold for rows that are."
            )
    return {"sentences": sentences, **entry}


def _score(answers: LabelAnswers, temperature: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    probabilities = probabilities_at(answers.log_likelihoods, temperature)
    nll = surprise(answers.log_likelihoods, answers.true, temperature)
    return nll, squared_error(probabilities, answers.true), probabilities


def _list_bins(true: np.ndarray, probabilities: np.ndarray) -> list[list[float]]:
    counts, confidence, right = calibration_bins(true, probabilities)
    return [[int(n), float(mean), float(share)] for n, mean, share in zip(counts, confidence, right, strict=True) if n]


def _say_temperature(entry: dict, fitted_on: LabelAnswers | None) -> str:
    before = ", ".join(f"{TITLES[name]} {number(score['before']['value'])}" for name, score in entry["scores"].items())
    if fitted_on is None:
        return f"No temperature could be fitted; of the probabilities as they are: {before}."
    where = f"validation ({say_rows(fitted_on.size)})"
    if entry["value"] is None:
        return f"No temperature fits {where}: {entry['why']}. The probabilities stay as they are: {before}."
    parts = [
        f"{TITLES[name]} from {number(score['before']['value'])} to {number(score['after']['value'])} "
        f"(change {_say_change(score['change'])})"
        for name, score in entry["scores"].items()
    ]
    kind = "softer" if entry["value"] > 1 else "sharper"
    low, high = entry["scores"]["nll"]["change"]["interval"] or (-1.0, 1.0)
    end = "It helps" if high < 0 else "It harms" if low > 0 else "Too few rows to tell whether it helps"
    return (
        f"A temperature of {number(entry['value'])}, fitted on {where}, makes probabilities {kind}. On the evaluated "
        f"rows it takes the {', the '.join(parts)}. {end}, by the negative log-likelihood."
    )


def _say_change(change: dict) -> str:
    shown = _signed(change["value"])
    if change["interval"] is None:
        return f"{shown}, no interval"
    return f"{shown}, 95 % interval {_signed(change['interval'][0])} to {_signed(change['interval'][1])}"


def _signed(value: float) -> str:
    return f"{'+' if value >= 0 else '-'}{number(abs(value))}"
