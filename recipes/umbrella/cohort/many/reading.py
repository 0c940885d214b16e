"""How the answers to many scans are read: as flags say, as the model's training recorded it, or as its evaluation."""

from dataclasses import dataclass
from typing import Any

from umbrella.answers.label_parsing import PLACE
from umbrella.answers.numbers import NumberFormat
from umbrella.answers.own_answers import check_labels_apart
from umbrella.answers.reading import LabelReading, NumberReading
from umbrella.answers.recorded_answers import find_recorded_answers
from umbrella.cohort.many.arguments import ManyArguments
from umbrella.records.trained_questions import TrainedQuestions

EMPTY = "the columns label, number and probability stay empty"
REMEDY = "--labels male,female looks for these"


@dataclass(frozen=True)
class AnswerReading:
    """How answers are read: as one of several labels, each of which is also scored as the answer that `template` makes
    of it; as a number; or not at all."""

    reading: LabelReading | NumberReading | None = None
    template: str = PLACE

    @property
    def labels(self) -> tuple[str, ...]:
        """None where answers are no labels."""
        return self.reading.labels if isinstance(self.reading, LabelReading) else ()

    @property
    def candidates(self) -> list[str]:
        """The answers whose likelihood is wanted."""
        return [self.template.replace(PLACE, label) for label in self.labels]

    def to_dict(self) -> dict[str, Any] | None:
        """As JSON has it."""
        template = {"answer_template": self.template} if self.labels else {}
        return None if self.reading is None else {**self.reading.to_dict(), **template}


def choose_reading(
    asked: ManyArguments, trained: TrainedQuestions | None, model: str
) -> tuple[AnswerReading, list[str]]:
    """How answers are read, and what that was told from. Raises ValueError for labels that cannot be told apart."""
    found, origin = find_recorded_answers(trained, model)
    if asked.labels is not None:
        return _of_flags(asked, found)
    if asked.answer_template is not None and (found or {}).get("task") != "classification":
        raise ValueError("--answer_template: expected --labels too, as no labels are recorded, found none")
    if found is None or found["task"] == "text":
        return AnswerReading(), [f"answers: {origin}: {EMPTY}; {REMEDY}"]
    if found["task"] == "regression":
        reading = NumberReading(found["unit"], NumberFormat(found["decimal"], found["thousands"]))
        return AnswerReading(reading), [
            f"answers: a number{f' of {reading.unit}' if reading.unit else ''}, by {origin}"
        ]
    labels = LabelReading(tuple(found["labels"]), tuple(found["forms"]))
    template = asked.answer_template or found["answer_template"]
    told = f"answers: {' or '.join(labels.labels)}, probabilities of {template!r}, by {origin}"
    return AnswerReading(labels, template), [told]


def _of_flags(asked: ManyArguments, found: dict[str, Any] | None) -> tuple[AnswerReading, list[str]]:
    reading = LabelReading(tuple(asked.labels))
    if len(set(reading.labels)) < 2:
        raise ValueError(f"--labels: expected at least two labels, found {', '.join(asked.labels) or 'none'}")
    recorded = (found or {}).get("answer_template")
    template = asked.answer_template or recorded or PLACE
    check_labels_apart(reading, template, [], is_asked_for=True)
    told = [f"answers: {' or '.join(reading.labels)}, by --labels; probabilities of {template!r}"]
    if not (asked.answer_template or recorded):
        told.append(f"WARNING: the model may never have answered {PLACE} alone: --answer_template 'It is {PLACE}.'")
    return AnswerReading(reading, template), told
