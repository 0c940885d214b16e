"""Columns as tables of public BIDS datasets have them, each with the kind, labels and unit that it must get."""

import json
from collections import Counter

import pytest

from umbrella.cohort.questions.target import TargetOptions, understand_target
from umbrella.cohort.questions.templates import find_template
from umbrella.cohort.shared.visits import Visit
from umbrella.cohort.tables.column_description import describe_column

AGES = ["21.94", "22.79", "19.65", "25.98", "23.24", "23.27", "34.72", "22.22", "22.7", "n/a"]

# name, column, cells, its entry in participants.json, kind, answers (None: left out), unit
COLUMNS = [
    ("BIDS's own example", "age", ["34", "12", "33"], None, "numeric", ["34", "12", "33"], "years"),
    ("decimals", "age", AGES, {"Units": "year"}, "numeric", [*AGES[:-1], None], "years"),
    ("babies", "age", ["3", "6", "3", "9"], {"Units": "months"}, "numeric", ["3", "6", "3", "9"], "months"),
    ("decimal commas", "age", ["23,5", "31,25", "44"], None, "numeric", ["23.5", "31.25", "44"], "years"),
    ("89+ for privacy", "age", [*"61 72 55 80 89+ 77 68".split()], None, "numeric",
     "61 72 55 80 - 77 68".split(), "years"),
    ("ranges", "age", ["20-25", "25-30", "20-25"], None, "categorical", ["20-25", "25-30", "20-25"], ""),
    ("ranges with an en dash", "age", ["20–25", "20-25", "25-30", "20-25"], None, "categorical",
     ["20-25", "20-25", "25-30", "20-25"], ""),
    ("sex in capitals", "sex", ["F", "M", "M", "n/a"], {"Levels": {"M": "male", "F": "female"}}, "categorical",
     ["female", "male", "male", None], ""),
    ("sex in four spellings", "gender", ["f", "female", "F", "Male", "M", "MALE"], None, "categorical",
     ["female", "female", "female", "male", "male", "male"], ""),
    ("sex of which one is other", "sex", ["F", "M", "O", "F"], None, "categorical",
     ["female", "male", None, "female"], ""),
    ("other has a level", "sex", ["F", "M", "O"], {"Levels": {"M": "male", "F": "female", "O": "other"}},
     "categorical", ["female", "male", "other"], ""),
    ("sex as codes", "sex", ["1", "2", "1"], {"Levels": {"1": "male", "2": "female"}}, "categorical",
     ["male", "female", "male"], ""),
    ("codes as pandas writes them", "sex", ["1.0", "2.0", "1.0"], {"Levels": {"1": "Male", "2": "Female"}},
     "categorical", ["male", "female", "male"], ""),
    ("levels with terms", "sex", ["F", "M"], {"Levels": {"F": {"Description": "Female", "TermURL": "http://x"},
     "M": {"Description": "Male", "TermURL": "http://y"}}}, "categorical", ["female", "male"], ""),
    ("handedness", "handedness", ["R", "L", "R", "A"], {"Levels": {"R": "right", "L": "left", "A": "ambidextrous"}},
     "categorical", ["right", "left", "right", "ambidextrous"], ""),
    ("Edinburgh inventory", "handedness", ["100", "-100", "85.7", "60"], {"Units": "arbitrary"}, "numeric",
     ["100", "-100", "85.7", "60"], ""),
    ("group in text", "group", ["Control", "control", "Control", "PAT"], None, "categorical",
     ["Control", "Control", "Control", "PAT"], ""),
    ("group as codes", "group", ["0", "1", "1", "0"], {"Levels": {"0": "control", "1": "patient"}}, "categorical",
     ["control", "patient", "patient", "control"], ""),
    ("codes that nothing names", "group", ["1", "2", "3", "1", "2", "3"], None, "categorical", [*"123123"], ""),
    ("diagnosis codes of UCLA's study", "diagnosis", ["CONTROL", "SCHZ", "BIPOLAR", "ADHD"], None, "categorical",
     ["CONTROL", "SCHZ", "BIPOLAR", "ADHD"], ""),
    ("one diagnosis, two spellings", "dx", ["AD", "ad", "MCI", "AD "], None, "categorical",
     ["AD", "AD", "MCI", "AD"], ""),
    ("levels that are sentences", "group", ["a", "b"], {"Levels": {
     "a": "People who were scanned before the treatment began",
     "b": "People who were scanned after the treatment began"}}, "categorical", ["a", "b"], ""),
    ("a level that is missing", "group", ["1", "2", "-9", "1"], {"Levels": {"1": "HC", "2": "PD", "-9": "missing"}},
     "categorical", ["HC", "PD", None, "HC"], ""),
    ("Hoehn and Yahr in halves", "hoehn_yahr", ["1", "1.5", "2", "2.5", "2", "3"], None, "numeric",
     ["1", "1.5", "2", "2.5", "2", "3"], ""),
    ("CDR", "cdr", ["0", "0.5", "1", "0", "0.5", "2"], None, "numeric", ["0", "0.5", "1", "0", "0.5", "2"], ""),
    ("UPDRS", "updrs", [str(n) for n in (0, 3, 12, 40, 7, 25, 18, 33)], None, "numeric",
     [str(n) for n in (0, 3, 12, 40, 7, 25, 18, 33)], ""),
    ("a scale of which the ends are named", "pain", [str(n) for n in (0, 3, 10, 7, 2, 5, 8)],
     {"Levels": {"0": "none", "10": "worst"}}, "numeric", [str(n) for n in (0, 3, 10, 7, 2, 5, 8)], ""),
    ("MMSE", "MMSE", ["29", "30", "28", "29", "30", "26", "30", "24"], None, "numeric",
     ["29", "30", "28", "29", "30", "26", "30", "24"], ""),
    ("years of education", "education", ["12", "16", "16", "12", "18", "16"], {"Units": "years"}, "numeric",
     ["12", "16", "16", "12", "18", "16"], "years"),
    ("BMI", "bmi", ["22.5", "31.0", "19.8"], {"Units": "kg/m^2"}, "numeric", ["22.5", "31", "19.8"], "kg/m^2"),
    ("grades", "tumor_grade", ["grade 2", "Grade 2", "grade 3", "grade 2"], None, "categorical",
     ["grade 2", "grade 2", "grade 3", "grade 2"], ""),
    ("grades of tumours", "grade", [*"234243"], None, "categorical", [*"234243"], ""),
    ("dates", "acq_date", ["2019-03-01", "2019-04-01"], None, "categorical", ["2019-03-01", "2019-04-01"], ""),
    ("sites", "site", ["Oslo", "oslo ", "Berlin", "Oslo"], None, "categorical",
     ["Oslo", "Oslo", "Berlin", "Oslo"], ""),
    ("yes and no as codes", "smoker", ["0", "1", "0", "1", "n/a"], None, "categorical",
     ["0", "1", "0", "1", None], ""),
    ("a word of its own for missing", "age", ["31", "-", "44", "-", "-", "27", "60", "52"], None, "numeric",
     ["31", None, "44", None, None, "27", "60", "52"], "years"),
    ("an effect coding", "arm", ["-1", "1", "1"], None, "categorical", ["-1", "1", "1"], ""),
    ("two codes that are far apart", "cohort", ["10", "20", "10"], None, "categorical", ["10", "20", "10"], ""),
    ("a sidecar in other letter case", "Group", ["1", "2"], {"Levels": {"1": "HC", "2": "PD"}}, "categorical",
     ["HC", "PD"], ""),
    ("eight IQs", "iq", [str(n) for n in (101, 98, 120, 87, 110, 93, 105, 131)], None, "numeric",
     [str(n) for n in (101, 98, 120, 87, 110, 93, 105, 131)], ""),
]  # fmt: skip


