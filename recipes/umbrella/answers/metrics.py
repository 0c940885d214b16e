"""From answers to numbers: classification and regression, by scikit-learn and scipy. For free text see text_metrics.

An answer from which nothing can be read is None. It counts as wrong and stays in every denominator.
"""

import warnings
from collections import Counter
from collections.abc import Sequence

import numpy as np
import sklearn
from scipy.stats import pearsonr
from sklearn.metrics import (
    accuracy_score,
    brier_score_loss,
    confusion_matrix,
    mean_absolute_error,
    precision_recall_fscore_support,
    r2_score,
    roc_auc_score,
    root_mean_squared_error,
)

N_BINS = 10  # of the confidence, equally wide, for the calibration error


def confusion(parsed: Sequence[str | None], expected: Sequence[str], labels: Sequence[str]) -> np.ndarray:
    """Counts (true labels, named labels + 1): a row for each label, the last column for unparseable answers."""
    predicted, true = encode(parsed, labels), encode(expected, labels)
    return confusion_matrix(true, predicted, labels=range(len(labels) + 1))[: len(labels)]


def encode(values: Sequence[str | None], labels: Sequence[str]) -> np.ndarray:
    """Labels as their indices; all else as len(labels)."""
    index = {label: i for i, label in enumerate(labels)}
    return np.array([index.get(value, len(labels)) for value in values])


def classification_metrics(
    true: np.ndarray, predicted: np.ndarray, labels: Sequence[str], probabilities: np.ndarray | None = None
) -> dict:
    """Metrics of a classification, as {name: number}; those that are undefined are absent, see `explain_undefined`.

    true           (n,) indices of the true labels
    predicted      (n,) indices of the labels named; len(labels) where an answer is unparseable
    probabilities  (n, len(labels)) of each label, or None

    accuracy, balanced_accuracy, macro_f1; sensitivity_L (of the rows of label L, the share answered with L) and
    specificity_L (of the others, the share answered with another label; an unparseable answer is wrong here too). From
    probabilities: accuracy_scored (the likeliest label), auroc (of the second label when there are two, else the mean
    of each against the rest), brier (in [0, 1] for two labels, the squared error summed over more), and ece, the
    expected calibration error of the likeliest label in ten equal bins (Guo et al. 2017).
    """
    with sklearn.config_context(assume_finite=True, skip_parameter_validation=True):
        _, recall, f1, support = precision_recall_fscore_support(
            true, predicted, labels=range(len(labels)), zero_division=0
        )
        present = support > 0
        metrics = {
            "accuracy": float(accuracy_score(true, predicted)),
            "balanced_accuracy": float(recall[present].mean()),
            "macro_f1": float(f1.mean()),
        }
        for index, label in enumerate(labels):
            others = predicted[true != index]
            if present[index]:
                metrics[f"sensitivity_{label}"] = float(recall[index])
            if len(others):
                metrics[f"specificity_{label}"] = float(((others != index) & (others < len(labels))).mean())
        return metrics if probabilities is None else metrics | _score_probabilities(true, probabilities, present)


def _score_probabilities(true: np.ndarray, probabilities: np.ndarray, present: np.ndarray) -> dict:
    n_labels = probabilities.shape[1]
    metrics = {
        "accuracy_scored": float((probabilities.argmax(axis=1) == true).mean()),
        "brier": float(
            brier_score_loss(true == 1, probabilities[:, 1])
            if n_labels == 2
            else brier_score_loss(true, probabilities, labels=range(n_labels), scale_by_half=False)
        ),
        "ece": expected_calibration_error(true, probabilities),
    }
    if n_labels == 2 and present.all():
        metrics["auroc"] = float(roc_auc_score(true == 1, probabilities[:, 1]))
    elif n_labels > 2 and present.all():
        metrics["auroc"] = float(roc_auc_score(true, probabilities, multi_class="ovr", labels=range(n_labels)))
    return metrics


