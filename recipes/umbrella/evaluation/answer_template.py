"""The wording that the answers of a data set share."""

import unicodedata
from collections import Counter
from collections.abc import Sequence

from umbrella.evaluation.label_parsing import PLACE, find_places
from umbrella.evaluation.text_folding import fold, fold_with_places


def find_answer_template(answers: Sequence[str], expected: Sequence[str]) -> str:
    """The commonest wording of the answers, with `{label}` where the label stands: "This subject is {label}."

    One wording serves all rows and all labels, so it tells nothing about a row's truth. Where no answer holds its
    label exactly once it is the label alone.
    """
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
    # A wording that only one label has could itself give the answer away.
    shared = [wording for wording in wordings if len(used_with[wording]) == len(set(expected))]
    return min(shared, key=lambda wording: (-wordings[wording], wording), default=PLACE)
