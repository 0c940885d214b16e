"""Who is meant by a header, without saying it: keyed hashes for patients and series, numbers for visits, a mask."""

import re
from collections import defaultdict
from collections.abc import Iterable

from umbrella.cohort.dicom.instances import Instance, Series
from umbrella.cohort.dicom.person import read_date
from umbrella.privacy.scrub import Scrubber
from umbrella.records.cohort import to_key

LEAST_SEARCHED = 3  # characters; a shorter identifier, as "7", is part of ordinary words and numbers
HIDDEN = "…"

_WORD = re.compile(r"[^\W_]+")
_RUN = re.compile(r"[^\W\d_]+|\d+")  # "zyxwvut" and "2" of the word "Zyxwvut2"
_UID = re.compile(r"(?<![\d.])\d++(?:\.\d++){2,}+")
_DAY = re.compile(r"\d{8}")


class Pseudonyms:
    """Names that only the key's holder can trace back; the same key gives the same names."""

    def __init__(self, key: bytes) -> None:
        self._scrubber = Scrubber(key)

    @property
    def check(self) -> str:
        """Tells one key from another, and nothing of it."""
        return self._scrubber.hash("check of the key")

    def subject(self, patient_id: str) -> str:
        """ "sub-" and twelve letters; "01" and "sub-01" are one patient, as in a participants table."""
        return self._scrubber.subject(to_key(patient_id))

    def series(self, series: Series) -> str:
        first = series.first
        uid = first.series_uid or f"{first.patient_id} {first.study_uid} {first.number}"
        return self._scrubber.hash(f"series {uid} {first.echo} {first.part}")

    def content(self, series: Series, how: str) -> str:
        """Changes with the series' files, their sizes and times, and with `how` they are converted."""
        files = [f"{one.sop_uid} {one.size} {one.modified}" for one in series.instances]
        return self._scrubber.hash("\n".join([f"content {how}", *files]))


def find_day(series: Series) -> str:
    """The day of a series' study, "20250131"; "" where no header states one."""
    return next((f"{day:%Y%m%d}" for one in series.instances if (day := read_date(one.study_date))), "")


def number_visits(series: Iterable[Series]) -> tuple[dict[tuple[str, str], int], list[str]]:
    """((patient's id, day or study) → 1, 2 … in the order of the days, ids of which that order is not known).

    A visit is a day on which a patient was scanned; without a date it is a study, after those with one. Of a patient
    who has several visits, one of them without a date, nobody knows the order.
    """
    visits = defaultdict(set)
    for one in series:
        visits[to_key(one.first.patient_id)].add(to_visit_key(one))
    numbers, unordered = {}, []
    for patient, keys in visits.items():
        for number, key in enumerate(sorted(keys, key=lambda key: (not _DAY.fullmatch(key), key)), 1):
            numbers[patient, key] = number
        if len(keys) > 1 and not all(map(_DAY.fullmatch, keys)):
            unordered.append(patient)
    return numbers, unordered


def to_visit_key(series: Series) -> str:
    """What tells a patient's visits apart: the day, else the study."""
    return find_day(series) or series.first.study_uid


def list_identifiers(instances: Iterable[Instance]) -> set[str]:
    """All texts of these headers that name a patient, a person, a place or a day."""
    texts: set[str] = set()
    for one in instances:
        texts.update((one.patient_id, one.patient_name, one.birth_date, one.study_date, one.study_uid))
        texts.update((one.series_uid, one.sop_uid, *one.identifiers))
    return texts


class Mask:
    """Hides the words of identifiers. What is shown or written of a header's text goes through it.

    Words of names, ids and dates are searched for as whole words, and as runs of letters or of digits within one; UIDs
    whole; whatever the case. Identifiers under three characters are not.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        texts = {text for text in texts if text.strip()}
        self._uids = {text for text in texts if _UID.fullmatch(text)}
        words = {word for text in texts - self._uids for word in _WORD.findall(text.casefold())}
        words |= {run for word in words for run in _RUN.findall(word)}
        self._words = {word for word in words if len(word) >= LEAST_SEARCHED}

    def searches(self, identifier: str) -> bool:
        """Whether any word of it is long enough."""
        return any(len(word) >= LEAST_SEARCHED for word in _WORD.findall(identifier))

    def hide(self, text: str) -> str:
        """The text with "…" for each such word."""
        text = _UID.sub(lambda found: HIDDEN if found[0] in self._uids else found[0], text)
        return _WORD.sub(lambda found: self._hide_word(found[0]), text)

    def _hide_word(self, word: str) -> str:
        if word.casefold() in self._words:
            return HIDDEN
        return _RUN.sub(lambda run: HIDDEN if run[0].casefold() in self._words else run[0], word)

    def holds(self, text: str) -> bool:
        return self.hide(text) != text
