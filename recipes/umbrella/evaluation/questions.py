"""What the rows of a split ask for: one of several labels, a number, or free text; each reads and scores answers."""

from dataclasses import asdict, dataclass

from datasets import Dataset

from umbrella.arguments import EvalArguments
from umbrella.evaluation.control_scores import compare_labels, compare_numbers, compare_texts
from umbrella.evaluation.generation import Answer
from umbrella.evaluation.parsing import parse_label, parse_number
from umbrella.evaluation.results import summarize_classification, summarize_regression, summarize_text
from umbrella.evaluation.scoring import PLACE, find_answer_template, last_text, to_probabilities
from umbrella.evaluation.selection import choose_labels, find_task


def find_question(rows: Dataset, evaluation: EvalArguments) -> "Classification | Regression | FreeText":
    """The kind of question that the rows ask, by `--task` and the labels in their metadata.

    Raises ValueError for labels that do not fit it.
    """
    task = find_task(rows, evaluation)
    if task == "text":
        return FreeText()
    if task == "regression":
        return Regression(evaluation.unit)
    labels = choose_labels(rows, evaluation.labels)
    expected = [entry["subject_label"] for entry in rows["metadata"]]
    answers = [last_text(row) for row in rows.with_format(None).select_columns("conversations")]
    template = evaluation.answer_template or find_answer_template(answers, expected, labels)
    return Classification(labels, template)


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
    """One of `labels`; each is scored as the answer that `answer_template` makes of it."""

    labels: list[str]
    answer_template: str

    def to_dict(self) -> dict:
        return {"task": "classification", **asdict(self)}

    def candidates(self) -> list[str]:
        return [self.answer_template.replace(PLACE, label) for label in self.labels]

    def to_prediction(self, row: dict, answer: Answer, prompt: str) -> dict:
        """A line of predictions.jsonl."""
        by_label = dict(zip(self.labels, answer.log_likelihoods, strict=True))
        return {
            **_describe(row, answer, prompt),
            "parsed_label": parse_label(answer.text, self.labels),
            "expected_label": row["metadata"]["subject_label"],
            "log_likelihoods": {label: round(value, 5) for label, value in by_label.items()},
            "probabilities": dict(zip(self.labels, to_probabilities(answer.log_likelihoods), strict=True)),
        }

    def to_control_record(self, row: dict, answer: Answer) -> dict:
        """A line of controls.jsonl."""
        parsed = parse_label(answer.text, self.labels)
        return {"task_id": row["task_id"], "prediction": answer.text, "parsed_label": parsed}

    def summarize(self, records: list[dict], subjects: list[str], n_resamples: int, seed: int) -> dict:
        return summarize_classification(records, subjects, self.labels, n_resamples, seed)

    def read_truth(self, label: str) -> str:
        """The true answer of a row with this label."""
        return label

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
    """A number, in `unit` where the answers state one."""

    unit: str | None

    def to_dict(self) -> dict:
        return {"task": "regression", **asdict(self)}

    def to_prediction(self, row: dict, answer: Answer, prompt: str) -> dict:
        """A line of predictions.jsonl."""
        return {
            **_describe(row, answer, prompt),
            "parsed_number": parse_number(answer.text, self.unit),
            "expected_number": parse_number(row["metadata"]["subject_label"], self.unit),
        }

    def summarize(self, records: list[dict], subjects: list[str], n_resamples: int, seed: int) -> dict:
        return summarize_regression(records, subjects, n_resamples, seed)

    def read_truth(self, label: str) -> float | None:
        """The true answer of a row with this label."""
        return self._read(label)

    def _read(self, text: str) -> float | None:
        return parse_number(text, self.unit)

    def compare(self, records: list[dict], exchanged: dict, subjects: list[str]) -> dict:
        """The controls' errors and verdicts; `exchanged` holds name → (Control, its records)."""
        return compare_numbers(records, exchanged, subjects, self._read)


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
