"""A patient's sex and age, from the headers, each with what it was told from."""

import re
from collections.abc import Iterable
from datetime import date
from itertools import pairwise

UNKNOWN = "n/a"  # BIDS's word for no value
MOST_YEARS = 120
_MOST_ODD = 2.0  # years
_DAYS_IN_YEAR = 365.25
_UNITS = {"Y": 1.0, "M": 1 / 12, "W": 7 / _DAYS_IN_YEAR, "D": 1 / _DAYS_IN_YEAR}


def read_sex(values: Iterable[str]) -> tuple[str, str]:
    """("F" or "M", the evidence) from PatientSex (0010,0040) of all of a patient's headers; "n/a" for another value,
    none, or two that contradict each other."""
    found = sorted({value.strip().upper() for value in values} - {""})
    if not found:
        return UNKNOWN, "PatientSex is empty"
    if len(found) > 1:
        return UNKNOWN, f"PatientSex is {' and '.join(map(_show, found))}"
    return (found[0], "PatientSex") if found[0] in ("F", "M") else (UNKNOWN, f"PatientSex is {_show(found[0])}")


def read_age(values: Iterable[tuple[str, str, str]]) -> tuple[str, str]:
    """(years, the evidence) of one visit: "45", below 2 years in hundredths, "n/a" where it cannot be told.

    values    (PatientAge (0010,1010), PatientBirthDate (0010,0030), StudyDate (0008,0020)) of each header of the visit
    PatientAge goes first. It is in whole years, and so are ages by the dates, which never are written. The evidence
    says where the two are more than a year apart. Ages of a visit that are, give none.
    """
    stated, counted = set(), set()
    for age, birth, study in values:
        stated.add(_read_stated(age))
        counted.add(_count_years(birth, study))
    stated, counted = stated - {None}, counted - {None}
    for years, source in ((stated, "PatientAge"), (counted, "PatientBirthDate and StudyDate")):
        if years and max(years) - min(years) > 1:
            return UNKNOWN, f"{source} of one visit say {_format(min(years))} and {_format(max(years))} years"
    if stated:
        years, evidence = min(stated), "PatientAge"
        if counted and abs(years - min(counted)) > 1:
            evidence += f"; by PatientBirthDate and StudyDate it would be {_format(min(counted))}"
        return _format(years), evidence
    if counted:
        return _format(min(counted)), "PatientBirthDate and StudyDate"
    return UNKNOWN, "neither PatientAge nor PatientBirthDate and StudyDate tell it"


def compare_ages(visits: Iterable[tuple[str, str]]) -> str:
    """What is odd about the ages of one person at several visits, as of two persons under one id; "" where nothing is.

    visits    (age in years, day as "20250131") of each, "" where it is not known
    Ages in whole years may differ by one from the time between the days, and by one more that was typed late.
    """
    known = sorted((day, float(age)) for age, text in visits if age and (day := read_date(text)))
    for (day, years), (next_day, next_years) in pairwise(known):
        between = (next_day - day).days / _DAYS_IN_YEAR
        if abs(next_years - years - between) > _MOST_ODD:
            return f"{_format(years)} and {_format(next_years)} years at visits {between:.1f} years apart"
    return ""


def read_date(text: str) -> date | None:
    """The day of a DICOM date, "20250131" or as of old "2025.01.31"; None of another text, as "00000000" or "1980"."""
    found = re.fullmatch(r"(\d{4})\.?(\d{2})\.?(\d{2})", text.strip(), re.ASCII)
    try:
        return date(*map(int, found.groups())) if found else None
    except ValueError:
        return None


def _read_stated(text: str) -> float | None:
    """Years of "045Y", "018M", "003W", "010D" (PS3.5 6.2, AS); "45" is taken for years, as readers do. Of a newborn
    0."""
    found = re.fullmatch(r"(\d{1,3})([YMWD]?)", text.strip().upper(), re.ASCII)
    if found is None:
        return None
    years = int(found[1]) * _UNITS[found[2] or "Y"]
    is_stated = years > 0 or found[2] not in ("", "Y")  # "000Y" stands where nothing was typed
    return years if is_stated and years <= MOST_YEARS else None


def _count_years(birth: str, study: str) -> float | None:
    born, scanned = read_date(birth), read_date(study)
    if born is None or scanned is None or scanned < born:
        return None
    years = scanned.year - born.year - ((scanned.month, scanned.day) < (born.month, born.day))
    if years > MOST_YEARS:
        return None
    return float(years) if years >= 2 else (scanned - born).days / _DAYS_IN_YEAR


def _format(years: float) -> str:
    return f"{years:.0f}" if years >= 2 and years == int(years) else f"{years:.2f}".rstrip("0").rstrip(".")


def _show(value: str) -> str:
    """Only words that the standard knows are shown: others may be anything."""
    return value if value in ("F", "M", "O") else "another word"
