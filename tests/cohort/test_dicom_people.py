"""A patient's sex and age, as headers say them, with what they were told from, and what a table says beside them."""

import json
from datetime import date, timedelta

import pytest
from dicom_files import make_affine, make_series, make_volume, write_series
from dicom_trees import make_source
from hypothesis import given
from hypothesis import strategies as st
from properties import examples

from umbrella.cohort.dicom.cohort_tables import Person, read_rows, write_tables
from umbrella.cohort.dicom.identity import Pseudonyms
from umbrella.cohort.dicom.journal import Journal
from umbrella.cohort.dicom.person import compare_ages, read_age, read_date, read_sex
from umbrella.cohort.dicom.stack_faults import Fault
from umbrella.cohort.dicom.survey import Judged, Survey, survey_folder
from umbrella.cohort.shared.visits import CohortError, Exclusions, Visit
from umbrella.cohort.tables.table_rows import TableOptions
from umbrella.privacy.mask import Mask

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


@pytest.mark.parametrize(
    ("visits", "odd"),
    [
        ([("44", "20240101"), ("45", "20250101")], ""),
        ([("44", "20240101"), ("44", "20250601"), ("46", "20260101")], ""),
        ([("44", "20240101"), ("", "20250101"), ("71", "")], ""),
        ([("1.5", "20240101"), ("2", "20240601")], ""),
        ([("47", "20260101"), ("30", "20240101")], "30 and 47 years at visits 2.0 years apart"),
        ([("44", "20240101"), ("30", "20250101")], "44 and 30 years at visits 1.0 years apart"),
    ],
)
def test_ages_of_two_persons_under_one_id_are_odd(visits, odd):
    assert compare_ages(visits) == odd


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


PEOPLE = {"2": "Li^Ann", "45": "Zyxwvut^Quentina", "998877": "Miller^Mark"}  # PatientID → PatientName


def write_table(folder, column, people=PEOPLE, name="said", **said):
    """participants.tsv of a table with that column beside the ids."""
    source = make_source(
        folder, folder / "tree", table=folder / "table.csv", columns=(name,), said=TableOptions(**said)
    )
    source.table.write_text(
        "\n".join([f"participant_id,{name}", *map(",".join, zip(people, column, strict=True))]) + "\n"
    )
    names, exclusions = Pseudonyms(b"k" * 32), Exclusions()
    rows = read_rows(source, names, exclusions)
    persons = {
        names.subject(who): Person("F", {1: "45"}, {1: "20250321"}, frozenset({1}), who, Mask([who, name, "19800117"]))
        for who, name in people.items()
    }
    write_tables(source, folder / "tree", persons, rows, exclusions)
    lines = (folder / "tree" / "participants.tsv").read_text().splitlines()[1:]
    return sorted(line.split("\t")[1] for line in lines)


@pytest.mark.parametrize("column", [("2", "2", "45"), ("45", "45", "998876"), ("2", "n/a", "n/a"), ("Li", "no", "AD")])
def test_a_tables_cells_that_may_be_an_id_by_chance_are_taken(tmp_path, column):
    assert write_table(tmp_path, column) == sorted(column)


@pytest.mark.parametrize(
    "column",
    [
        tuple(PEOPLE),  # ids under another name, of which short ones are numbers as others are
        ("2", "n/a", "998877"),
        ("a", "b", "998877"),
        ("a", "b", "sub-998877"),
        ("a", "of Quentina", "c"),
        ("LiAnn", "a", "b"),
        ("a", "17.01.1980", "c"),
        ("a", "b", "19800117"),
    ],
)
def test_a_tables_cell_with_its_own_patients_name_id_or_birth_date_is_refused(tmp_path, column):
    with pytest.raises(CohortError, match="column said: expected no name, id or birth date of the DICOM headers"):
        write_table(tmp_path, column)
    assert not (tmp_path / "tree" / "participants.tsv").exists()


@pytest.mark.parametrize(
    ("column", "described"), [(("1", "2", "2"), {"age"}), (("n/a", "n/a", "n/a"), {"age", "sex"})]
)
def test_what_codes_of_the_headers_mean_is_not_said_of_those_of_a_table(tmp_path, column, described):
    write_table(tmp_path, column, name="sex")
    assert json.loads((tmp_path / "tree" / "participants.json").read_text()).keys() == described


def test_an_id_that_lost_its_zeros_is_told():
    exclusions, judged = Exclusions(), Judged(make_series(patient_id="007A"), None, Fault("localizer", "one"))
    Journal(Survey([judged], Mask(()), []), Pseudonyms(b"k" * 32), exclusions).place(
        {who: [Visit(who, "", {})] for who in ("7A", "07a", "17A", "7B")}
    )
    told = {row.participant_id for row in exclusions.rows if "zeros in columns of text" in row.detail}
    assert told == {"7A", "07a"}


def test_a_column_of_ids_that_are_short_numbers_is_refused_where_all_are_their_own(tmp_path):
    people = {"2": "Li", "045": "Quentina"}
    for column in (("2", "045"), ("sub-2", "045")):
        with pytest.raises(CohortError, match="column said: expected no name, id or birth date"):
            write_table(tmp_path, column, people)
    assert write_table(tmp_path, ("2", "046"), people) == ["046", "2"]


def test_the_days_of_visits_are_in_no_table_though_a_flag_names_their_column(tmp_path):
    assert write_table(tmp_path, ["2025-03-21"] * 3, session_column="said") == ["F"] * 3  # the sex comes first
    written = "".join(path.read_text() for path in (tmp_path / "tree").rglob("*.tsv"))
    assert "2025" not in written and "said" not in written


def test_a_row_without_a_dicom_file_is_counted_under_its_hash():
    names, exclusions = Pseudonyms(b"k" * 32), Exclusions()
    left_out = Judged(make_series(patient_id="A-1"), None, Fault("localizer", "one"))
    journal = Journal(Survey([left_out], Mask(()), []), names, exclusions)
    assert journal.place({names.subject(who): [] for who in ("A-1", "a-1", "B-2")}) == []
    assert "zeros" not in "".join(row.detail for row in exclusions.rows)
    found = sorted((row.participant_id, row.reason) for row in exclusions.rows)
    assert found == sorted(
        [(names.subject("A-1"), "localizer"), (names.subject("a-1"), "no scan"), (names.subject("B-2"), "no scan")]
    )


def test_an_entity_that_a_description_says_names_nobody(tmp_path):
    """A file's name would hold it: task-quentina."""
    for number, task in enumerate(("nback", "Quentina", "998877")):
        header = {"series": number, "PatientName": "Lee^Quentina", "PatientID": "998877", "StudyID": "s"}
        write_series(tmp_path / "in" / task, make_volume((8, 8, 4)), make_affine(),
                     SeriesDescription=f"func_task-{task}", **header)  # fmt: skip
    judged = survey_folder(make_source(tmp_path / "in", tmp_path / "tree")).judged
    assert sorted(one.rule.entities["task"] if one.rule else one.fault.reason for one in judged) == [
        "nback",
        "no rule",
        "no rule",
    ]
    (said,) = {one.fault.detail for one in judged if one.fault}
    assert said == "expected an entity that names nobody, found an identifier in the description"