def understand(folder, column, cells, entry=None, reference="none", **options):
    sidecar = folder / "participants.json"
    sidecar.write_text(json.dumps({} if entry is None else {column.lower(): entry}))
    visits = [Visit(f"sub-{i:02d}", "", {column: cell}) for i, cell in enumerate(cells)]
    template = find_template(column, reference)
    target = understand_target(visits, TargetOptions(column, **options), template, describe_column([sidecar], column))
    return target, [target.read(visit)[0] for visit in visits], template


@pytest.mark.parametrize("name, column, cells, entry, kind, answers, unit", COLUMNS, ids=[c[0] for c in COLUMNS])
def test_a_column_is_what_a_reader_of_the_table_takes_it_for(
    tmp_path, name, column, cells, entry, kind, answers, unit
):
    target, read, template = understand(tmp_path, column, cells, entry)
    assert (target.kind, read) == (kind, [None if answer == "-" else answer for answer in answers])
    if template.fits(kind, "single"):
        assert target.unit == unit


def test_labels_stand_in_the_order_of_the_sidecar(tmp_path):
    entry = {"Levels": {"2": "mild", "0": "none", "1": "moderate"}}
    target, _, _ = understand(tmp_path, "stage", ["1", "0", "2", "0"], entry)
    assert target.label_order == ("mild", "none", "moderate")


