"""A patient's sex and age, as headers say them, with what they were told from."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from properties import examples

from umbrella.cohort.dicom.person import read_age, read_date, read_sex

NEITHER = "neither PatientAge nor PatientBirthDate and StudyDate tell it"
BY_DATES = "PatientBirthDate and StudyDate"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["F", "F"], ("F", "PatientSex")),
        (["m ", ""], ("M", "PatientSex")),
        (["O"], ("n/a", "PatientSex is O")),
        ([""], ("n/a", "PatientSex is empty")),
        ([], ("n/a", "PatientSex is empty")),
        (["F", "M"], ("n/a", "PatientSex is F and M")),
        (["Quentina"], ("n/a", "PatientSex is another word")),
    ],
)
def test_a_sex_is_that_of_all_headers_or_cannot_be_told(values, expected):
    assert read_sex(values) == expected


@pytest.mark.parametrize(
    ("stated", "years"),
    [
        ("045Y", "45"),
        ("45", "45"),
        ("45Y", "45"),
        ("018M", "1.5"),
        ("030M", "2.5"),
        ("003W", "0.06"),
        ("010D", "0.03"),
        ("000D", "0"),
        ("120Y", "120"),
        ("001Y", "1"),
        ("000Y", None),  # where nothing was typed
        ("0", None),
        ("ABC", None),
        ("-45Y", None),
        ("200Y", None),
        ("४५Y", None),
        ("", None),
    ],
)
def test_an_age_as_stated(stated, years):
    assert read_age([(stated, "", "")]) == ((years, "PatientAge") if years else ("n/a", NEITHER))


@pytest.mark.parametrize(
    ("birth", "study", "years"),
    [
        ("19800117", "20250321", "45"),
        ("19800321", "20250321", "45"),
        ("19800322", "20250321", "44"),
        ("20000229", "20250228", "24"),
        ("20000229", "20250301", "25"),
        ("1980.01.17", "2025.03.21", "45"),
        ("20240321", "20250321", "1"),
        ("20240920", "20250321", "0.5"),
        ("20250321", "20250321", "0"),
        ("20250322", "20250321", None),
        ("18000101", "20250321", None),
        ("00000000", "20250321", None),
        ("1980", "20250321", None),
        ("19801332", "20250321", None),
        ("19800117", "", None),
    ],
)
def test_an_age_by_the_dates(birth, study, years):
    assert read_age([("", birth, study)]) == ((years, BY_DATES) if years else ("n/a", NEITHER))


def test_what_is_stated_goes_first_and_the_difference_is_said():
    assert read_age([("044Y", "19800117", "20250321")]) == ("44", "PatientAge")  # rounded otherwise
    years, evidence = read_age([("054Y", "19800117", "20250321")])
    assert years == "54" and evidence == "PatientAge; by PatientBirthDate and StudyDate it would be 45"


def test_ages_of_a_visit_that_contradict_each_other_give_none():
    assert read_age([("045Y", "", ""), ("046Y", "", ""), ("", "", "")]) == ("45", "PatientAge")
    assert read_age([("045Y", "", ""), ("054Y", "", "")]) == (
        "n/a",
        "PatientAge of one visit say 45 and 54 years",
    )
    assert read_age([("", "19800117", "20250321"), ("", "19700117", "20250321")])[0] == "n/a"


@examples(60)
@given(st.dates(date(1900, 1, 1), date(2030, 1, 1)), st.integers(0, 36_500))
def test_an_age_by_dates_is_the_number_of_birthdays(born, days):
    scanned = born + timedelta(days)
    birthdays, year = 0, born.year + 1
    while True:
        try:
            birthday = born.replace(year=year)
        except ValueError:  # 29 February
            birthday = date(year, 3, 1)
        if birthday > scanned:
            break
        birthdays, year = birthdays + 1, year + 1
    years, evidence = read_age([("", f"{born:%Y%m%d}", f"{scanned:%Y%m%d}")])
    assert evidence == BY_DATES
    assert years == str(birthdays) if birthdays >= 2 else float(years) == pytest.approx(days / 365.25, abs=0.006)
    for part in (f"{born:%Y%m%d}", f"{scanned:%Y%m%d}"):
        assert part not in years + evidence


def test_a_date_is_read_or_is_none():
    assert read_date(" 20250131") == read_date("2025.01.31") == date(2025, 1, 31)
    assert [read_date(text) for text in ("", "20250231", "00000000", "1980", "2025-01-31", "2025013", "٢٠٢٥٠١٣١")] == [
        None
    ] * 7
