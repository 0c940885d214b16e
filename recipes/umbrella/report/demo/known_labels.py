"""Which labels a model may answer with: told from the rows of the data, else from an evaluation that lies beside the
model."""

from dataclasses import dataclass
from pathlib import Path

from datasets import Dataset, DatasetDict

from umbrella.answers.label_parsing import PLACE
from umbrella.answers.selection import keep_answerable
from umbrella.evaluation.questions import Classification, find_question
from umbrella.options.arguments import EvalArguments
from umbrella.records.evaluations import SETTINGS, find_evaluations, read_settings


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
    """The labels of the rows of a split, else those of an evaluation of these weights in MODEL/eval*/."""
    why_not = "no --json_dir was given"
    if splits is not None:
        try:
            return _tell_from_rows(splits, split)
        except ValueError as error:
            why_not = str(error)
    for folder in find_evaluations(Path(model), Path(model)) if Path(model).is_dir() else []:
        settings = read_settings(folder)
        if settings.get("task") == "classification":
            told = f"Labels and wording as in the model's own {folder.name}/{SETTINGS}."
            return KnownLabels(tuple(settings["labels"]), settings["answer_template"], told)
    told = f"No probabilities: the model's labels are not known ({why_not}, and no evaluation lies beside the model)."
    return KnownLabels((), "", told)


def _tell_from_rows(splits: DatasetDict, split: str) -> KnownLabels:
    rows: Dataset = keep_answerable(splits[split], "auto")[0]
    if not len(rows):
        raise ValueError(f"no row of the split {split} has a label")
    question = find_question(rows, EvalArguments(split=split), splits)
    if not isinstance(question, Classification):
        raise ValueError(f"the rows of the split {split} ask for a number")
    told = f"Labels and wording as in the rows of the split {split}."
    return KnownLabels(tuple(question.labels), question.answer_template, told)
