"""From an answer's text to the label that it states, in any script."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache

from umbrella.answers.answer_words import (
    CLAUSE_END,
    HANGUL,
    KOREAN_ENDING,
    MARKS,
    NEGATING_PREFIXES,
    NEGATION,
    NO_LETTER_AFTER,
    NO_LETTER_BEFORE,
    RANGE_WORDS,
    SPACED_LETTER,
    UNSPACED,
    is_denied,
)
from umbrella.answers.text_folding import fold

PLACE = "{label}"
WRITTEN_BEFORE = "[\u05d0-\u05ea\u0621-\u064a]{0,3}"
WRITTEN_BEHIND = rf"{SPACED_LETTER}{{0,6}}"
FEWEST_ANSWERS = 2  # that have a form, for it to be one
GRADED = "+-*#<>="  # signs that are said several times: ++ is not +
MASK = "\0"
IS_SPACED = re.compile(SPACED_LETTER)
LONGEST_JOINED = 60  # how far before a label a joined word is looked for
_joining = sorted(map(fold, RANGE_WORDS), key=len, reverse=True)
_words, _signs = (
    "|".join(re.escape(word) for word in _joining if bool(IS_SPACED.match(word)) == spaced) for spaced in (True, False)
)
JOINING = rf"(?:\s+(?:{_words})\s+|\s*(?:{_signs})\s*)"
JOINED_BEHIND = re.compile(rf"{JOINING}({SPACED_LETTER}+)")
JOINED_BEFORE = re.compile(rf"{NO_LETTER_BEFORE}({SPACED_LETTER}+){JOINING}$")
# Not the 5 of <5 and > 5, but that of <b>5 and -> 5.
NO_BOUND_BEFORE = rf"(?<![<≤≥])(?<![<≤≥]\s)(?<![<>]=)(?<!^>)(?<!^>\s)(?<![\s(:{UNSPACED}]>)(?<![\s(:{UNSPACED}]>\s)"
# What may stand before and behind a label that begins or ends with a letter of a kind.
BEFORE = {
    kind: re.compile(pattern)
    for kind, pattern in {
        "hangul": f"(?<![{HANGUL}])",
        "unspaced": f"(?<![{NEGATING_PREFIXES}])",
        "spaced": NO_LETTER_BEFORE,
        "digit": NO_LETTER_BEFORE + NO_BOUND_BEFORE + r"(?<!\d[.,])(?<!^[-+])(?<![\s(:=][-+])",  # not 5 of 2.5, 15, -5
        "sign": NO_LETTER_BEFORE,
        **{sign: rf"{NO_LETTER_BEFORE}(?<!{re.escape(sign)})" for sign in GRADED},
    }.items()
}
AFTER = {
    kind: re.compile(pattern)
    for kind, pattern in {
        "hangul": f"(?![{HANGUL}])|(?={KOREAN_ENDING})",
        "unspaced": f"(?![{MARKS}])",
        "spaced": NO_LETTER_AFTER,
        "digit": NO_LETTER_AFTER + r"(?![.,]\d)",
        "sign": NO_LETTER_AFTER,
        **{sign: rf"{NO_LETTER_AFTER}(?!{re.escape(sign)})" for sign in GRADED},
    }.items()
}


def parse_label(text: str, labels: Iterable[str], forms: Iterable[str] = ()) -> str | None:
    """The label that a text states; None where it states none, several or a negated one.

    forms  words that are built of labels, as "{label}dir" or "ال{label}": see `find_forms`

    Text and labels are compared folded (`fold`): letter case, composed letters, apostrophes and widths are nothing. A
    label is a whole word; written to other words it is read in scripts without spaces (Chinese, Japanese, Thai, Lao,
    Khmer, Burmese), in Korean before particles and forms of "to be" (남성입니다), elsewhere in the `forms` alone. Of
    labels of which one is a part of another ("impaired", "not impaired") the longer one counts.

    A label joined to a number or to a word of another label ("grade 2-3", "grade II or III", "left or right lesion")
    is one of several.

    A word of negation in the label's clause, or in the answer to it ("male? No.", "male: no"), makes the answer
    unreadable: what remains after "not male" is no statement. Those of some twenty languages are known
    (`answer_words`), by their commonest words; in another language, or where a verb or an ending negates, it is not
    seen and the label is read.

    >>> parse_label("The subject is Female.", ["male", "female"]), parse_label("是女性。", ["男性", "女性"])
    ('female', '女性')
    >>> [parse_label(text, ["male", "female"]) for text in ("male or female", "It is not male.", "No idea.")]
    [None, None, None]
    >>> parse_label("No, this is a male.", ["male", "female"])
    'male'
    """
    return _parse(text, tuple(labels), tuple(forms))


@lru_cache(maxsize=1 << 14)
def _parse(text: str, labels: tuple[str, ...], forms: tuple[str, ...]) -> str | None:
    surfaces = _fold_labels(labels, forms)
    folded = _fold_lines(text)
    places, masked = find_places(folded, surfaces)
    named = {surfaces[surface] for _, _, surface in places}
    if len(named) != 1 or any(_is_joined(folded, place, surfaces) for place in places):
        return None
    if any(MASK in clause and NEGATION.search(clause) for clause in CLAUSE_END.split(masked)):
        return None
    return None if any(is_denied(masked, end) for _, end, _ in places) else named.pop()


@lru_cache(maxsize=256)
def _fold_labels(labels: tuple[str, ...], forms: tuple[str, ...]) -> dict[str, str]:
    """What may stand for each label, folded, the longest first."""
    surfaces = {fold(form.replace(PLACE, label)): label for form in forms for label in labels}
    surfaces |= {fold(label): label for label in labels}
    surfaces.pop("", None)  # a label of nothing that is seen is stated by no text
    return dict(sorted(surfaces.items(), key=lambda item: -len(item[0])))


def find_places(folded: str, surfaces: Iterable[str]) -> tuple[list[tuple[int, int, str]], str]:
    """(start, end, surface) of all that stand in a folded text as words, and the text with these places masked, so
    that words of a label ("no lesion") are no other label and no negation. Of `surfaces` the first ones win."""
    places, masked = [], folded
    for surface in surfaces:
        start = masked.find(surface)
        while start >= 0:
            end = start + len(surface)
            before, after = BEFORE[_kind_of(surface[0])], AFTER[_kind_of(surface[-1])]
            if before.match(masked, start) and after.match(masked, end):
                places.append((start, end, surface))
                masked = masked[:start] + MASK * len(surface) + masked[end:]
            start = masked.find(surface, start + 1)
    return places, masked


def find_clash(text: str, label: str, labels: Iterable[str], forms: Iterable[str] = ()) -> str | None:
    """How a label lies to what is read in a text: "across" it (5 is read in <5), "beside" it, or None: not there, or
    a part of what is read (male in female)."""
    folded, own = _fold_lines(text), fold(label)
    places, _ = find_places(folded, _fold_labels(tuple(labels), tuple(forms)))
    found = [(start, start + len(own)) for start in range(len(folded)) if folded.startswith(own, start)]
    outside = [(a, b) for a, b in found if not any(start <= a and b <= end for start, end, _ in places)]
    if any(a < end and start < b for a, b in outside for start, end, _ in places):
        return "across"
    return "beside" if outside else None


def _is_joined(folded: str, place: tuple[int, int, str], surfaces: dict[str, str]) -> bool:
    """Whether a range word joins a label to a number, or to a word that another label ends or begins with."""
    start, end, surface = place
    behind = JOINED_BEHIND.match(folded, end)
    before = JOINED_BEFORE.search(folded[max(0, start - LONGEST_JOINED) : start])
    others = [other.split() for other in surfaces if surfaces[other] != surfaces[surface]] if behind or before else []
    words = surface.split()
    return bool(
        (behind and surface[-1].isdigit() and behind[1][0].isdigit())
        or (behind and behind[1] != words[-1] and behind[1] in [other[-1] for other in others])
        or (before and surface[0].isdigit() and before[1][-1].isdigit())
        or (before and before[1] != words[0] and before[1] in [other[0] for other in others])
    )


def _kind_of(letter: str) -> str:
    """What the surroundings of a label depend on: the kind of its first and its last letter."""
    if re.match(f"[{HANGUL}]", letter):
        return "hangul"
    if re.match(f"[{UNSPACED}]", letter):
        return "unspaced"
    if letter.isdigit():
        return "digit"
    if IS_SPACED.match(letter):
        return "spaced"
    return letter if letter in GRADED else "sign"


def _fold_lines(text: str) -> str:
    return "\n".join(map(fold, text.splitlines()))


def find_forms(answers: Sequence[str], expected: Sequence[str], labels: Sequence[str]) -> list[str]:
    """The words that the data's own answers build of labels: "erkektir" is "{label}tir".

    answers, expected  own answers and true labels, row for row
    A form is what at least two answers have, that state their row's label in no other way; it is one for all labels.
    Before the label only articles and alike of Arabic and Hebrew count: elsewhere it may be the contrary (abnormal).
    """
    found = Counter()
    for (answer, label), n in Counter(zip(answers, expected, strict=True)).items():
        if fold(label) not in fold(answer) or parse_label(answer, labels) is not None:
            continue
        word = f"({WRITTEN_BEFORE}){re.escape(fold(label))}({WRITTEN_BEHIND})"
        written = re.findall(NO_LETTER_BEFORE + word + NO_LETTER_AFTER, _fold_lines(answer))
        forms = {f"{head}{PLACE}{tail}" for head, tail in written if head or tail}
        found.update({form: n for form in forms if parse_label(answer, labels, [form]) == label})
    kept = [form for form, n in sorted(found.items(), key=lambda item: (-item[1], item[0])) if n >= FEWEST_ANSWERS]
    of_others = {fold(other) for other in labels}
    return [form for form in kept if not {fold(form.replace(PLACE, label)) for label in labels} & of_others]


def find_spelling(label: str, labels: Iterable[str]) -> str | None:
    """Which of `labels` a label is, however it is spelled; None where it is another."""
    return _fold_labels(tuple(labels), ()).get(fold(label))


def find_spellings(labels: Iterable[str]) -> dict[str, str]:
    """Each label as written → the spelling that stands for it: the commonest of those that fold to the same."""
    counts, best = Counter(labels), {}
    for label in sorted(counts, key=lambda label: (-counts[label], label)):
        best.setdefault(fold(label), " ".join(label.split()) or label)
    return {label: best[fold(label)] for label in counts}


def count_labels(labels: Iterable[str]) -> Counter[str]:
    """How many there are of each label, in the spelling that stands for it."""
    labels = list(labels)
    spellings = find_spellings(labels)
    return Counter(spellings[label] for label in labels)
