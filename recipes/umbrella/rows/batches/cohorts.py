"""How often the rows of each of several cohorts come: by weights, exact to a row in every epoch."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from datasets import Dataset

from umbrella.options.data.cohort_flags import CohortPlace, share_out
from umbrella.rows.cohort_names import cohorts_of


@dataclass(frozen=True)
class Cohorts:
    """Several cohorts within the rows that are trained on.

    An epoch has as many rows as there are. Each cohort has its share of them (`counts`), and deals its rows from a
    deck: shuffled, gone through to its end, shuffled anew, from epoch to epoch. So of a small cohort each row comes
    several times an epoch, of a large one each once in several epochs, and in any number of epochs no row of a cohort
    comes more than once more often than another of it. What an epoch draws is a function of seed and epoch alone.

    names    of the cohorts
    members  the indices of each one's rows, (n_i,) int64
    weights  the shares, which add up to 1; None: every row once an epoch
    """

    names: tuple[str, ...]
    members: tuple[torch.Tensor, ...]
    weights: tuple[float, ...] | None = None

    @classmethod
    def of(cls, rows: Dataset, places: Sequence[CohortPlace]) -> "Cohorts | None":
        """The cohorts of joined rows, see `umbrella.rows.mixing`; None where there are not several.

        Raises ValueError for a cohort that has none of the rows, and for a weight of which too few rows come.
        """
        if not places:
            return None
        of_rows = torch.from_numpy(cohorts_of(rows, [place.name for place in places]))
        members = tuple((of_rows == number).nonzero().flatten() for number in range(len(places)))
        weighted = [place.weight for place in places if place.weight is not None]
        made = cls(tuple(place.name for place in places), members, tuple(weighted) or None)
        made.check()
        return made

    @property
    def n_rows(self) -> int:
        """Of all cohorts, and of an epoch."""
        return sum(map(len, self.members))

    @property
    def shares(self) -> dict[str, float]:
        """Name → weight; empty where there are none."""
        return {} if self.weights is None else dict(zip(self.names, self.weights, strict=True))

    def check(self) -> None:
        """Raise ValueError for a cohort without rows, or that its weight gives none of an epoch."""
        for name, members, count in zip(self.names, self.members, self.counts(), strict=True):
            if not len(members):
                raise ValueError(
                    f"cohort {name}: expected training rows, found none: it has no split train, or all of its rows "
                    "were left out. Leave it out of --json_dir, or --cohorts, and of the weights"
                )
            if not count:
                raise ValueError(
                    f"cohort {name}: expected a weight that comes to a row an epoch, at least {1 / self.n_rows:.2g} "
                    f"for {self.n_rows} rows; found one of which none does. Give it more, or leave it out"
                )

    def counts(self) -> list[int]:
        """Rows of each cohort in an epoch; they add up to all rows."""
        sizes = [len(members) for members in self.members]
        return sizes if self.weights is None else share_out(sum(sizes), self.weights)

    def draw(self, seed: int, epoch: int) -> torch.Tensor:
        """The indices of an epoch's rows, (n_rows,), shuffled."""
        dealt = [
            deal(members, count, epoch, f"{seed} {name}")
            for name, members, count in zip(self.names, self.members, self.counts(), strict=True)
        ]
        generator = torch.Generator().manual_seed(seed + epoch)
        return torch.cat(dealt)[torch.randperm(self.n_rows, generator=generator)]

    def describe(self) -> str:
        """One line for a person."""
        counts = zip(self.names, self.counts(), strict=True)
        shares = [f"{name} {count} ({count / self.n_rows:.1%})" for name, count in counts]
        return f"cohorts: rows an epoch: {', '.join(shares)}"


def deal(members: torch.Tensor, count: int, epoch: int, key: str) -> torch.Tensor:
    """The places epoch · count to (epoch + 1) · count of endless shuffled decks of the members, (count,)."""
    size, first = len(members), epoch * count
    decks = range(first // size, (first + count - 1) // size + 1) if count else range(0)
    places = [torch.randperm(size, generator=torch.Generator().manual_seed(_hash(f"{key} {deck}"))) for deck in decks]
    start = first - decks.start * size
    return members[torch.cat(places)[start : start + count]] if count else members[:0]


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) >> 1
