"""What every step of making conversations about a cohort shares: visits, exclusions, sentences about wrong names."""

import csv
import difflib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from umbrella.records.cohort import Exclusion

# What pandas reads as "no value", BIDS's n/a among them, in lower case. But for None case is ignored: "none" may be an
# answer ("which medication?").
MISSING = frozenset("|#n/a|#n/a n/a|#na|-1.#ind|-1.#qnan|-nan|1.#ind|1.#qnan|<na>|n/a|na|nan|null".split("|"))
MISSING_AS_WRITTEN = "None"


class CohortError(ValueError):
    """What the user asked for does not fit the cohort; the message says how to mend it."""


class ShortageError(CohortError):
    """The cohort holds too little for what was asked: a finding about it, no fault of a flag."""


class NoScansError(ShortageError):
    """No visit has the scans that were asked for. What was left out is worth a look: it says why."""


@dataclass(slots=True)
class Visit:
    """A participant at one session; where a cohort has no sessions, the participant."""

    participant_id: str
    session: str  # without "ses-"; "" where there are no sessions
    values: dict[str, str]  # the table's columns
    scans: dict[str, str] = field(default_factory=dict)  # modality, or sequence → absolute path


class Exclusions:
    """Everything left out so far, and what was inferred on the way.

    contradicting  a visit for each whose rows contradict each other, with the first row's values
    not_chosen     the visits of sessions that were not asked for
    """

    def __init__(self) -> None:
        self.rows: list[Exclusion] = []
        self.notes: list[str] = []  # sentences for the summary
        self.contradicting: list[Visit] = []
        self.not_chosen: list[Visit] = []

    def add(self, reason: str, detail: str, participant_id: str = "", session: str = "") -> None:
        self.rows.append(Exclusion(*map(to_text, (participant_id, session, reason, detail))))

    def add_visit(self, visit: Visit, reason: str, detail: str) -> None:
        self.add(reason, detail, visit.participant_id, visit.session)

    def count_reasons(self) -> Counter[str]:
        return Counter(row.reason for row in self.rows)

    def summarise(self) -> str:
        """ "2 no scan (as sub-01 session 1: no T1w image), 1 no id (as a row: ...)"."""
        examples = {}
        for row in self.rows:
            examples.setdefault(row.reason, row)
        return "; ".join(
            f"{n} {reason} (as {examples[reason].participant_id or 'a row'}"
            f"{f' session {examples[reason].session}' if examples[reason].session else ''}: {examples[reason].detail})"
            for reason, n in self.count_reasons().most_common(3)
        )

    def write(self, path: Path) -> None:
        """Write a table sorted by participant, session, reason; the same exclusions give the same bytes."""
        with open(path, "x", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, delimiter="\t", lineterminator="\n")
            writer.writerow(Exclusion._fields)
            writer.writerows(sorted(self.rows))


def is_text(name: str) -> bool:
    """Whether a file's name is UTF-8: Python keeps other bytes of names as halves of characters, which no file of text
    holds."""
    return to_text(name) == name


def to_text(name: str) -> str:
    """A file's name to show, with \\udcff for a byte ff that is no UTF-8."""
    return name.encode(errors="backslashreplace").decode()


def is_missing(value: str | None) -> bool:
    """Whether a cell holds no value, or a word for none."""
    return value is None or value.strip().lower() in MISSING or value.strip() == MISSING_AS_WRITTEN


def check_column(name: str, columns: Iterable[str], source: str, option: str) -> None:
    """Raises CohortError that shows the nearest names where a table has no such column."""
    columns = list(columns)
    if name not in columns:
        raise CohortError(
            f"{source}: {option}: expected a column of the table, found no {name!r}{suggest(name, columns)}"
        )


def suggest(name: str, known: Iterable[str]) -> str:
    """The nearest of the known names, else all of them, as the end of a sentence."""
    known = list(known)
    by_lower = {other.lower(): other for other in known}
    close = difflib.get_close_matches(name.lower(), by_lower, n=3, cutoff=0.5)
    close += [lower for lower in by_lower if lower not in close and (name.lower() in lower or lower in name.lower())]
    if close:
        return f". Did you mean {' or '.join(by_lower[lower] for lower in close[:3])}?"
    return f". There are: {', '.join(known[:30])}{', ...' if len(known) > 30 else ''}"
