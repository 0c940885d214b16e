"""A row's true label beside its own answer, which kind of target its metadata state, and the error that names it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

STORED_KINDS = {"categorical": "classification", "numeric": "regression"}  # metadata.target_type → task


@dataclass(frozen=True, slots=True)
class LabelledAnswer:
    """A row's true label, its own last answer, and what its metadata say of the target and of a reference's label."""

    source: str
    label: str
    answer: str
    target_type: str | None = None
    unit: str | None = None
    reference: str | None = None

    @classmethod
    def of_metadata(cls, source: str, answer: str, metadata: Mapping) -> "LabelledAnswer":
        """From a conversation's metadata as its file holds them, subject_label among them; what is no text or empty
        states nothing."""
        names = {"target_type": "target_type", "unit": "unit", "reference_label": "reference"}
        stored = {to: value for name, to in names.items() if isinstance(value := metadata.get(name), str) and value}
        return cls(source, metadata["subject_label"], answer, **stored)

    @property
    def kind(self) -> str | None:
        """The task that the stored target_type means; None where it states none."""
        return STORED_KINDS.get(self.target_type)


class AnswerError(ValueError):
    """Labels or answers that cannot be scored, with the row."""

    def __init__(self, source: str, field: str, expected: str, found: str, remedy: str) -> None:
        super().__init__(f"{source}: {field}: expected {expected}, found {found}. {remedy}")
        self.source, self.field, self.expected, self.found = source, field, expected, f"{found}. {remedy}"


def split_kinds(rows: Sequence[LabelledAnswer]) -> list[list[LabelledAnswer]]:
    """The rows by the kind of target that is stored; all as one where not both kinds are, as one task's are."""
    groups: dict[str | None, list[LabelledAnswer]] = {}
    for row in rows:
        groups.setdefault(row.kind, []).append(row)
    return list(groups.values()) if set(STORED_KINDS.values()) <= groups.keys() else [list(rows)]
