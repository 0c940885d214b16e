"""Names of people in text: after a title or a label, as DICOM writes them, or beside a known given name."""

import re
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path

_DATA = Path(__file__).parent / "words"

_EPONYMS = ("arnold chiari", "charles bonnet", "lou gehrig", "jakob creutzfeldt", "marie tooth", "virchow robin")

_WORD = r"[A-ZÀ-ÖØ-ÞŁŚŽČŠ][\w'’\-]*[\w]"
_NAME = rf"(?:{_WORD}|[A-Z]\.?)(?:[ ,]++(?:{_WORD}|[A-Z]\.?|van|von|de|der|den|del|la|di|da|al|bin|ter)){{0,4}}"
_TITLE = (
    r"(?:Dr|Prof|Professor|Doctor|Mr|Mrs|Ms|Miss|Mx|Sir|Herrn?|Frau|Hr|Fr|Mme|Mlle|Monsieur|Madame|Sr|Sra|Señora?|Don|"
    r"Doña|Signora?|Sig|Dott|Dottoressa|Dottore|Dhr|Mevr|Mevrouw|Meneer|Nurse|Pan|Pani)"
)
_TITLED = re.compile(rf"(?<![A-Za-z0-9]){_TITLE}(?:\.\s*+|\s++)(?:{_TITLE}(?:\.\s*+|\s++)){{0,5}}(?P<name>{_NAME})")
_LABEL = (
    r"(?:(?:patient|subject|participant|pt|full|first|last|family|given|maiden|mother|father|physician|"
    r"doctor)'?s?[ _-]?name|"
    r"name of (?:the )?(?:patient|subject|participant)|"
    r"name|(?:referring|attending|performing|reading|requesting|ordering|primary|responsible) ?(?:physician|doctor|"
    r"clinician|"
    r"radiologist)?(?:'?s? ?name)?|(?:radiologist|neurologist|radiographer|technologist|technician|operator|surgeon|"
    r"physician|"
    r"consultant|investigator|examiner|rater|clinician|doctor|nurse|next of kin|emergency contact|guardian|spouse|"
    r"contact person|contact|gp|nok|pi)(?:s?[ _]?name)?|"
    r"(?:signed|reported|dictated|verified|approved|scanned|performed|interviewed|acquired|examined|assessed|"
    r"referred|read|"
    r"rated|operated|requested)(?: off)?(?: by)|physician ?of ?record|patient|pt|arzt|untersucher|patientin|nom|"
    r"apellidos)"
)
_LABELLED = re.compile(
    rf"(?<![A-Za-z0-9])(?i:{_LABEL})(?:\s*+[:=]\s*+|(?<=[Bb][Yy])\s++)(?P<name>{_NAME}|[a-z]{{2,}} [a-z]{{3,}})"
)
_CALLED = re.compile(
    rf"(?:\b(?:[Nn]ame is|named|called|known as|goes by|[Ii] am|[Ii]'m|né|née|nee)\s++)(?P<name>{_NAME})"
)
_DICOM = re.compile(r"(?<![A-Za-z])[^\W\d_][\w'’ -]{0,63}+\^[^\W\d_][\w'’ .-]*+(?:\^[\w'’ .-]*+)*+")
_WORDS = re.compile(r"[^\W\d_][^\W\d_'’]*+(?:[-'’][^\W\d_]++)*+")
# Two capitalised words in the middle of a sentence, whoever they are: "seen by our Xaver Quandt before".
_MID_SENTENCE = re.compile(
    rf"(?<=[a-zà-ÿ,;] )(?P<name>{_WORD}(?: (?:van|von|de|der|den|del|la|di|da|al|bin|ter))* {_WORD})(?= [a-z(]|"
    rf"[.,;:!?)]|$)"
)
_PARTICLES = frozenset("van von de der den del la le di da al bin ter y e".split())
_GAP = re.compile(
    r"(?:,?\s+|,\s*|\s+[A-Z]\.?\s+(?:[A-Z]\.?\s+)?)(?:(?:van|von|de|der|den|del|la|le|di|da|al|bin|ter|y|e)\s+){0,2}"
)
_PATH_GAP = re.compile(r"[_\-.+ ]{1,2}")


@cache
def _read_words(name: str) -> frozenset[str]:
    lines = (_DATA / name).read_text(encoding="utf-8").splitlines()
    return frozenset(word for line in lines if not line.startswith("#") for word in line.split())


def given_names() -> frozenset[str]:
    """The known given names, lower case."""
    return _read_words("given_names.txt")


def ordinary_words() -> frozenset[str]:
    """Words that no name has beside it."""
    return _read_words("ordinary_words.txt")


def field_words() -> frozenset[str]:
    """Names of methods, atlases, places in the brain and diseases, which come in capitalised pairs."""
    return _read_words("field_words.txt")


def find_names(text: str, is_path: bool = False) -> Iterator[tuple[int, int]]:
    """(start, end) of people's names. A path's names may be lower case and joined by _, - or dots."""
    for pattern in (_TITLED, _LABELLED, _CALLED):
        for found in pattern.finditer(text):
            if _could_be_a_name(found["name"], several=pattern is not _TITLED):
                yield found.span("name")
    for found in _DICOM.finditer(text):
        yield found.span()
    for found in _MID_SENTENCE.finditer(text):
        if _is_unknown_pair(found["name"]):
            yield found.span("name")
    yield from _find_pairs(text, is_path)


def _could_be_a_name(name: str, several: bool) -> bool:
    """Not a label's other content ("Patient: Female", "Operator: GE")."""
    words = [word.lower() for word in _WORDS.findall(name)]
    if not words or any(word in ordinary_words() for word in words):
        return False
    return len(words) > 1 or words[0] in given_names() or not several


def is_ordinary(name: str) -> bool:
    """Whether a word of it belongs to this field or to no name."""
    return any(word.lower() in ordinary_words() | field_words() for word in _WORDS.findall(name))


def _is_unknown_pair(name: str) -> bool:
    words = [word for word in _WORDS.findall(name) if word not in _PARTICLES]
    return len(words) > 1 and not any(
        word.lower() in ordinary_words() or word.lower() in field_words() or word.isupper() or len(word) < 3
        for word in words
    )


def _find_pairs(text: str, is_path: bool) -> Iterator[tuple[int, int]]:
    """Two words side by side of which one is a known given name and both could be a name's."""
    words = [word for word in _WORDS.finditer(text) if len(word[0]) > 1 and word[0] not in _PARTICLES]
    gap = _PATH_GAP if is_path else _GAP
    for first, second in pairwise(words):
        if gap.fullmatch(text[first.end() : second.start()]) and _is_pair(first[0], second[0], is_path):
            yield first.start(), second.end()


def _is_pair(first: str, second: str, is_path: bool) -> bool:
    a, b = first.lower(), second.lower()
    if a in ordinary_words() or b in ordinary_words() or f"{a} {b}" in _EPONYMS:
        return False
    if not is_path and not (first[0].isupper() and second[0].isupper()):
        return False
    if min(len(a), len(b)) < 2 or max(len(a), len(b)) < 3:
        return False
    return _is_given(a) or (_is_given(b) and len(b) > 2)


def _is_given(word: str) -> bool:
    names = given_names()
    return word in names or ("-" in word and any(part in names for part in word.split("-")))
