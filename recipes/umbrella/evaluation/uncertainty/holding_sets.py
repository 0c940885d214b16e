"""Sets of labels that hold the true one in a promised share of rows."""

import numpy as np
from scipy.special import expit

from umbrella.evaluation.statistics.conformal import (
    least_subjects,
    luck_of_the_draw,
    quantile_over_subjects,
    share_of_subjects,
)
from umbrella.evaluation.statistics.measures import ACCURACY
from umbrella.evaluation.statistics.notation import number, percent
from umbrella.evaluation.uncertainty.label_answers import LabelAnswers, count_share
from umbrella.evaluation.verdicts import say_interval, say_rows


def describe_sets(answers: LabelAnswers, fitted_on: LabelAnswers | None, level: float) -> dict:
    """Of each row the labels that are at least as likely as the threshold that `fitted_on` sets (LAC: Sadinle, Lei and
    Wasserman 2019, Journal of the American Statistical Association 114:223), and how often the truth is among them.

    threshold  {"log_odds", "probability"} at the model's own probabilities, no temperature: one that was fitted on the
               same rows would cost the promise
    """
    if fitted_on is None:
        return {"level": level, "sentences": ["No sets of labels could be set: see below."]}
    of_true = fitted_on.log_odds[np.arange(len(fitted_on.true)), fitted_on.true]
    quantile = quantile_over_subjects(-of_true, fitted_on.subjects, level)
    n_held = fitted_on.size["n_subjects"]
    entry: dict = {"level": level, "n_subjects": n_held, "threshold": None}
    if np.isinf(quantile):
        return {"sentences": [say_too_few(level, n_held, "sets of labels")], **entry}
    entry["threshold"] = {"log_odds": -quantile, "probability": float(expit(-quantile))}
    sets = -answers.log_odds <= quantile
    held, sizes = sets[np.arange(len(answers.true)), answers.true], sets.sum(axis=1)
    alone = sizes == 1
    entry |= describe_held(held, answers.subjects, level, n_held)
    entry |= {
        "by_label": {label: answers.count(answers.true == i, held) for i, label in enumerate(answers.labels)},
        "sizes": {str(size): int(n) for size, n in enumerate(np.bincount(sizes, minlength=len(answers.labels) + 1))},
        "mean_size": float(sizes.mean()),
        "alone": answers.count(alone, held),
    }
    return {"sentences": [_say_sets(entry, sizes)], **entry}


def describe_held(held: np.ndarray, subjects: list[str], level: float, n_fitted: int) -> dict:
    """How often truths are held, beside what was promised.

    coverage              of the rows
    coverage_of_subjects  each subject counts once, as in the promise; where one has several rows
    luck                  within which shares a draw of so many validation subjects leaves it in 95 % of draws
    outcome               "less" than that, "more", or "as promised", by the interval of the coverage of subjects
    """
    coverage, luck = count_share(held, subjects), luck_of_the_draw(n_fitted, level)
    entry: dict = {"coverage": coverage, "luck": luck}
    if coverage["n"] > coverage["n_subjects"]:
        shares = share_of_subjects(held, subjects)
        entry["coverage_of_subjects"] = count_share(shares, range(len(shares)))
    low, high = entry.get("coverage_of_subjects", coverage)["interval"]
    entry["outcome"] = "less" if high < luck[0] else "more" if low > luck[1] else "as promised"
    return entry


def say_too_few(level: float, n_subjects: int, what: str) -> str:
    """That the level cannot be promised, and how many subjects could, or which level."""
    most = n_subjects / (n_subjects + 1)
    return (
        f"Too few validation subjects for {what} that hold {percent(level)}: {n_subjects}, at least "
        f"{least_subjects(level)} are needed. Of so few {percent(most)} is the most: --conformal_level {_floor(most)}."
    )


def _floor(share: float) -> str:
    return f"{np.floor(share * 100) / 100:.2f}"


def say_held(entry: dict) -> str:
    """The coverage beside the promise."""
    coverage, (low, high) = entry["coverage"], entry["luck"]
    end = {
        "less": "That is less than the draw explains: the splits' subjects differ.",
        "more": "That is more than the draw explains: the splits' subjects differ.",
        "as promised": "That agrees with the promise.",
    }[entry["outcome"]]
    of_subjects = entry.get("coverage_of_subjects")
    also = f"; each subject counted once {percent(of_subjects['value'])}" if of_subjects else ""
    return (
        f"{percent(entry['level'])} were to be held, which by the luck of {entry['n_subjects']} validation subjects "
        f"is {percent(low)} to {percent(high)}; of the evaluated rows {percent(coverage['value'])} are "
        f"({say_interval(coverage['interval'], ACCURACY)}, {say_rows(coverage)}{also}). {end}"
    )


def _say_sets(entry: dict, sizes: np.ndarray) -> str:
    alone, n = entry["alone"], len(sizes)
    single = f"a single label in {percent(float((sizes == 1).mean()))} of the rows"
    if alone["value"] is not None:
        single += f", the true one in {percent(alone['value'])} of those"
    empty = (
        f", none in {percent(entry['sizes']['0'] / n)}, where no label is likely enough" if entry["sizes"]["0"] else ""
    )
    several = f"several in {percent(float((sizes > 1).mean()))}"
    end = " The model alone is right more often than that: sets ask for a higher --conformal_level." if empty else ""
    return (
        f"Sets of labels with a probability of {entry['threshold']['probability']:.4g} or more hold "
        f"{number(entry['mean_size'])} on average: {single}, {several}{empty}. Of the truths {say_held(entry)}{end}"
    )
