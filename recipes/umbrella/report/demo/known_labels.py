"""Which labels a model may answer with: told from the rows of the data, else from what lies beside the model, a record
of its training or an evaluation."""

from dataclasses import dataclass, replace

from datasets import Dataset, DatasetDict

from umbrella.answers.label_parsing import PLACE
from umbrella.answers.recorded_answers import find_recorded_answers
from umbrella.answers.selection import keep_answerable
from umbrella.evaluation.questions import Classification, find_question
from umbrella.options.arguments import EvalArguments
from umbrella.records.trained_questions import TrainedQuestions, load_trained_questions


@dataclass(frozen=True)
class KnownLabels:
    """Labels, the wording in which each is scored, with {label}, and where they come from.

    told  a sentence for the page; of no labels why they are not known
    """

    labels: tuple[str, ...]
    answer_template: str
    told: str

    @property
    def candidates(self) -> list[str]:
        """The whole answer for each label."""
        return [self.answer_template.replace(PLACE, label) for label in self.labels]


def find_labels(model: str, splits: DatasetDict | None, split: str) -> KnownLabels:
    """The labels of the rows of a split, else those that are recorded beside the model."""
    why_not = "no --json_dir was given"
    trained = load_trained_questions(model)
    if splits is not None:
        try:
            known = _tell_from_rows(splits, split)
            return replace(known, told=known.told + _compare(known, trained))
        except ValueError as error:
            why_not = str(error)
    found, origin = find_recorded_answers(trained, model)
    if found is not None and found["task"] == "classification":
        return KnownLabels(tuple(found["labels"]), found["answer_template"], f"Labels and wording by {origin}.")
    reason = origin if found is None else f"its answers are no labels, by {origin}"
    return KnownLabels((), "", f"The model's labels are not known ({why_not}; {reason}).")


def _compare(known: KnownLabels, trained: TrainedQuestions | None) -> str:
    if trained is None or trained.answers is None or trained.answers["task"] != "classification":
        return ""
    others = [label for label in known.labels if label not in trained.answers["labels"]]
    if not others:
        return ""
    return (
        f" The model was trained on others: not on {', '.join(others)}, but on {', '.join(trained.answers['labels'])}."
    )


def _tell_from_rows(splits: DatasetDict, split: str) -> KnownLabels:
    rows: Dataset = keep_answerable(splits[split], "auto")[0]
    if not len(rows):
        raise ValueError(f"no row of the split {split} has a label")
    question = find_question(rows, EvalArguments(split=split), splits)
    if not isinstance(question, Classification):
        raise ValueError(f"the rows of the split {split} ask for a number")
    told = f"Labels and wording as in the rows of the split {split}."
    return KnownLabels(tuple(question.labels), question.answer_template, told)
