"""Which sequences of a visit one conversation shows, in which order, and how many a visit must have."""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from umbrella.cohort.shared.findings import Finding
from umbrella.cohort.shared.visits import CohortError, Exclusions, NoScansError, Visit
from umbrella.files.studies import describe_sequences, find_modality

ORDERS = ("fixed", "drawn")


@dataclass(frozen=True)
class Study:
    """The flags of a study.

    sequences  names as BIDS' suffixes, in the order in which they are shown
    is_drawn   whether each conversation shows them in an order of its own
    least      a visit with fewer is left out
    """

    sequences: tuple[str, ...]
    is_drawn: bool = False
    least: int = 1

    def order(self, seed: int, task_id: str) -> list[str]:
        """The order of a conversation."""
        ordered = list(self.sequences)
        if self.is_drawn:
            random.Random(f"{seed} order {task_id}").shuffle(ordered)
        return ordered

    def is_enough(self, visit: Visit, exclusions: Exclusions) -> bool:
        """Whether the visit has as many as it must have; else it is counted: `no scan`, `too few sequences`."""
        found = [name for name in self.sequences if name in visit.scans]
        if not found:
            exclusions.add_visit(visit, "no scan", f"none of {', '.join(self.sequences)}")
        elif len(found) < self.least:
            detail = f"{', '.join(found)} of {', '.join(self.sequences)}; --least_sequences {self.least}"
            exclusions.add_visit(visit, "too few sequences", detail)
        return len(found) >= max(self.least, 1)

    def describe(self, visits: Sequence[Visit]) -> Finding:
        """In how many visits each sequence is. Raises NoScansError for one that is in none: all would be told that
        they lack it."""
        counts = {name: sum(name in visit.scans for visit in visits) for name in self.sequences}
        for name, n in counts.items():
            if not n:
                others = ", ".join(f"{other} in {m}" for other, m in counts.items() if other != name)
                raise NoScansError(
                    f"--modalities_of_visit: expected each sequence in some visit, found no {name} in any of "
                    f"{len(visits)} ({others}). Leave it out, or correct the name: --dry_run lists what is there"
                )
        said = ", ".join(f"{name} in {n}" for name, n in counts.items())
        advice = ("--least_sequences", "--least_sequences N leaves out visits with fewer")
        return Finding("sequences", f"{said} of {len(visits)} visits; of those a visit lacks it is said", (advice,))


def make_study(names: Iterable[str], order: str, least: int) -> Study | None:
    """The study of the flags; None where no sequences are named. Raises CohortError for names that are not known, and
    for too few of them."""
    names = tuple(names)
    if not names:
        return None
    unknown = [name for name in names if find_modality(name) is None]
    if unknown:
        near = [name for name in describe_sequences().split(", ") if name.lower() == unknown[0].lower()]
        remedy = f". Write {near[0]}" if near else ""
        raise CohortError(
            f"--modalities_of_visit: expected some of {describe_sequences()}, found {unknown[0]}{remedy}"
        )
    if len(names) < 2 or len(set(names)) < len(names):
        raise CohortError(
            f"--modalities_of_visit: expected two sequences or more, each once, found {', '.join(names)}. One alone "
            "is taken by --suffixes sMRI=SUFFIX"
        )
    if least > len(names):
        raise CohortError(f"--least_sequences: expected at most {len(names)}, as many are named, found {least}")
    return Study(names, order == "drawn", least)
