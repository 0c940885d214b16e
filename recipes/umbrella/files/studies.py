"""A study: all sequences of a visit in one turn. How each is worded, by whoever makes or changes such a turn.

text   "T1w:", then its scan
text   "FLAIR: not available." in place of one that is not there
"""

import re

from umbrella.files.data_format import MODALITIES, MODALITY_OF

_ABSENT = re.compile(r"(\S+): not available\.\n")


def word_sequence(name: str) -> str:
    """What stands in front of the scan of a sequence."""
    return f"{name}:"


def word_absent(name: str) -> str:
    """What stands in place of a sequence that is not there; whether it was acquired is not known. The line ends, since
    chat templates join texts as they are."""
    return f"{name}: not available.\n"


def find_absent(text: str) -> str | None:
    """The sequence that a text says is not there; None for any other text."""
    found = _ABSENT.fullmatch(text)
    return found[1] if found else None


def find_modality(name: str) -> str | None:
    """Of which modality a sequence is, by the name that BIDS gives it; None for other names."""
    return name if name in MODALITIES else MODALITY_OF.get(name)


def describe_sequences() -> str:
    """The names whose modality is known."""
    return ", ".join([*MODALITIES, *MODALITY_OF])
