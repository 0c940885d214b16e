"""What was inferred about a cohort, and advice: every sentence that names a flag to the user goes through here."""

from collections.abc import Sequence
from dataclasses import dataclass

Remedies = Sequence[tuple[str, str]]  # (the flag, what to do with it: "--stratify none for none")


@dataclass(frozen=True)
class Finding:
    """Something inferred or stated, what it was told from, and the flags that decide otherwise."""

    what: str
    evidence: str
    otherwise: Remedies = ()
    is_stated: bool = False  # by a flag, which leaves nothing to infer

    def to_line(self, given: frozenset[str]) -> str:
        """ "inferred  age: …", or "stated    age: …" for what a flag says."""
        advice = advise(given, self.otherwise)
        how = "stated" if self.is_stated else "inferred"
        return f"{how:<10}{self.what}: {self.evidence}" + (f"; {advice}" if advice else "")


def advise(given: frozenset[str], remedies: Remedies) -> str:
    """The remedies whose flags were not given already, as one clause; "" where none is left."""
    return ", or ".join(text for flag, text in remedies if flag not in given)
