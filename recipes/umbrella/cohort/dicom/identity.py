"""Who is meant by a header, without saying it: keyed hashes for patients and series, numbers for visits."""

import re
from collections import defaultdict
from collections.abc import Iterable

from umbrella.cohort.dicom.instances import Instance, Series
from umbrella.cohort.dicom.person import read_date
from umbrella.privacy.scrub import Scrubber
from umbrella.records.cohort import to_key

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

    A visit is a day on which a patient was scanned, without a date a study. Of a patient who has several visits, one
    of them without a date, nobody knows the order: those without are -1, -2 …, in no order.
    """
    visits = defaultdict(set)
    for one in series:
        visits[to_key(one.first.patient_id)].add(to_visit_key(one))
    numbers, unordered = {}, []
    for patient, keys in visits.items():
        days, studies = [], []
        for key in sorted(keys):
            (days if _DAY.fullmatch(key) else studies).append(key)
        numbers |= {(patient, day): number for number, day in enumerate(days, 1)}
        sign = -1 if len(keys) > 1 else 1
        numbers |= {(patient, study): sign * number for number, study in enumerate(studies, 1)}
        if sign < 0 and studies:
            unordered.append(patient)
    return numbers, unordered


def name_visit(number: int) -> str:
    """ "1", or "undated1" of -1: a name that no order can be read from."""
    return str(number) if number > 0 else f"undated{-number}"


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
