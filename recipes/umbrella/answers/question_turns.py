"""One question about one scan, or one study, as the turns of a conversation like those that a model was trained on.

With a reference the turns are those of the sample conversations (umbrella.cohort.questions.writer):

    user       text, then the reference scan
    assistant  acknowledgement
    user       the scan, then the question

It imports neither torch nor `datasets`: `umbrella.client` asks so too.
"""

from collections.abc import Sequence
from pathlib import Path

from umbrella.files.contained_files import is_remote
from umbrella.files.studies import find_modality, read_named, word_absent, word_sequence
from umbrella.options.tool_arguments import PredictArguments
from umbrella.scans.not_a_scan import find_broken_link

# Of the wordings that the sample conversations draw from; without a label, of those that any comparison has.
REFERENCE_TEXT = "The reference subject is {reference_label}. Their scan:"
REFERENCE_REPLY = "Understood. The reference subject is {reference_label}."
UNLABELLED_TEXT = "This is the reference scan."
UNLABELLED_REPLY = "I will compare the next scan with this reference."


def make_question_turns(
    arguments: PredictArguments, image: str | None = None, sequences: Sequence[str] = ()
) -> list[dict]:
    """The turns, that of the answer empty.

    image      the scan in place of that of the arguments, one of many: whether it is there is told when it is read
    sequences  of a study all that are named, in their order; none: those that are there, as they are given

    Raises ValueError where a scan of the flags is not there, and for a sequence that is none of these.
    """
    image = _check(arguments, "image") if image is None else image
    turns = [
        make_turn("user", *make_scans(image, arguments.modality, sequences), make_text(arguments.question)),
        make_turn("assistant", make_text("")),
    ]
    if arguments.reference is not None:
        said, replied = word_reference(arguments.reference_label, arguments.reference_text, arguments.reference_reply)
        reference = make_scans(_check(arguments, "reference"), arguments.modality, sequences)
        shown = make_turn("user", make_text(said), *reference)
        turns = [shown, make_turn("assistant", make_text(replied)), *turns]
    return turns


def make_scans(text: str, modality: str, sequences: Sequence[str] = ()) -> list[dict]:
    """The items of a scan; of a study, "T1w=a.nii FLAIR=b.nii", each by its name, and words for what is absent."""
    named = read_named(text)
    if not named:
        return [make_scan(text, modality)]
    if other := [name for name in named if sequences and name not in sequences]:
        raise ValueError(
            f"{other[0]}: expected some of {', '.join(sequences)}, as in training, found another sequence"
        )
    items = []
    for name in sequences or named:
        if name in named:
            items += [make_text(word_sequence(name)), make_scan(named[name], str(find_modality(name)))]
        else:
            items.append(make_text(word_absent(name)))
    return items


def word_reference(label: str | None, text: str | None = None, reply: str | None = None) -> tuple[str, str]:
    """What is said in front of a reference, and what the model has answered, in the `text` and `reply` given or in
    the wordings above; `label`: what is known of the reference."""
    defaults = (UNLABELLED_TEXT, UNLABELLED_REPLY) if label is None else (REFERENCE_TEXT, REFERENCE_REPLY)
    said, replied = (default if own is None else own for own, default in zip((text, reply), defaults, strict=True))
    return said.replace("{reference_label}", label or ""), replied.replace("{reference_label}", label or "")


def _check(arguments: PredictArguments, flag: str) -> str:
    text = getattr(arguments, flag)
    for path in list_paths(text):
        if not is_remote(path) and not Path(path).is_file():
            raise ValueError(f"--{flag} {path}: expected a scan, found {find_broken_link(path) or 'no such file'}")
    return text


def list_paths(text: str) -> list[str]:
    """The scans of a study, or the one scan that a text names."""
    return list(read_named(text).values()) or [text]


def make_scan(path: str, modality: str) -> dict:
    """An item of a turn that is a scan."""
    return {"type": "image", "text": None, "modality": modality, "image_path": path}


def make_text(text: str) -> dict:
    """An item of a turn that is text."""
    return {"type": "text", "text": text, "modality": None, "image_path": None}


def make_turn(role: str, *items: dict) -> dict:
    """A turn of these items, in their order."""
    return {"role": role, "content": list(items)}
