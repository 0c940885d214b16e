"""Rows that were shown another person's scan: two rows that share a person are not independent.

A scan that the model takes for a woman's is wrong in each row that it was lent to, and a donor is chosen by its
label: without this, a model that reads scans and knows nothing is "worse" under exchange in 17 to 25 % of tests.
"""

from collections.abc import Hashable, Sequence

import numpy as np
from scipy import sparse

from umbrella.evaluation.statistics.intervals import number_subjects

LEAST = 0.1  # of the subjects' own variance: what pairs of rows add may also come out below 0
AT_ONCE = 500  # sign patterns, which bounds the memory


class SharedPeople:
    """The variance of the sum of paired differences, one a row, over pairs of rows which share a person.

    About 0, as it is where there is no difference (Fafchamps and Gubert 2007, Journal of Development Economics
    83:326).
    """

    def __init__(
        self, differences: Sequence[float] | np.ndarray, subjects: Sequence[Hashable], donors: Sequence[Hashable]
    ) -> None:
        differences = np.asarray(differences, float)
        people = number_subjects([*subjects, *donors]).reshape(2, -1)
        n_people, rows = int(people.max()) + 1, number_subjects(subjects)
        own, lent = people
        apart = own != lent
        couples = np.unique(np.sort(people[:, apart], axis=0), axis=1, return_inverse=True)[1].ravel()
        self.are_any = bool(apart.any())
        self.by_subject = np.bincount(rows, differences)
        # Subject x person, and subject x two persons: the rows that share both are in two of the sums of persons.
        touched = np.concatenate([differences, differences[apart]])
        places = np.concatenate([rows, rows[apart]]), np.concatenate([own, lent[apart]])
        n_subjects = len(self.by_subject)
        self._touched = sparse.csr_array((touched, places), (n_subjects, n_people))
        self._twice = sparse.csr_array(
            (differences[apart], (rows[apart], couples)), (n_subjects, int(couples.max(initial=0)) + 1)
        )

    @property
    def own_variance(self) -> float:
        """That of the subjects alone."""
        return float(self.by_subject @ self.by_subject)

    def variances(self, signs: np.ndarray) -> np.ndarray:
        """(n, subjects) signs of the subjects' differences → (n,) variances of their sums, `LEAST` at least."""
        found = [
            ((self._touched.T @ part.T) ** 2).sum(axis=0) - ((self._twice.T @ part.T) ** 2).sum(axis=0)
            for part in np.array_split(signs, -(-len(signs) // AT_ONCE))
        ]
        return np.maximum(np.concatenate(found), LEAST * self.own_variance)

    def standardize(self, signs: np.ndarray) -> np.ndarray:
        """(n, subjects) signs → (n,) sizes of the sums in units of their spread."""
        return np.abs(signs @ self.by_subject) / np.sqrt(self.variances(signs))


def measure_dependence(
    differences: Sequence[float] | np.ndarray, subjects: Sequence[Hashable], donors: Sequence[Hashable] | None = None
) -> float:
    """By what factor rows that share a donor raise the variance of the sum over that of its subjects.

    1 at least: an interval is made no narrower by it.
    """
    if donors is None:
        return 1.0
    shared = SharedPeople(differences, subjects, donors)
    if not shared.own_variance:
        return 1.0
    return max(1.0, float(shared.variances(np.ones((1, len(shared.by_subject))))[0] / shared.own_variance))
