"""Answers that are labels, as the numbers that their sureness is judged by."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from umbrella.answers.metrics import encode
from umbrella.evaluation.statistics.intervals import share_interval
from umbrella.evaluation.statistics.temperature import to_log_odds


@dataclass(frozen=True)
class LabelAnswers:
    """Rows that were answered with one of several labels.

    log_likelihoods  (n, labels)
    true, named      (n,) indices of the true labels and of those that the answers name; the number of labels where
                     nothing could be read
    """

    subjects: list[str]
    labels: list[str]
    log_likelihoods: np.ndarray
    true: np.ndarray
    named: np.ndarray

    @classmethod
    def of_records(cls, records: Sequence[dict], subjects: list[str], labels: list[str]) -> "LabelAnswers":
        """From lines of predictions.jsonl."""
        by_label = [[record["log_likelihoods"][label] for label in labels] for record in records]
        true, named = (encode([r[key] for r in records], labels) for key in ("expected_label", "parsed_label"))
        return cls(subjects, labels, np.array(by_label, float), true, named)

    @cached_property
    def log_odds(self) -> np.ndarray:
        """(n, labels) of each label."""
        return to_log_odds(self.log_likelihoods)

    @cached_property
    def confidence(self) -> np.ndarray:
        """(n,) log-odds of the label that the answer names; -inf where none could be read: it gives no answer."""
        with_none = np.column_stack([self.log_odds, np.full(len(self.true), -np.inf)])
        return with_none[np.arange(len(self.true)), self.named]

    @cached_property
    def wrong(self) -> np.ndarray:
        """(n,) whether the answer names another label than the true one, or none."""
        return self.named != self.true

    @property
    def size(self) -> dict[str, int]:
        return {"n": len(self.subjects), "n_subjects": len(set(self.subjects))}

    def count(self, rows: np.ndarray, hits: np.ndarray) -> dict:
        """The share of hits (n,) among some of the rows (n,), with its interval by subjects; None of no row."""
        return count_share(hits[rows], [self.subjects[i] for i in np.flatnonzero(rows)])


def count_share(hits: np.ndarray, subjects: Sequence[Hashable]) -> dict:
    """{"value", "interval", "n", "n_subjects"} of a share of rows; value and interval are None of no row."""
    if not len(hits):
        return {"value": None, "interval": None, "n": 0, "n_subjects": 0}
    interval = share_interval(hits, subjects)
    return {"value": float(np.mean(hits)), "interval": interval, "n": len(hits), "n_subjects": len(set(subjects))}
