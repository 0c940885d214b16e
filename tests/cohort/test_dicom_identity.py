"""Patients are hashes, visits are numbers in the order of their days, names and ids are hidden in what is shown."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from properties import examples

from umbrella.cohort.dicom.bids_names import Named, find_targets
from umbrella.cohort.dicom.identity import Pseudonyms, name_visit, number_visits
from umbrella.cohort.dicom.instances import Instance, Series
from umbrella.cohort.dicom.sidecar import KEPT, make_sidecar
from umbrella.cohort.order import make_session_order
from umbrella.cohort.shared.visits import CohortError, Exclusions, Visit
from umbrella.cohort.tables.header_cells import add_header_cells
from umbrella.cohort.tables.visit_rows import match_rows
from umbrella.privacy.mask import HIDDEN, Mask

BLANK = Instance(
    **dict.fromkeys(Instance._fields, "")
    | {"size": 1, "modified": 1, "image_type": (), "overlay_bits": (), "orientation": (), "positions": (),
       "matrix": (1, 1), "n_stated": 0, "identifiers": (), "part": "M", "n_orientations": 1, "mosaic": 0}
)  # fmt: skip


def make_series(**header):
    return Series((BLANK._replace(**header),))


def test_a_patient_has_one_name_for_a_key_in_both_spellings_and_another_for_another_key():
    one, other = Pseudonyms(b"k" * 32), Pseudonyms(b"l" * 32)
    assert one.subject("PAT-7") == one.subject(" PAT-7") == one.subject("sub-PAT-7") != one.subject("PAT-8")
    assert one.subject("PAT-7") != other.subject("PAT-7") and one.check != other.check
    assert len({one.subject(str(i)) for i in range(1000)}) == 1000


def test_a_scan_is_made_anew_where_its_files_or_the_way_they_are_converted_changed():
    names, series = Pseudonyms(b"k" * 32), make_series(sop_uid="1.2.3")
    changed = [make_series(sop_uid="1.2.3", **change) for change in ({"size": 2}, {"modified": 2})]
    contents = [names.content(some, "1") for some in (series, *changed)] + [names.content(series, "2")]
    assert len(set(contents)) == 4 and names.content(make_series(sop_uid="1.2.3"), "1") == contents[0]


@examples(50)
@given(st.permutations([("a", day, study) for day, study in
                        [("20250131", "1"), ("20240501", "2"), ("2024.05.01", "3"), ("20250201", "4")]]))  # fmt: skip
def test_visits_are_days_in_their_order(headers):
    series = [make_series(patient_id=who, study_date=day, study_uid=study) for who, day, study in headers]
    numbers, unordered = number_visits(series)
    assert numbers == {("a", "20240501"): 1, ("a", "20250131"): 2, ("a", "20250201"): 3} and unordered == []


def test_a_visit_without_a_date_beside_others_has_no_place_in_their_order():
    series = [make_series(patient_id="a", study_date="", study_uid="9.9"), make_series(patient_id="b", study_uid="7")]
    numbers, unordered = number_visits([*series, make_series(patient_id="a", study_date="20250131", study_uid="1")])
    assert numbers == {("a", "20250131"): 1, ("a", "9.9"): -1, ("b", "7"): 1} and unordered == ["a"]
    visits = [Visit("a", name_visit(number), {}) for (who, _), number in numbers.items() if who == "a"]
    with pytest.raises(CohortError, match=r"whose order in time can be told .* undated1\. Give --sessions"):
        make_session_order(visits, (), None)


@pytest.mark.parametrize(
    "text, shown",
    [
        ("t1_mprage_sag", "t1_mprage_sag"),
        ("AX T1 ZYXWVUT", f"AX T1 {HIDDEN}"),
        ("t2_zyxwvut_sag", f"t2_{HIDDEN}_sag"),
        ("Zyxwvut2 FLAIR", f"{HIDDEN}2 FLAIR"),
        ("pat998877", HIDDEN),
        ("PAT-998877 of 19800117", f"{HIDDEN} of {HIDDEN}"),
        ("uid 1.2.840.7, not 1.2.840.77", f"uid {HIDDEN}, not 1.2.840.77"),
        ("müller MÜLLER", f"{HIDDEN} {HIDDEN}"),
        ("A7 is too short", "A7 is too short"),
        ("", ""),
    ],
)
def test_words_of_names_and_ids_are_hidden(text, shown):
    mask = Mask(["Zyxwvut^Quentina", "PAT-998877", "19800117", "1.2.840.7", "Müller^", "A7", ""])
    assert mask.hide(text) == shown and mask.holds(text) == (text != shown)
    assert not mask.searches("A7") and mask.searches("A77")


PEOPLE = ["Zyxwvut^Anke^Ö", "12-34-56", "A.B.7.7", "19800117", "1961.12.03", "Müller^Jörg", "Li^Wu", "Hwang=黄^小明"]
WRITTEN = """ankezyxwvut ZyxwvutAnke t1ZYXWVUTanke 123456 12_34_56 12.34.56 q/12-34-56 AB77 a-b-7-7 17.01.1980
17.1.1980 800117 01/17/1980 19611203 3.12.1961 Mueller MULLER Mu\u0308ller JoergMueller jorg Li WU liwu Wu-Li 黄小明
小明T2 大黄""".split()


@pytest.mark.parametrize("written", WRITTEN)
def test_a_name_an_id_and_a_day_are_hidden_however_they_are_written(written):
    mask, plain = Mask(PEOPLE, PEOPLE[:1] + PEOPLE[5:]), "t1 mprage sag 3 mm iso, te 2.4.6, AB 7, like 小脳"
    assert set(mask.hide(f"t2_{written} tra").removeprefix("t2_").removesuffix(" tra")) <= {*HIDDEN, *"qtT/123"}
    assert mask.hide(plain) == plain and all(map(mask.searches, PEOPLE))


def test_what_is_shown_of_a_header_is_one_line_that_no_terminal_obeys():
    shown = Mask(["Zyxwvut"]).show("t1\r\n\tzyxwvut \x1b[31mred\x07 \u202eab\x9b1m" + "x" * 1000)
    assert shown.startswith(f"t1 {HIDDEN} [31mred ab 1mx") and len(shown) == 100 and shown.isprintable()


def test_only_numbers_and_known_codes_come_into_a_sidecar():
    assert make_sidecar({
        "EchoTime": 0.003, "RepetitionTime": "2.0 Zyxwvut", "FlipAngle": True, "InversionTime": float("nan"),
        "Manufacturer": "Siemens", "MRAcquisitionType": "3D of Zyxwvut", "ScanningSequence": "GR_IR",
        "SequenceVariant": "SK_ZYXWVUT", "SliceTiming": [0.0, 1.0], "ProtocolName": "Zyxwvut", "Modality": "MR",
        "PhaseEncodingDirection": "j-", "StationName": "S", "SpacingBetweenSlices": [3], "TaskName": "Zyxwvut",
    }, "rest") == {
        "EchoTime": 0.003, "Manufacturer": "Siemens", "Modality": "MR", "PhaseEncodingDirection": "j-",
        "ScanningSequence": "GR_IR", "SliceTiming": [0.0, 1.0], "TaskName": "rest",
    }  # fmt: skip
    assert not [key for key in KEPT if "Date" in key or "ID" in key or "Name" in key or "Description" in key]


def test_scans_of_one_name_are_runs_by_their_series_numbers_and_echoes_are_numbered_by_their_times():
    def name(number, uid, echo="", **entities):
        series = make_series(number=number, series_uid=uid, echo=echo)
        return Named(series, "sub-a", 1, "anat", "T1w", entities)

    named = [
        name("10", "b"),
        name("9", "a"),
        name("3", "c", ce="gadolinium"),
        name("4", "e", "80"),
        name("4", "e", "9.5"),
    ]
    assert find_targets(named) == [
        f"sub-a/ses-1/anat/sub-a_ses-1_{rest}_T1w" for rest in ("run-2", "run-1", "ce-gadolinium", "echo-2", "echo-1")
    ]


def match(rows, days):
    exclusions = Exclusions()
    visits = [Visit("p", session, {"score": value, "when": session}) for session, value in rows]
    values = match_rows(visits, ["score"], days, "sub-x", exclusions)
    return {visit: cells.get("score") for visit, cells in values.items()}, len(exclusions.rows), exclusions


DAYS = {1: "20240501", 2: "20250131"}


@pytest.mark.parametrize(
    "rows, days, expected, n_left_out",
    [
        ([("", "5")], DAYS, {1: "5", 2: "5"}, 0),
        ([("2025-01-31", "5"), ("2024-05-01", "6")], DAYS, {1: "6", 2: "5"}, 0),
        ([("31.1.2025", "5")], DAYS, {1: None, 2: "5"}, 0),
        ([("20250131", "5"), ("20250201", "7")], DAYS, {1: None, 2: "5"}, 1),
        ([("0", "5"), ("12", "6")], DAYS, {1: "5", 2: "6"}, 0),
        ([("m24", "6"), ("m6", "5")], DAYS, {1: "5", 2: "6"}, 0),
        ([("1", "5")], DAYS, {1: None, 2: None}, 1),
        ([("1", "5"), ("2", "6"), ("3", "7")], DAYS, {1: None, 2: None}, 3),
        ([("before", "5"), ("after", "6")], DAYS, {1: None, 2: None}, 2),
        ([("1", "5"), ("2", "6")], {1: "20240501", 2: ""}, {1: None, 2: None}, 2),
        ([("1", "5")], {1: ""}, {1: "5"}, 0),
    ],
)
def test_a_row_is_of_the_visit_on_its_day_or_in_its_order_or_of_none(rows, days, expected, n_left_out):
    found, n, exclusions = match(rows, days)
    assert (found, n) == (expected, n_left_out)
    assert not [row for row in exclusions.rows if "2025" in str(row)]


@pytest.mark.parametrize(
    "theirs, expected, said",
    [
        (["male", "", "n/a"], ["male", "F", "male"], "of 2 visits from the DICOM headers, of 1 from the table"),
        (["M", "female", ""], ["M", "female", "M"], "of 1 visits"),
        (["1", "2", ""], ["1", "2", ""], "is not used .* found 1, 2"),
        (["male", "man", ""], ["male", "man", ""], "of 2 visits with both, 1 have another sex, as 1. Correct"),
        (["female", "F", "F"], ["female", "F", "F"], "of 3 visits with both, 2 have another sex"),
        (["", "", ""], ["M", "F", "M"], "of 3 visits"),
    ],
)
def test_sex_of_the_headers_fills_what_the_table_lacks_in_its_words(theirs, expected, said):
    found, notes = fill("sex", theirs, ["M", "F", "M"])
    assert found == expected and re.search(said, notes)


@pytest.mark.parametrize(
    "theirs, expected, said",
    [
        (["45.4", "", "61"], ["45.4", "52", "61"], "none is more than 1 year apart"),
        (["540", "", ""], ["540", "", ""], "1 have an age more than 1 year apart"),
        (["", "", ""], ["45", "52", "60"], "of 3 visits"),
        (["", "", "", "540"], ["", "", "", "540"], "no visit has both"),
    ],
)
def test_age_of_the_headers_fills_what_the_table_lacks_where_both_agree(theirs, expected, said):
    found, notes = fill("age", theirs, ["45", "52", "60", ""][: len(theirs)])
    assert found == expected and said in notes


def fill(name, theirs, headers):
    cells = {str(i): {1: {name: value}} for i, value in enumerate(theirs)}
    exclusions = Exclusions()
    columns = add_header_cells(
        cells, [name], {name: {str(i): {1: value} for i, value in enumerate(headers)}}, exclusions
    )
    assert columns == [name]
    return [cells[str(i)][1][name] for i in range(len(theirs))], "\n".join(exclusions.notes)