def test_labels_of_the_user_win_over_the_sidecar_and_others_go(tmp_path):
    entry = {"Levels": {"1": "HC", "2": "PD", "3": "MSA"}}
    labels = {"1": "healthy", "2": "ill"}
    target, answers, _ = understand(tmp_path, "group", ["1", "2.0", "3", "01"], entry, labels=labels)
    assert answers == ["healthy", "ill", None, "healthy"]
    assert "none of 1, 2" in target.read(Visit("x", "", {"group": "3"}))[2]


def test_the_kind_can_be_stated(tmp_path):
    ages = ["20", "31", "20", "45"]
    assert understand(tmp_path, "age", ages, kind="categorical")[0].kind == "categorical"
    assert understand(tmp_path, "group", ["0", "1", "0", "1"], kind="numeric")[1] == ["0", "1", "0", "1"]
    assert understand(tmp_path, "grade", ["0", "1", "0", "1"], unit="points")[0].unit == "points"


def test_everything_inferred_is_a_line_with_its_evidence_and_the_flag_that_decides_otherwise(tmp_path):
    target, _, _ = understand(tmp_path, "age", ["23,5", "31", "44", "52", "61", "35", "29", "-1"], missing=("-1",))
    lines = [finding.to_line(frozenset({"--missing"})) for finding in target.findings]
    assert lines == [
        "inferred  age: 7 values, all numbers → regression, since the template age asks for numbers; "
        "--target_type categorical for classes",
        "stated    age: missing: -1 (1 row, by --missing)",
        "inferred  age: the unit is years, as in the template age; --unit UNIT for another",
        'inferred  age: decimal sign ",", thousands sign ".": told from 1 of 8, as "23,5"; --decimal_sign . '
        "reads them otherwise",
    ]


def test_spellings_are_merged_to_the_commonest_and_said(tmp_path):
    target, answers, _ = understand(tmp_path, "dx", ["ad", "AD", "AD", "Control", "control", "control"])
    assert Counter(answers) == {"AD": 3, "control": 3}
    assert "AD (2), ad (1) → AD; control (2), Control (1) → control" in target.findings[-1].evidence


def test_numbers_that_could_be_read_in_two_ways_are_said_and_can_be_read_in_the_other(tmp_path):
    volumes = ["1.500", "2.250", "3.125"]
    target, answers, _ = understand(tmp_path, "volume", volumes)
    assert answers == ["1.5", "2.25", "3.125"]
    said = target.findings[-1].to_line(frozenset())
    assert '"1.500" could be read in two ways; --decimal_sign , reads them otherwise' in said
    assert understand(tmp_path, "volume", volumes, decimal_sign=",")[1] == ["1500", "2250", "3125"]


def test_a_sidecar_that_cannot_be_read_is_said_and_describes_nothing(tmp_path):
    (tmp_path / "participants.json").write_text("../.git/annex/objects/3k/87/MD5E-s4815.json")
    description = describe_column([tmp_path / "participants.json"], "age")
    assert "participants.json is a git-annex pointer, whose data was not fetched" in description.unused[0]
    (tmp_path / "participants.json").write_text("{")
    description = describe_column([tmp_path / "participants.json"], "age")
    assert "participants.json cannot be read as JSON" in description.unused[0]
    (tmp_path / "participants.json").write_text('["sub-01", "sub-02"]')
    assert "is no JSON object" in describe_column([tmp_path / "participants.json"], "age").unused[0]


@pytest.mark.parametrize("units", ["n/a", "string", "", None, 3, "the years since birth, as reported by a parent"])
def test_a_unit_that_is_none_is_not_said(tmp_path, units):
    (tmp_path / "participants.json").write_text(json.dumps({"score": {"Units": units}}))
    assert describe_column([tmp_path / "participants.json"], "score").unit == ""


@pytest.mark.parametrize("cells, options", [(["n/a", ""], {}), (["3", "7", "5"], {"kind": "numeric"})])
def test_levels_are_not_said_to_fit_no_value_where_there_is_none_or_numbers_are_asked_for(tmp_path, cells, options):
    target, _, _ = understand(tmp_path, "pain", cells, {"Levels": {"0": "none", "10": "worst"}}, **options)
    assert not any("none of the values" in finding.evidence for finding in target.findings)
