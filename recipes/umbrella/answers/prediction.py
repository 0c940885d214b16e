"""One question about one scan, as a row like those that a model was trained on."""

from datasets import Dataset

from umbrella.answers.question_turns import make_question_turns
from umbrella.options.tool_arguments import PredictArguments
from umbrella_dataset import FEATURES, IMAGE_TOKEN, METADATA_FIELDS


def make_question_rows(arguments: PredictArguments) -> Dataset:
    """A table of one row with the question; the turn of the answer is empty.

    Raises ValueError where a scan is not there.
    """
    turns, paths = make_question_turns(arguments)
    row = {
        "task_id": "question",
        "task_type": "question",
        "subject_ids": [],
        "modalities": [arguments.modality] * len(paths),
        "images": [{"path": path, "token": IMAGE_TOKEN, "modality": arguments.modality} for path in paths],
        "conversations": turns,
        "metadata": dict.fromkeys((*METADATA_FIELDS, "extra")),
        "source": "the question",
        "length": 0,
    }
    return Dataset.from_list([row], features=FEATURES)
