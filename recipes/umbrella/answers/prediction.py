"""One question about a scan, or about each of many, as rows like those that a model was trained on.

With a reference the turns are those of the sample conversations (umbrella.cohort.questions.writer):

    user       text, then the reference scan
    assistant  acknowledgement
    user       the scan, then the question
"""

from collections.abc import Sequence
from pathlib import Path

from datasets import Dataset

from umbrella.options.tool_arguments import PredictArguments
from umbrella.scans.not_a_scan import find_broken_link
from umbrella_dataset import FEATURES, IMAGE_TOKEN, METADATA_FIELDS

# Of the wordings that the sample conversations draw from; without a label, of those that any comparison has.
REFERENCE_TEXT = "The reference subject is {reference_label}. Their scan:"
REFERENCE_REPLY = "Understood. The reference subject is {reference_label}."
UNLABELLED_TEXT = "This is the reference scan."
UNLABELLED_REPLY = "I will compare the next scan with this reference."


def make_question_rows(arguments: PredictArguments, images: Sequence[str] | None = None) -> Dataset:
    """A table of one row with the question, or of a row for each of `images`, whose path is its task_id; the turn of
    the answer is empty.

    Raises ValueError where a scan of the flags is not there; whether `images` are is told when they are read.
    """
    if images is None:
        return Dataset.from_list([_make_row(arguments, "question", _check(arguments, "image"))], features=FEATURES)
    return Dataset.from_list([_make_row(arguments, image, image) for image in images], features=FEATURES)


def _make_row(arguments: PredictArguments, task_id: str, image: str) -> dict:
    turns = [_turn("user", _scan(arguments, image), _text(arguments.question)), _turn("assistant", _text(""))]
    paths = [image]
    if arguments.reference is not None:
        said, replied = word_reference(arguments)
        shown = _turn("user", _text(said), _scan(arguments, _check(arguments, "reference")))
        turns = [shown, _turn("assistant", _text(replied)), *turns]
        paths = [arguments.reference, image]
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


def word_reference(arguments: PredictArguments) -> tuple[str, str]:
    """What is said in front of the reference, and what the model has answered."""
    label = arguments.reference_label
    defaults = (UNLABELLED_TEXT, UNLABELLED_REPLY) if label is None else (REFERENCE_TEXT, REFERENCE_REPLY)
    wordings = zip((arguments.reference_text, arguments.reference_reply), defaults, strict=True)
    said, replied = (default if own is None else own for own, default in wordings)
    return said.replace("{reference_label}", label or ""), replied.replace("{reference_label}", label or "")


def _check(arguments: PredictArguments, flag: str) -> str:
    path = getattr(arguments, flag)
    if not Path(path).is_file():
        raise ValueError(f"--{flag} {path}: expected a scan, found {find_broken_link(path) or 'no such file'}")
    return path


def _scan(arguments: PredictArguments, path: str) -> dict:
    return {"type": "image", "text": None, "modality": arguments.modality, "image_path": path}


def _text(text: str) -> dict:
    return {"type": "text", "text": text, "modality": None, "image_path": None}


def _turn(role: str, *items: dict) -> dict:
    return {"role": role, "content": list(items)}
