"""One question about a scan, or about each of many, as rows like those that a model was trained on."""

from collections.abc import Sequence

from datasets import Dataset

from umbrella.answers.question_turns import make_question_turns
from umbrella.options.tool_arguments import PredictArguments
from umbrella_dataset import FEATURES, IMAGE_TOKEN, METADATA_FIELDS


def make_question_rows(arguments: PredictArguments, images: Sequence[str] | None = None) -> Dataset:
    """A table of one row with the question, or of a row for each of `images`, whose path is its task_id; the turn of
    the answer is empty.

    Raises ValueError where a scan of the flags is not there; whether `images` are is told when they are read.
    """
    if images is None:
        return Dataset.from_list([_make_row(arguments, "question", None)], features=FEATURES)
    return Dataset.from_list([_make_row(arguments, image, image) for image in images], features=FEATURES)


def _make_row(arguments: PredictArguments, task_id: str, image: str | None) -> dict:
    turns, paths = make_question_turns(arguments, image)
    return {
        "task_id": task_id,
        "task_type": "question",
        "subject_ids": [],
        "modalities": [arguments.modality] * len(paths),
        "images": [{"path": path, "token": IMAGE_TOKEN, "modality": arguments.modality} for path in paths],
        "conversations": turns,
        "metadata": dict.fromkeys((*METADATA_FIELDS, "extra")),
        "source": "the question",
        "length": 0,
    }
