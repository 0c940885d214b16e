"""What two spellings of one word share."""

import unicodedata
from functools import lru_cache

DASHES = "‐‑‒–—―−"
APOSTROPHES = "‘’‛ʼ′´`"
QUOTES = "“”„‟″"
PERSIAN = {"ی": "ي", "ک": "ك"}  # letters that look as Arabic ones
TATWEEL = "ـ"  # draws an Arabic word wider and says nothing
SIGNS = str.maketrans(
    dict.fromkeys(DASHES, "-")
    | dict.fromkeys(APOSTROPHES, "'")
    | dict.fromkeys(QUOTES, '"')
    | PERSIAN
    | {TATWEEL: "", "ı": "i"}
)
DOT_ABOVE = "i\u0307"  # what the Turkish capital İ becomes in small letters


@lru_cache(maxsize=1 << 14)  # the labels and answers of very many rows are few different ones
def fold(text: str) -> str:
    """The text without what does not tell one label from another.

    One and the same come out: letters of any case (`Male`, `MALE`; the Turkish `KADIN`, `kadın`), composed and
    decomposed, in full or half width (NFKC); straight and curly apostrophes and quotes; all dashes and the minus; runs
    of white space, none of it outside; with and without characters that are not seen (soft hyphens, marks of
    direction, joiners, control characters). Accents stay: whether `é` and `e` are one letter depends on the language.

    >>> fold("  Alzheimer’s\\u00a0 Disease "), fold("ＭＡＬＥ"), fold("cafe\\u0301") == fold("CAFÉ")
    ("alzheimer's disease", 'male', True)
    """
    seen = "".join(character for character in text if not _is_unseen(character))
    for _ in range(2):  # a sign that stands for several characters may hold one that is mapped in turn
        seen = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", seen.translate(SIGNS)).casefold())
        seen = seen.translate(SIGNS).replace(DOT_ABOVE, "i")
    return " ".join(unicodedata.normalize("NFKC", seen).split())


def _is_unseen(character: str) -> bool:
    category = unicodedata.category(character)
    return category == "Cf" or (category == "Cc" and not character.isspace())


_fold_letter = lru_cache(maxsize=4096)(fold)


def fold_with_places(text: str) -> tuple[str, list[int]]:
    """The text folded letter by letter, and for each of its characters, and its end, the place in `text` that it is
    from. White space becomes one space each."""
    folded, places = [], []
    starts = [i for i, sign in enumerate(text) if i == 0 or unicodedata.category(sign)[0] != "M"]
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        letter = text[start:end]
        part = " " if letter.isspace() else _fold_letter(letter)
        folded.append(part)
        places += [start] * len(part)
    return "".join(folded), [*places, len(text)]
