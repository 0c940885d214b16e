"""The wording that the answers of a data set share."""

import unicodedata
from collections import Counter
from collections.abc import Sequence

from umbrella.answers.label_parsing import PLACE, find_places
from umbrella.answers.text_folding import fold, fold_with_places


def find_answer_template(answers: Sequence[str], expected: Sequence[str]) -> str:
    """The commonest wording of the answers, with `{label}` where the label stands: "This subject is {label}."

    One wording serves all rows and all labels, so it tells nothing about a row's truth. Where no wording is used with
    every label it is the label alone, which is not among those of the answers: see `is_used`.
    """
    wordings, used_with = _count_wordings(answers, expected)
    # A wording that only one label has could itself give the answer away.
    shared = [wording for wording in wordings if len(used_with[wording]) == len(set(expected))]
    return min(shared, key=lambda wording: (-wordings[wording], wording), default=PLACE)


def is_used(template: str, answers: Sequence[str], expected: Sequence[str]) -> bool:
    """Whether some answer has this wording."""
    return template in _count_wordings(answers, expected)[0]


def _count_wordings(answers: Sequence[str], expected: Sequence[str]) -> tuple[Counter[str], dict[str, set[str]]]:
    """How many answers have each wording, and with which labels; of answers that hold their label exactly once."""
    wordings, used_with = Counter(), {}
    for (answer, label), n in Counter(zip(answers, expected, strict=True)).items():
        composed = unicodedata.normalize("NFC", answer)  # so that each letter is one character
        folded, places = fold_with_places(composed)
        found, _ = find_places(folded, [fold(label)])
        if len(found) == 1:
            start, end, _ = found[0]
            wording = composed[: places[start]] + PLACE + composed[places[end] :]
            wordings[wording] += n
            used_with.setdefault(wording, set()).add(label)
    return wordings, used_with
