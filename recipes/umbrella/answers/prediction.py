"""One question about a scan, or about each of many, as rows like those that a model was trained on."""

from collections.abc import Sequence

from datasets import Dataset

from umbrella.answers.question_turns import make_question_turns
from umbrella.options.tool_arguments import PredictArguments
from umbrella_dataset import FEATURES, IMAGE_TOKEN, METADATA_FIELDS


def make_question_rows(
    arguments: PredictArguments, images: Sequence[str] | None = None, sequences: Sequence[str] = ()
) -> Dataset:
    """A table of one row with the question, or of a row for each of `images`, whose path is its task_id; the turn of
    the answer is empty. `sequences`: see `make_question_turns`.

    Raises ValueError where a scan of the flags is not there; whether `images` are is told when they are read.
    """
    if images is None:
        return Dataset.from_list([make_row(make_question_turns(arguments, None, sequences))], features=FEATURES)
    rows = [make_row(make_question_turns(arguments, image, sequences)) | {"task_id": image} for image in images]
    return Dataset.from_list(rows, features=FEATURES)


def make_row(turns: list[dict]) -> dict:
    """The row whose last turn, which is empty here, the model is to say."""
    scans = [item for turn in turns for item in turn["content"] if item["type"] == "image"]
    return {
        "task_id": "question",
        "task_type": "question",
        "subject_ids": [],
        "modalities": [scan["modality"] for scan in scans],
        "images": [{"path": scan["image_path"], "token": IMAGE_TOKEN, "modality": scan["modality"]} for scan in scans],
        "conversations": turns,
        "metadata": dict.fromkeys((*METADATA_FIELDS, "extra")),
        "source": "the question",
        "length": 0,
    }
