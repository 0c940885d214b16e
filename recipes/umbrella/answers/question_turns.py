"""One question about one scan, as the turns of a conversation like those that a model was trained on.

With a reference the turns are those of the sample conversations (umbrella.cohort.questions.writer):

    user       text, then the reference scan
    assistant  acknowledgement
    user       the scan, then the question

It imports neither torch nor `datasets`: `umbrella.client` asks so too.
"""

from pathlib import Path

from umbrella.options.tool_arguments import PredictArguments
from umbrella.scans.not_a_scan import find_broken_link

# Of the wordings that the sample conversations draw from; without a label, of those that any comparison has.
REFERENCE_TEXT = "The reference subject is {reference_label}. Their scan:"
REFERENCE_REPLY = "Understood. The reference subject is {reference_label}."
UNLABELLED_TEXT = "This is the reference scan."
UNLABELLED_REPLY = "I will compare the next scan with this reference."


def make_question_turns(arguments: PredictArguments, image: str | None = None) -> tuple[list[dict], list[str]]:
    """The turns, that of the answer empty, and the scans in their order.

    image  the scan in place of that of the arguments, one of many: whether it is there is told when it is read

    Raises ValueError where a scan of the flags is not there.
    """
    image = _check(arguments, "image") if image is None else image
    turns = [_turn("user", _scan(arguments, image), _text(arguments.question)), _turn("assistant", _text(""))]
    paths = [image]
    if arguments.reference is not None:
        said, replied = word_reference(arguments)
        shown = _turn("user", _text(said), _scan(arguments, _check(arguments, "reference")))
        turns = [shown, _turn("assistant", _text(replied)), *turns]
        paths = [arguments.reference, image]
    return turns, paths


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
