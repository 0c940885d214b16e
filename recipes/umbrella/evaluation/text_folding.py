"""What two spellings of one word share."""

import unicodedata

DASHES = "‐‑‒–—―−"
APOSTROPHES = "‘’‛ʼ′´`"
QUOTES = "“”„‟″"
TATWEEL = "ـ"  # draws an Arabic word wider and says nothing
SIGNS = str.maketrans(
    dict.fromkeys(DASHES, "-") | dict.fromkeys(APOSTROPHES, "'") | dict.fromkeys(QUOTES, '"') | {TATWEEL: "", "ı": "i"}
)
DOT_ABOVE = "i\u0307"  # what the Turkish capital İ becomes in small letters


def fold(text: str) -> str:
    """The text without what does not tell one label from another.

    One and the same come out: letters of any case (`Male`, `MALE`; the Turkish `KADIN`, `kadın`), composed and
    decomposed, in full or half width (NFKC); straight and curly apostrophes and quotes; all dashes and the minus; runs
    of white space, none of it outside; with and without characters that are not seen (soft hyphens, marks of
    direction, joiners). Accents stay: whether `é` and `e` are one letter depends on the language.

    >>> fold("  Alzheimer’s\\u00a0 Disease "), fold("ＭＡＬＥ"), fold("cafe\\u0301") == fold("CAFÉ")
    ("alzheimer's disease", 'male', True)
    """
    seen = "".join(character for character in text if unicodedata.category(character) != "Cf")
    for _ in range(2):  # a sign that stands for several characters may hold one that is mapped in turn
        seen = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", seen.translate(SIGNS)).casefold())
        seen = seen.translate(SIGNS).replace(DOT_ABOVE, "i")
    return " ".join(unicodedata.normalize("NFKC", seen).split())
