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
        return Dataset.from_list([_ask_about(arguments, _check(arguments, "image"))], features=FEATURES)
    return Dataset.from_list(
        [_ask_about(arguments, image) | {"task_id": image} for image in images], features=FEATURES
    )


def _ask_about(arguments: PredictArguments, image: str) -> dict:
    turns = [make_turn("user", make_scan(image, arguments.modality), make_text(arguments.question))]
    if arguments.reference is not None:
        said, replied = word_reference(arguments.reference_label, arguments.reference_text, arguments.reference_reply)
        reference = make_scan(_check(arguments, "reference"), arguments.modality)
        shown = make_turn("user", make_text(said), reference)
        turns = [shown, make_turn("assistant", make_text(replied)), *turns]
    return make_row(turns)


def make_row(turns: list[dict]) -> dict:
    """The row that asks for the next turn after these; the turn of the answer is empty."""
    scans = [item for turn in turns for item in turn["content"] if item["type"] == "image"]
    return {
        "task_id": "question",
        "task_type": "question",
        "subject_ids": [],
        "modalities": [scan["modality"] for scan in scans],
        "images": [{"path": scan["image_path"], "token": IMAGE_TOKEN, "modality": scan["modality"]} for scan in scans],
        "conversations": [*turns, make_turn("assistant", make_text(""))],
        "metadata": dict.fromkeys((*METADATA_FIELDS, "extra")),
        "source": "the question",
        "length": 0,
    }


def word_reference(label: str | None, text: str | None = None, reply: str | None = None) -> tuple[str, str]:
    """What is said in front of a reference, and what the model has answered, in the `text` and `reply` given or in
    the wordings above; `label`: what is known of the reference."""
    defaults = (UNLABELLED_TEXT, UNLABELLED_REPLY) if label is None else (REFERENCE_TEXT, REFERENCE_REPLY)
    said, replied = (default if own is None else own for own, default in zip((text, reply), defaults, strict=True))
    return said.replace("{reference_label}", label or ""), replied.replace("{reference_label}", label or "")


def _check(arguments: PredictArguments, flag: str) -> str:
    path = getattr(arguments, flag)
    if not Path(path).is_file():
        raise ValueError(f"--{flag} {path}: expected a scan, found {find_broken_link(path) or 'no such file'}")
    return path


def make_scan(path: str, modality: str) -> dict:
    """An item of a turn that is a scan."""
    return {"type": "image", "text": None, "modality": modality, "image_path": path}


def make_text(text: str) -> dict:
    """An item of a turn that is text."""
    return {"type": "text", "text": text, "modality": None, "image_path": None}


def make_turn(role: str, *items: dict) -> dict:
    """A turn of these items, in their order."""
    return {"role": role, "content": list(items)}
