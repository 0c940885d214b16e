"""What the rows of a split ask for: one of several labels, a number, or free text; each reads and scores answers."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace

from datasets import Dataset

from umbrella.answers.generation import Answer
from umbrella.answers.label_parsing import PLACE
from umbrella.answers.labelled_rows import read_labelled
from umbrella.answers.own_answers import check_labels_apart, compare_own_answers, find_wording, is_wording_used
from umbrella.answers.reading import LabelReading, NumberReading
from umbrella.answers.scoring import last_text, to_probabilities
from umbrella.answers.selection import check_flags, choose_reading
from umbrella.evaluation.control_scores import compare_labels, compare_numbers, compare_texts
from umbrella.evaluation.results import summarize_classification, summarize_regression, summarize_text
from umbrella.options.arguments import EvalArguments
from umbrella.training.main_process import on_main_process

MOST_WORDED = 2000  # rows of a split whose answers are looked through for a wording


def find_question(rows: Dataset, evaluation: EvalArguments, splits: Mapping[str, Dataset] | None = None) -> "Question":
    """The kind of question that the rows ask, by the flags and their labels; says what it was told from.

    splits  all of the data: few rows may have no wording of the answer in common with every label, more have
    Raises ValueError for labels that do not fit it, that cannot be told apart in an answer, or that most of the rows'
    own answers do not state (unless --task says what they are).
    """
    if evaluation.task == "text":
        check_flags(evaluation, "text")
        return FreeText()
    labelled = read_labelled(rows)
    reading, evidence = choose_reading(labelled, evaluation)
    if isinstance(reading, LabelReading):
        worded = [*labelled, *(row for split in (splits or {}).values() for row in read_labelled(_draw(split)))]
        template = evaluation.answer_template or find_wording(reading, worded)
        if not is_wording_used(template, reading, worded):
            evidence.append(
                f"WARNING: probabilities are of the answer {template!r}, which no row's own answer has: a model may "
                "never have said it. Give one wording of the answers: --answer_template"
            )
        check_labels_apart(reading, template, labelled, evaluation.answer_template is not None)
        question = Classification(reading, template)
    else:
        question = Regression(reading)
    own = compare_own_answers(reading, labelled)
    evidence.append(own.describe())
    on_main_process(print, "\n".join(evidence))
    if evaluation.task == "auto" and not own.do_most_state:
        raise ValueError(
            f"--split {evaluation.split}: expected answers that state their row's subject_label, found "
            f"{own.count_and_show()}. Write the labels as the answers do. Is it free text: --task text. To look for "
            f"these labels all the same: --task {reading.task}"
        )
    return replace(question, told_from=tuple(evidence))


def _draw(rows: Dataset) -> Dataset:
    n = len(rows)
    return rows if n <= MOST_WORDED else rows.select(sorted(random.Random(0).sample(range(n), MOST_WORDED)))


def _describe(row: dict, answer: Answer, prompt: str) -> dict:
    return {
        "task_id": row["task_id"],
        "source": row["source"],
        "subject_id": row["metadata"]["subject_id"],
        "prompt": prompt,
        "answer": last_text(row),
        "prediction": answer.text,
    }


@dataclass(frozen=True)
class Classification:
    """One of the labels; each is scored as the answer that `answer_template` makes of it.

    told_from  sentences for metrics.json: what the task and the labels were told from
    """

    reading: LabelReading
    answer_template: str
    told_from: tuple[str, ...] = ()

    @property
    def labels(self) -> list[str]:
        return list(self.reading.labels)

    def to_dict(self) -> dict:
        return {**self.reading.to_dict(), "answer_template": self.answer_template}

    def candidates(self) -> list[str]:
        return [self.answer_template.replace(PLACE, label) for label in self.labels]

    def to_prediction(self, row: dict, answer: Answer, prompt: str) -> dict:
        """A line of predictions.jsonl."""
        by_label = dict(zip(self.labels, answer.log_likelihoods, strict=True))
        return {
            **_describe(row, answer, prompt),
            "parsed_label": self.reading.read(answer.text),
            "expected_label": self.reading.read_truth(row["metadata"]["subject_label"]),
            "log_likelihoods": {label: round(value, 5) for label, value in by_label.items()},
            "probabilities": dict(zip(self.labels, to_probabilities(answer.log_likelihoods), strict=True)),
        }

    def to_control_record(self, row: dict, answer: Answer) -> dict:
        """A line of controls.jsonl."""
        return {
            "task_id": row["task_id"],
            "prediction": answer.text,
            "parsed_label": self.reading.read(answer.text),
        }

    def summarize(self, records: list[dict], subjects: list[str], n_resamples: int, seed: int) -> dict:
        summary = summarize_classification(records, subjects, self.labels, n_resamples, seed)
        return {**summary, "told_from": list(self.told_from)}

    def read_truth(self, label: str) -> str:
        """The true answer of a row with this label, in the spelling of the labels where it is one of them."""
        return self.reading.read_truth(label) or label

    def compare(self, records: list[dict], exchanged: dict, subjects: list[str]) -> dict:
        """The controls' numbers and verdicts; `exchanged` holds name → (Control, its records)."""
        return compare_labels(records, exchanged, subjects)


class _WithoutLabels:
    """What numbers and free text share: no candidates to score."""

    def candidates(self) -> list[str]:
        return []

    def to_control_record(self, row: dict, answer: Answer) -> dict:
        """A line of controls.jsonl."""
        return {"task_id": row["task_id"], "prediction": answer.text}


@dataclass(frozen=True)
class Regression(_WithoutLabels):
    """A number."""

    reading: NumberReading
    told_from: tuple[str, ...] = ()

    def to_dict(self) -> dict:
        return self.reading.to_dict()

    def to_prediction(self, row: dict, answer: Answer, prompt: str) -> dict:
        """A line of predictions.jsonl."""
        return {
            **_describe(row, answer, prompt),
            "parsed_number": self.reading.read(answer.text),
            "expected_number": self.reading.read_truth(row["metadata"]["subject_label"]),
        }

    def summarize(self, records: list[dict], subjects: list[str], n_resamples: int, seed: int) -> dict:
        summary = summarize_regression(records, subjects, n_resamples, seed)
        return {**summary, "told_from": list(self.told_from)}

    def read_truth(self, label: str) -> float | None:
        """The true answer of a row with this label."""
        return self.reading.read_truth(label)

    def compare(self, records: list[dict], exchanged: dict, subjects: list[str]) -> dict:
        """The controls' errors and verdicts; `exchanged` holds name → (Control, its records)."""
        return compare_numbers(records, exchanged, subjects, self.reading.read)


@dataclass(frozen=True)
class FreeText(_WithoutLabels):
    """Text that is compared with the row's own answer."""

    def to_dict(self) -> dict:
        return {"task": "text"}

    def to_prediction(self, row: dict, answer: Answer, prompt: str) -> dict:
        """A line of predictions.jsonl."""
        return _describe(row, answer, prompt)

    def summarize(self, records: list[dict], subjects: list[str], n_resamples: int, seed: int) -> dict:
        return summarize_text(records, subjects, n_resamples, seed)

    def compare(self, records: list[dict], exchanged: dict, subjects: list[str]) -> dict:
        """Which answers each control changed, and verdicts; `exchanged` holds name → (Control, its records)."""
        return compare_texts(records, exchanged, subjects)


Question = Classification | Regression | FreeText
