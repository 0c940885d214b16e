"""Where the scans of a table are: one grammar for what is checked, looked for, and found without a row."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from properties import examples

from umbrella.cohort.shared.visits import CohortError, Exclusions, Visit
from umbrella.cohort.tables.image_template import parse_template
from umbrella.cohort.tables.visits import find_scans

COLUMNS = ("participant_id", "site", "54-2.0", "f.31.0.0", "MRI date [first visit]", "a:b", "a", "{odd}", "run!r", "0")


def write(template, **values):
    return parse_template(template, COLUMNS, "--image_template").write(dict.fromkeys(COLUMNS, "v") | values)


@pytest.mark.parametrize(
    "template, path",
    [
        ("{participant_id}/{site}.nii", "sub-07/v.nii"),
        ("{54-2.0}/{f.31.0.0}.nii", "B/v.nii"),
        ("{MRI date [first visit]}.nii", "v.nii"),
        ("{a:b}_{a}_{{a}}.nii", "colon_v_{a}.nii"),
        ("{{{a}}}", "{v}"),
        ("{{odd}}_{{odd}}{{0}}_{0}", "{odd}_{odd}{0}_v"),
        ("{{odd}}{run!r}", "{odd}v"),
        ("{{odd}}{{odd}}{{odd}", None),
        ("{site:_>4}|{site:<3}|{site:^3}|{site:s}|{site:}", "___v|v  | v |v|v"),
    ],
)
def test_a_field_is_a_column_as_the_table_writes_it(template, path):
    if path is None:
        with pytest.raises(CohortError):
            write(template)
    else:
        assert write(template, participant_id="sub-07", **{"54-2.0": "B", "a:b": "colon"}) == path


@pytest.mark.parametrize("form", ["03d", "d", "3d", "03", "012d"])
@pytest.mark.parametrize("value", ["7", "007", "-7", "+7", "12345"])
def test_a_number_is_written_as_python_writes_it(form, value):
    assert write(f"{{a:{form}}}", a=value) == ("{:" + form + "}").format(int(value))


@pytest.mark.parametrize("value, path", [("7.0", "007"), ("7.", "007"), ("7.5", None), ("A7", None), ("", None)])
def test_a_number_with_the_decimals_of_pandas_is_whole_and_other_text_is_none(value, path):
    assert write("{a:03d}", a=value) == path


@pytest.mark.parametrize(
    "template, message",
    [
        ("{participant}.nii", r"character 1: expected a column .*found \{participant\}. Did you mean participant_id"),
        ("x/{54-2.1}.nii", r"'x/\{54-2.1\}.nii', character 3: .*found \{54-2.1\}. Did you mean 54-2.0"),
        ("{f.31}.nii", r"found \{f.31\}. Did you mean f.31.0.0"),
        ("{site!r}.nii", r"found \{site!r\}. Did you mean site"),
        ("{site.name}", r"found \{site.name\}. Did you mean site"),
        ("{}.nii", r"character 1: expected a column of the table in the braces, found \{\}"),
        ("{ site }", r"found \{ site \}. Did you mean site"),
        ("a/{site", r"character 3: expected a \} behind the column's name, or \{\{ for .*, found none"),
        ("{site:>4", r"character 1: expected a \} behind"),
        ("a}b{site}", r"character 2: expected a \{ before it, or \}\} for a brace of the path, found a single \}"),
        ("{site:.2f}", r"character 7: expected a format as in \{column:03d\} .* found '.2f'"),
        ("{site:4}", r"character 7: expected a format as in"),
        ("{site:,}", r"character 7: expected a format as in"),
        ("{site:999999999d}", r"character 7: expected a format as in"),
        ("scan.nii", r"expected at least one \{column\}, found none: all rows would have the same scan"),
        ("{{site}}", r"expected at least one \{column\}, found none"),
    ],
)  # fmt: skip
def test_what_is_no_template_is_refused_with_its_place(template, message):
    with pytest.raises(CohortError, match=message):
        write(template)


PIECES = st.lists(
    st.one_of(st.text(st.sampled_from("ab/-. {}:[]"), min_size=1), st.sampled_from(COLUMNS).map(lambda c: (c,)))
)


@examples(30)
@given(PIECES, st.lists(st.text(), min_size=len(COLUMNS), max_size=len(COLUMNS)))
def test_texts_with_doubled_braces_and_columns_come_out_as_they_went_in(pieces, values):
    values = dict(zip(COLUMNS, values, strict=True))
    pieces = [("a",), *pieces]
    template = "".join(
        piece.replace("{", "{{").replace("}", "}}") if isinstance(piece, str) else f"{{{piece[0]}}}"
        for piece in pieces
    )
    expected = "".join(piece if isinstance(piece, str) else values[piece[0]] for piece in pieces)
    if "{odd}" not in {piece[0] for piece in pieces if isinstance(piece, tuple)}:
        assert parse_template(template, [c for c in COLUMNS if c != "{odd}"], "x").write(values) == expected


@examples(200)
@given(st.text(st.sampled_from("ab{}:!.[]0d<>%s4-"), max_size=12))
def test_any_text_is_a_template_or_refused_in_a_sentence(text):
    try:
        template = parse_template(text, COLUMNS, "--image_template")
    except CohortError as error:
        assert repr(text) in str(error)
    else:
        assert template.write(dict.fromkeys(COLUMNS, "7")) is not None


def make_visits(ids, **columns):
    return [
        Visit(name, "", {"participant_id": name, **{column: values[i] for column, values in columns.items()}})
        for i, name in enumerate(ids)
    ]


def find(folder, visits, template, files):
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"\0")
    exclusions = Exclusions()
    found = find_scans(visits, {"sMRI": template}, str(folder), "participant_id", exclusions)
    scans = {visit.participant_id: os.path.relpath(visit.scans["sMRI"], folder) for visit in found}
    return scans, [(row.reason, os.path.basename(row.detail)) for row in exclusions.rows]


def test_numbers_in_digits_find_their_scans_under_both_forms_of_an_id(tmp_path):
    files = ["sub-01.nii", "sub-02.nii", "sub-03.nii", "sub-99.nii"]
    found, left_out = find(tmp_path, make_visits(["1", "sub-2", "3.0"]), "sub-{participant_id:02d}.nii", files)
    assert found == {"1": "sub-01.nii", "sub-2": "sub-02.nii", "3.0": "sub-03.nii"}
    assert left_out == [("scan without a participant", "sub-99.nii")]


def test_columns_of_uk_biobank_and_braces_find_their_scans(tmp_path):
    visits = make_visits(["1", "2"], **{"54-2.0": ["11025", "11027"]})
    files = ["{11025}/[1].nii", "{11027}/[2].nii", "{11027}/[3].nii"]
    found, left_out = find(tmp_path, visits, "{{{54-2.0}}}/[{participant_id}].nii", files)
    assert found == {"1": files[0], "2": files[1]}
    assert left_out == [("scan without a participant", "[3].nii")]


def test_another_scan_of_a_participant_is_not_a_scan_without_one(tmp_path):
    files = ["s1/s1_T1w.nii", "s1/s1_acq-fast_T1w.nii", "s2/s2_T1w.nii", "s3/s3_T1w.nii"]
    found, left_out = find(tmp_path, make_visits(["s1", "s2"]), "{participant_id}/{participant_id}_T1w.nii", files)
    assert found == {"s1": files[0], "s2": files[2]}
    assert left_out == [("scan without a participant", "s3_T1w.nii")]


def test_two_rows_with_one_scan_are_refused(tmp_path):
    visits = make_visits(["s1", "s2"], site=["A", "A"])
    with pytest.raises(
        CohortError, match=r"expected a scan of its own for every row, found .*A.nii for s1 and for s2"
    ):
        find(tmp_path, visits, "{site}.nii", ["A.nii"])


def test_without_a_row_the_reasons_are_told(tmp_path):
    exclusions = Exclusions()
    exclusions.add("session not chosen", "--sessions 9")
    with pytest.raises(CohortError, match="expected rows to look for scans of, found none; left out: 1 session not"):
        find_scans([], {"sMRI": "{participant_id}.nii"}, str(tmp_path), "participant_id", exclusions)


def test_a_number_that_no_row_has_is_the_reason(tmp_path):
    with pytest.raises(CohortError, match=r"the first looked for is sMRI: \{participant_id:02d\}.nii: its numbers"):
        find(tmp_path, make_visits(["A", "B"]), "{participant_id:02d}.nii", [])
