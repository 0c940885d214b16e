"""Hides names, ids and days of headers in what is shown or written of a text that may hold them."""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from itertools import permutations

LEAST_SEARCHED = 3  # letters and digits; a shorter identifier, as "7", is part of ordinary words and numbers
HIDDEN = "…"

_MOST_SHOWN = 100
_LONGEST = 64  # of what is put together; a whole address is searched for by its words
_WORD = re.compile(r"[^\W_]+")
_RUN = re.compile(r"[^\W\d_]+|\d+")
_UID = re.compile(r"(?<![\d.])[012](?:\.\d++){2,}+")
_DAY = re.compile(r"([12]\d{3})\.?(\d\d)\.?(\d\d)", re.ASCII)  # as DICOM writes it
_TRANSCRIBED = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe", "æ": "ae"})
_PLAIN = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ı": "i", "æ": "ae", "œ": "oe"})
# Scripts that set no space between words: Thai to Myanmar, kana, ideographs, hangul.
_UNSPACED = re.compile(r"[\u0e00-\u109f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3\U00020000-\U0003ffff]")


class Mask:
    """Hides the words of identifiers. What is shown or written of a header's text goes through it.

    Words of names, ids and dates are searched for, and each whole name, id and date in whatever order of its parts and
    with whatever between them: "PAT-12 34" as "pat1234", "Zyxwvut^Ann" as "AnnZyxwvut", "19800117" as "17.01.1980".
    They must begin and end where a run of letters or of digits does, and a capital within a word begins one; words of
    scripts without spaces stand anywhere. Case and accents do not matter. UIDs are searched for whole. Of two letters
    only the words of `names` are.
    """

    def __init__(self, texts: Iterable[str], names: Iterable[str] = ()) -> None:
        texts, short = {text for text in texts if text.strip()}, set()
        self._uids = {text for text in texts if _UID.fullmatch(text)}
        found: set[str] = set()
        for text in texts - self._uids:
            found.update(_list_spellings(text))
        for name in names:
            short |= {word for word in _list_words(name) if len(word) == 2 and word.isalpha()}
        self._unspaced = {word for word in found if _UNSPACED.search(word)}
        self._words = {word for word in found if len(word) >= LEAST_SEARCHED} | short
        self._longest = min(max(map(len, found), default=0), _LONGEST)

    def searches(self, identifier: str) -> bool:
        """Whether it is long enough, or a word of it."""
        return any(len(word) >= LEAST_SEARCHED or _UNSPACED.search(word) for word in _list_spellings(identifier))

    def hide(self, text: str) -> str:
        """The text with "…" for each such word."""
        text, places = self._find(text)
        return re.sub(r"\0+", HIDDEN, "".join("\0" if i in places else one for i, one in enumerate(text)))

    def holds(self, text: str) -> bool:
        return bool(self._find(text)[1])

    def show(self, text: str) -> str:
        """That on one line of at most 100 characters: a header may hold line breaks and codes of terminals."""
        plain = "".join(one if one.isprintable() else " " for one in self.hide(text))
        return " ".join(plain.split())[:_MOST_SHOWN]

    def _find(self, text: str) -> tuple[str, set[int]]:
        """The text with its accents composed, and which characters of it are to be hidden."""
        text = unicodedata.normalize("NFC", text)
        places: set[int] = set()
        for found in _UID.finditer(text):
            if found[0] in self._uids:
                places.update(range(*found.span()))
        runs = list(_split(text))
        for first, (start, _, _) in enumerate(runs):
            joined = ""
            for _, end, run in runs[first : first + _LONGEST]:
                joined += run
                if joined in self._words:
                    places.update(range(start, end))
                if len(joined) >= self._longest:
                    break
        for start, end, run in runs:
            parts = (run[i:j] for i in range(len(run)) for j in range(i + 1, min(len(run), i + self._longest) + 1))
            if self._unspaced and _UNSPACED.search(run) and any(part in self._unspaced for part in parts):
                places.update(range(start, end))
        return text, places


def _fold(text: str) -> str:
    """Letters and digits alone, in lower case, without accents."""
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFC", text).casefold().translate(_PLAIN))
    return unicodedata.normalize("NFC", "".join(one for one in plain if one.isalnum()))


def _split(text: str) -> Iterator[tuple[int, int, str]]:
    """(start, end, folded) of each run of letters or digits: "Zyxwvut", "2", "Ann" of "Zyxwvut2Ann"."""
    for found in _RUN.finditer(text):
        run, start = found[0], found.start()
        for i in range(1, len(run)):
            if run[i].isupper() and (run[i - 1].islower() or (run[i - 1].isupper() and run[i + 1 : i + 2].islower())):
                yield start, found.start() + i, _fold(text[start : found.start() + i])
                start = found.start() + i
        yield start, found.end(), _fold(text[start : found.end()])


def _list_words(text: str) -> Iterator[str]:
    for spelled in {text, text.casefold().translate(_TRANSCRIBED)}:
        yield from map(_fold, _WORD.findall(unicodedata.normalize("NFC", spelled)))


def _list_spellings(text: str) -> Iterator[str]:
    """The words of an identifier, their runs, and its parts put together in each order; of a date its spellings."""
    yield from _list_words(text)
    yield from (run for _, _, run in _split(unicodedata.normalize("NFC", text)))
    if found := _DAY.fullmatch(text):
        year, month, day = found.groups()
        yield from (year + month + day, day + month + year, month + day + year, f"{int(day)}{int(month)}{year}")
        yield from (year[2:] + month + day, day + month + year[2:])
    for spelled in {text, text.casefold().translate(_TRANSCRIBED)}:
        for group in spelled.split("="):  # a name in letters, in ideographs, by its sound
            parts = [part for part in map(_fold, group.split("^")) if part]
            for some in (parts, parts[:2]):
                if sum(map(len, some)) <= _LONGEST and len(some) <= 3:
                    yield from map("".join, permutations(some))
