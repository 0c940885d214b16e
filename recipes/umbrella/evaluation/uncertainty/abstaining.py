"""Is the model surer where it is right, and what comes of giving only its surer answers?"""

import numpy as np
from scipy.special import expit

from umbrella.evaluation.results import with_intervals
from umbrella.evaluation.statistics.measures import ACCURACY
from umbrella.evaluation.statistics.notation import number, percent
from umbrella.evaluation.statistics.selective import area_under_risk, choose_threshold, risk_by_coverage, surest
from umbrella.evaluation.uncertainty.label_answers import LabelAnswers
from umbrella.evaluation.verdicts import say_interval, say_rows

COVERAGES = (0.8, 0.9)
MOST_POINTS = 200  # of a curve in metrics.json


def describe_order(answers: LabelAnswers, n_resamples: int, seed: int) -> dict:
    """Risk by coverage of the evaluated rows, from the surest on; nothing is fitted."""

    def measure(rows: np.ndarray) -> dict[str, float]:
        return area_under_risk(answers.confidence[rows], answers.wrong[rows])

    areas = with_intervals(measure, answers.subjects, n_resamples, seed)
    right, every = ~answers.wrong, np.full(len(answers.true), True)
    at = {}
    for share in COVERAGES:
        given = surest(answers.confidence, share)
        at[f"{share:g}"] = {"coverage": float(given.mean()), "accuracy": answers.count(given, right)}
    risks = risk_by_coverage(answers.confidence, answers.wrong)
    points = np.unique(np.linspace(0, len(risks) - 1, MOST_POINTS).round().astype(int))
    curve = {"coverage": ((points + 1) / len(risks)).tolist(), "risk": risks[points].tolist()}
    entry = {**areas, "outcome": _judge_order(areas), "at": at, "all": answers.count(every, right), "curve": curve}
    return {"sentences": [_say_order(entry, answers), _say_coverages(entry)], **entry}


def _judge_order(areas: dict) -> str:
    if areas["random"]["value"] in (0.0, 1.0):
        return "no order"
    low, high = areas["gain"]["interval"] or (-1.0, 1.0)
    return "tells" if low > 0 else "misleads" if high < 0 else "cannot tell"


def _say_order(entry: dict, answers: LabelAnswers) -> str:
    n_wrong = int(answers.wrong.sum())
    if entry["outcome"] == "no order":
        every = "No answer is" if not n_wrong else "All answers are"
        return f"{every} wrong, so whether the model is surer where it is right cannot be known."
    start = {
        "tells": "The model is surer where it is right",
        "misleads": "The model is surer where it is wrong",
        "cannot tell": "Too few rows to tell whether the model is surer where it is right",
    }[entry["outcome"]]
    aurc, ends = entry["aurc"], entry["aurc"]["interval"]
    interval = f"95 % interval {number(ends[0])} to {number(ends[1])}" if ends else "no interval"
    return (
        f"{start}: the area under risk by coverage is {number(aurc['value'])} ({interval}), "
        f"{number(entry['random']['value'])} in a random order, {number(entry['best']['value'])} if the {n_wrong} "
        f"that are wrong came last (excess {number(entry['excess']['value'])})."
    )


def _say_coverages(entry: dict) -> str:
    shares = {"all rows": entry["all"]}
    shares |= {f"the surest {percent(at['coverage'])}": at["accuracy"] for at in reversed(entry["at"].values())}
    parts = [
        f"{percent(share['value'])} of {name} ({say_interval(share['interval'], ACCURACY)}, {say_rows(share)})"
        for name, share in shares.items()
    ]
    return f"Right are {', '.join(parts)}."


def describe_abstention(answers: LabelAnswers, fitted_on: LabelAnswers | None, most_risk: float | None) -> dict:
    """The threshold of --abstain_at, chosen on `fitted_on`, and what comes of it on the evaluated rows.

    threshold  {"log_odds", "probability"} of the label that an answer names, at the model's own probabilities: below,
               no answer is given, nor where nothing can be read
    """
    if most_risk is None:
        return {"sentences": ["No threshold to abstain was asked for: --abstain_at 0.05 sets one."]}
    if fitted_on is None:
        return {"most_risk": most_risk, "sentences": ["No threshold to abstain could be set: see below."]}
    threshold = choose_threshold(fitted_on.confidence, fitted_on.wrong, most_risk)
    entry: dict = {"most_risk": most_risk, "threshold": None}
    if threshold is None:
        is_none_read = np.isneginf(fitted_on.confidence).all()
        why = "no answer could be read there" if is_none_read else "even its surest answers are wrong more often"
        start = f"No threshold leaves at most {percent(most_risk)} of the answers wrong on validation"
        return {"sentences": [f"{start} ({say_rows(fitted_on.size)}): {why}."], **entry, "outcome": "no threshold"}
    entry["threshold"] = {"log_odds": threshold, "probability": float(expit(threshold))}
    for name, side in (("validation", fitted_on), ("evaluated", answers)):
        given = side.confidence >= threshold
        entry[name] = {
            "coverage": side.count(np.full(len(given), True), given),
            "risk": side.count(given, side.wrong),
            "risk_of_others": side.count(~given, side.wrong),
        }
    risk = entry["evaluated"]["risk"]
    low, high = risk["interval"] or (0.0, 1.0)
    entry["outcome"] = "kept" if high <= most_risk else "not kept" if low > most_risk else "cannot tell"
    return {"sentences": [_say_abstention(entry)], **entry}


def _say_abstention(entry: dict) -> str:
    most, held, seen = entry["most_risk"], entry["validation"], entry["evaluated"]
    start = (
        f"Below a probability of {entry['threshold']['probability']:.4g} no answer is given: on validation "
        f"{percent(held['risk']['value'])} of the others are wrong ({say_rows(held['risk'])}; {percent(most)} were "
        "allowed)."
    )
    if seen["risk"]["value"] is None:
        return f"{start} Of the evaluated rows none is that sure: no answer is given."
    share, interval = percent(seen["risk"]["value"]), say_interval(seen["risk"]["interval"], ACCURACY)
    given = (
        f"Of the evaluated rows {percent(seen['coverage']['value'])} are answered, {share} of them wrong ({interval}, "
    )
    given += f"{say_rows(seen['risk'])})"
    others = seen["risk_of_others"]
    if others["value"] is not None:
        given += f"; of the others {percent(others['value'])} would be wrong ({say_rows(others)})"
    end = {
        "kept": f"At most {percent(most)} are wrong, by that interval.",
        "not kept": f"More than {percent(most)} are wrong, by that interval: the threshold does not hold here.",
        "cannot tell": f"Too few rows to tell whether more than {percent(most)} are.",
    }[entry["outcome"]]
    return f"{start} {given}. {end}"
