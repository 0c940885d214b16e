"""Net benefit of acting on a probability (Vickers and Elkin 2006, Medical Decision Making 26:565), by subjects.

Who acts from a threshold probability t on weighs a false positive t / (1 - t) times as heavily as a true positive. The
net benefit is true positives less weighed false positives, per row: that of acting on nobody is 0, that of acting on
everybody the share of positives less the weighed share of the others. The curve of all t is the decision curve.
"""

from collections.abc import Hashable, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from umbrella.evaluation.statistics.differences import estimate, subtract
from umbrella.evaluation.statistics.intervals import LEVEL, ROUNDING, number_subjects
from umbrella.evaluation.statistics.measures import ACCURACY

THRESHOLDS = tuple(round(0.05 * i, 2) for i in range(1, 20))


@dataclass(frozen=True)
class DecisionCurve:
    """Net benefits at each threshold. Of a single subject there are no intervals, and nothing is shown.

    model, treat_all  of acting on those whose probability is the threshold or more, and on everybody
    intervals         95 % of `model`, each on its own
    is_useful         whether the model is shown to be better than acting on everybody and on nobody: by the interval
                      of each difference, and by a bootstrap's that hold at all thresholds together
    """

    thresholds: tuple[float, ...]
    prevalence: float
    model: list[float]
    treat_all: list[float]
    intervals: list[tuple[float, float]] | None
    is_useful: list[bool]

    def to_dict(self) -> dict:
        return asdict(self)


def make_decision_curve(
    is_positive: Sequence[bool] | np.ndarray,
    probabilities: Sequence[float] | np.ndarray,
    subjects: Sequence[Hashable],
    n_resamples: int = 1000,
    seed: int = 0,
) -> DecisionCurve:
    """The decision curve of (n,) truths and probabilities of being positive, at `THRESHOLDS`."""
    truths, codes = np.asarray(is_positive, bool), number_subjects(subjects)
    thresholds = np.array(THRESHOLDS)
    weights = thresholds / (1 - thresholds)
    acted = np.asarray(probabilities, float)[:, None] >= thresholds  # (n, thresholds)
    everybody = np.where(truths[:, None], 1.0, -weights)  # what acting on a row brings
    by_row = np.concatenate([acted * everybody, (acted - 1.0) * everybody], axis=1)  # above acting on nobody, on all
    model, above_all = np.split(by_row.mean(axis=0), 2)
    intervals, is_useful = None, np.full(len(thresholds), False)
    if codes.max() > 0:
        pairs = [_find_intervals(truths, acted[:, i], codes, weight) for i, weight in enumerate(weights)]
        intervals = [of_model for of_model, _ in pairs]
        alone = np.array([min(of_model[0], above[0]) for of_model, above in pairs])
        together = _lower_ends(by_row, codes, n_resamples, seed).reshape(2, -1).min(axis=0)
        is_useful = np.minimum(alone, together) > 0
    treat_all = model - above_all
    return DecisionCurve(
        THRESHOLDS, float(truths.mean()), model.tolist(), treat_all.tolist(), intervals, is_useful.tolist()
    )


def _find_intervals(
    truths: np.ndarray, acted: np.ndarray, codes: np.ndarray, weight: float
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Of the net benefit, and of what it is above that of acting on everybody, at one threshold.

    From the intervals of the shares of true and false positives: resamples of rows without a false positive have none
    either, and at high thresholds a bootstrap's interval covers a few per cent where it says 95.
    """
    every = np.full(len(truths), True)
    shares = (acted & truths, acted & ~truths, ~acted & ~truths, ~acted & truths)
    found = [estimate(ACCURACY, share.astype(float), every, codes) for share in shares]
    true_positive, false_positive, true_negative, false_negative = (one for one in found if one is not None)
    return (
        subtract(true_positive, false_positive.scale(weight)),
        subtract(true_negative.scale(weight), false_negative),
    )


def _lower_ends(by_row: np.ndarray, codes: np.ndarray, n_resamples: int, seed: int) -> np.ndarray:
    """The lower ends of 95 % intervals of the means of (n, values) that hold together: by the largest studentised
    distance of resamples of subjects.

    A mean that is the same in all resamples is not known any better for that: its end is -inf.
    """
    rows = np.bincount(codes)
    n_subjects, values = len(rows), by_row.mean(axis=0)
    sums = np.zeros((n_subjects, by_row.shape[1]))
    np.add.at(sums, codes, by_row)
    counts = np.random.default_rng(seed).multinomial(n_subjects, np.full(n_subjects, 1 / n_subjects), n_resamples)
    drawn = counts @ sums / (counts @ rows)[:, None]
    spread = drawn.std(axis=0)
    known = spread > ROUNDING
    if not known.any():
        return np.full(len(values), -np.inf)
    farthest = (np.abs(drawn - values)[:, known] / spread[known]).max(axis=1)
    outer = np.percentile(farthest, 100 * LEVEL) * np.sqrt(n_subjects / (n_subjects - 1))
    return np.where(known, values - outer * spread, -np.inf)