def calibration_bins(true: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each of ten bins of the likeliest label's probability: number of rows, mean probability, share right."""
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == true
    bins = np.minimum((confidence * N_BINS).astype(int), N_BINS - 1)
    counts = np.bincount(bins, minlength=N_BINS)
    filled = np.maximum(counts, 1)
    return (
        counts,
        np.bincount(bins, confidence, minlength=N_BINS) / filled,
        np.bincount(bins, right, minlength=N_BINS) / filled,
    )


def expected_calibration_error(true: np.ndarray, probabilities: np.ndarray) -> float:
    """The mean distance between the likeliest label's probability and how often it is right, over ten bins."""
    counts, confidence, right = calibration_bins(true, probabilities)
    return float(counts @ np.abs(confidence - right) / counts.sum())


def explain_undefined(true: np.ndarray, labels: Sequence[str], has_probabilities: bool) -> dict[str, str]:
    """Why metrics are absent: {name: reason}."""
    absent = [label for i, label in enumerate(labels) if not (true == i).any()]
    reasons = {f"sensitivity_{label}": f"no row has the label {label!r}" for label in absent}
    if len(set(true.tolist())) == 1:
        only = labels[true[0]]
        reasons[f"specificity_{only}"] = f"all rows have the label {only!r}"
    if has_probabilities and absent:
        reasons["auroc"] = f"needs rows of each label; none has {', '.join(map(repr, absent))}"
    return reasons


def majority_vote(
    subjects: Sequence[str], parsed: Sequence[str | None], expected: Sequence[str]
) -> tuple[list[str | None], list[str]] | None:
    """One vote a subject, (named labels, true labels): the label that most of its rows name, None at a tie.

    None where rows of one subject have different true labels, so that a subject has no single truth.
    """
    votes, truths = {}, {}
    for subject, label, truth in zip(subjects, parsed, expected, strict=True):
        if truths.setdefault(subject, truth) != truth:
            return None
        votes.setdefault(subject, Counter())[label] += 1
    named = []
    for counts in votes.values():
        first, *others = counts.most_common(2)
        named.append(None if others and others[0][1] == first[1] else first[0])
    return named, list(truths.values())


def fill_unread(
    predicted: Sequence[float | None], expected: Sequence[float] | np.ndarray, among: Sequence[float] | np.ndarray
) -> np.ndarray:
    """Answered numbers; for an unparseable one, the largest error that a number in the range of true values can have.

    among  all true values of the evaluated rows, whose range it is
    """
    low, high = min(among), max(among)
    return np.array(
        [
            (low if truth - low > high - truth else high) if value is None else value
            for value, truth in zip(predicted, expected, strict=True)
        ],
        float,
    )


def absolute_errors(
    predicted: Sequence[float | None], expected: Sequence[float], among: Sequence[float]
) -> np.ndarray:
    """(n,) distances of answered from true numbers, see `fill_unread`."""
    return np.abs(fill_unread(predicted, expected, among) - np.asarray(expected, float))


def regression_metrics(
    predicted: Sequence[float | None],
    expected: Sequence[float] | np.ndarray,
    among: Sequence[float] | np.ndarray | None = None,
) -> dict[str, float | None]:
    """mae, rmse, r2 and pearson_r; r2 is None where all true numbers are equal, and pearson_r there and where no two
    different numbers could be read, see `explain_unknown`.

    An unparseable answer counts as `fill_unread` says; `among` is the true numbers whose range it goes by, else these.
    """
    expected = np.asarray(expected, float)
    unknown = explain_unknown(predicted, expected)
    predicted = fill_unread(predicted, expected, expected if among is None else among)
    metrics: dict[str, float | None] = {
        "mae": float(mean_absolute_error(expected, predicted)),
        "rmse": float(root_mean_squared_error(expected, predicted)),
    }
    metrics["r2"] = None if "r2" in unknown else float(r2_score(expected, predicted))
    metrics["pearson_r"] = None
    if "pearson_r" not in unknown:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # nearly constant input: the number stands beside its interval
            metrics["pearson_r"] = float(pearsonr(expected, predicted).statistic)
    return metrics


def explain_unknown(predicted: Sequence[float | None], expected: Sequence[float] | np.ndarray) -> dict[str, str]:
    """Why metrics of numbers are not known: {name: reason}. Numbers that stand in for unread answers correlate with
    the truth by the way they are chosen, so at least two that were read must differ."""
    if min(expected) == max(expected):
        reason = "all true numbers are one and the same"
        return {"r2": reason, "pearson_r": reason}
    read = {value for value in predicted if value is not None}
    if len(read) > 1:
        return {}
    found = "no answer could be read as a number"
    return {"pearson_r": found if not read else "all answers that could be read are one and the same number"}
