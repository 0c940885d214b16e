"""Which labels a model may answer with: told from the rows of the data, else from what lies beside the model, a record
of its training or an evaluation."""

from dataclasses import dataclass, replace
from pathlib import Path

from datasets import Dataset, DatasetDict

from umbrella.answers.label_parsing import PLACE
from umbrella.answers.selection import keep_answerable
from umbrella.evaluation.questions import Classification, find_question
from umbrella.options.arguments import EvalArguments
from umbrella.records.evaluations import SETTINGS, find_evaluations, read_settings
from umbrella.records.trained_questions import FILE_NAME as QUESTIONS
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
    """The labels of the rows of a split, else those that the model was trained on, by the umbrella_questions.json
    beside it, else those of an evaluation of these weights in MODEL/eval*/."""
    why_not = "no --json_dir was given"
    trained = load_trained_questions(model)
    if splits is not None:
        try:
            known = _tell_from_rows(splits, split)
            return replace(known, told=known.told + _compare(known, trained))
        except ValueError as error:
            why_not = str(error)
    if trained is not None and trained.answers is not None and trained.answers["task"] == "classification":
        told = f"Labels and wording as in training, by {QUESTIONS} beside the model."
        return KnownLabels(tuple(trained.answers["labels"]), trained.answers["answer_template"], told)
    for folder in find_evaluations(Path(model), Path(model)) if Path(model).is_dir() else []:
        settings = read_settings(folder)
        if settings.get("task") == "classification":
            told = f"Labels and wording as in the model's own {folder.name}/{SETTINGS}."
            return KnownLabels(tuple(settings["labels"]), settings["answer_template"], told)
    told = f"The model's labels are not known ({why_not}, and neither {QUESTIONS} nor an evaluation tells them)."
    return KnownLabels((), "", told)


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
