"""A table is read so that no line can vanish: against csv and pandas, in every dialect, after any one damage."""

import contextlib
import csv
import io

import pandas
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from properties import examples

from umbrella.cohort.generation import main
from umbrella.cohort.shared.visits import CohortError, is_missing
from umbrella.cohort.tables.delimiter import DELIMITERS
from umbrella.cohort.tables.table_rows import TableOptions, read_table

# 12 participants. One quote before the text of row 3 ends at the inch sign of row 12: today's nine lost of twelve.
ROWS = [["participant_id", "sex", "note"]]
ROWS += [[f"sub-{i:02d}", "MF"[i % 2], {2: "left handed", 11: 'screen of 5"'}.get(i, "")] for i in range(12)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One for all the examples of a property."""
    return tmp_path_factory.mktemp("tables")


def write(folder, text, name="table.csv", encoding="utf-8"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
    return path


def join(rows, delimiter=",", end="\n"):
    return "".join(delimiter.join(row) + end for row in rows)


def cells_of(table):
    return [table.columns, *(list(row.values()) for row in table.rows)]


SMALL = [["participant_id", "sex"], ["sub-01", "M"], ["sub-02", "F"]]


@pytest.mark.parametrize(
    "name, text, encoding, note",
    [
        ("t.csv", join(SMALL), "utf-8", None),
        ("t.csv", join(SMALL), "utf-8-sig", None),
        ("t.csv", join(SMALL), "utf-16", "read as UTF-16, as its byte order mark says"),
        ("t.csv", join(SMALL), "utf-32", "read as UTF-32, as its byte order mark says"),
        ("t.csv", join(SMALL, end="\r\n"), "utf-8", None),
        ("t.csv", join(SMALL, end="\r"), "utf-8", None),
        ("t.csv", "\n" + join(SMALL, end="\n\n") + ",\n  \n", "utf-8", None),
        ("t.csv", join(SMALL).rstrip("\n"), "utf-8", None),
        ("t.tsv", join(SMALL, "\t"), "utf-8", None),
        ("t.csv", join(SMALL, ",", ",,\n"), "utf-8", None),
        ("t.csv", join(SMALL, ";"), "utf-8", "divided by semicolon: by it the header and all rows have 2 cells"),
        ("t.csv", join(SMALL, "\t"), "utf-8", "divided by tab"),
        ("t.tsv", join(SMALL), "utf-8", "divided by comma"),
        ("t.tsv", join(SMALL, "|"), "utf-8", "divided by pipe"),
        ("t.csv", "sep=;\r\n" + join(SMALL, ";", "\r\n"), "utf-8-sig", "divided by semicolon: as its first line says"),
        ("t.csv", "sep=,\n" + join(SMALL), "utf-8", None),
        ("t.csv", "participant_id,sex\nsub-01,M,\nsub-02,F,\n", "utf-8", "all 2 rows end in a comma that the header"),
        ("t.csv", '"participant_id","sex"\n"sub-01","M"\n"sub-02","F"\n', "utf-8", None),
        ("t.csv", " participant_id , sex\nsub-01 , M \nsub-02,F", "utf-8", None),
    ],
)  # fmt: skip
def test_a_dialect_is_read_as_it_is_and_what_was_inferred_is_said(tmp_path, name, text, encoding, note):
    table = read_table(write(tmp_path, text, name, encoding))
    assert cells_of(table) == SMALL
    assert len(table.notes) == (note is not None)
    assert note is None or (note in table.notes[0] and table.notes[0].startswith(f"{tmp_path / name}: "))


@pytest.mark.parametrize(
    "name, text, message",
    [
        ("t.csv", "a,b\n1,2\n3\n4,5\n", r"t.csv:3: expected 2 cells as in the header, found 1"),
        ("t.tsv", "a\tb\n1\t2\n3\t\t4\n", r"t.tsv:3: expected 2 cells as in the header, found 3. A cell with a tab"),
        ("t.csv", "sep=;\na;b\n1;2;3\n", r"t.csv:3: expected 2 cells as in the header, found 3"),
        ("t.csv", 'a,b,c\n1,"2\n2",3\n4,5\n', r"t.csv:4: expected 3 cells"),
        ("t.csv", 'a,b\n1,2\n3,"4\n5,6\n7,8\n', r"t.csv:3: expected a closing quote, found none in the 3 lines"),
        ("t.csv", 'a,b\n1,"2\n3,"4"\n5,6\n', r"t.csv:2: .*found text after its second quote, 1 lines below"),
        ("t.csv", 'a,b\n1, "2"\n', r"t.csv:2: expected quotes around a whole cell, found a space before one"),
        ("t.csv", 'a,b\n1,"2\n3,4"\n5,6\n', r"t.csv:2: expected quotes that close in their line, .*line 3, which has"),
        ("t.csv", "a,b\n1,2\nM\xfcller,3\n".encode("cp1252"), r"t.csv:3: expected UTF-8 text, .*0xfc \('Müller', if"),
        ("t.csv", "a,b\n1,2\0\n", r"t.csv:2: expected text, found a NUL"),
        ("t.csv", "a,b\n1,2\n".encode("utf-16-le"), r"t.csv:1: expected text, found a NUL: .* UTF-16 without"),
        ("t.csv", "\ufeffa,b\n1,2\n\ufeffa,b\n3,4\n", r"t.csv:3: expected text, found a byte order mark within it"),
        ("t.csv", "a,b\n1,2\na,b\n3,4\n", r"t.csv:3: expected one header, found it again"),
        ("t.csv", "a,b,a,b\n1,2,3,4\n", r"t.csv:1: expected every column once, found 'a', 'b' twice"),
        ("t.csv", "a,b,\n1,2\n3,4\n", r"t.csv:1: expected a name for every column, found none for column 3 of 3"),
        ("t.csv", "a,b\n1,2,\n", r"t.csv:2: expected 2 cells as in the header, found 3"),
        ("t.csv", ",a,b\n0,1,2\n", r"t.csv:1: expected a name for every column, found none for column 1 of 3"),
        ("t.tsv", "a  b\n1  2\n3  4\n", r"t.tsv:2: expected cells .* by tab, found spaces between them: '1  2'"),
        ("t.csv", "a\n1;2\n3;4\n", r"t.csv:2: expected cells .* by comma, found semicolon between them: '1;2'"),
        ("t.csv", "a,b\n", r"t.csv: expected a header and at least one row, found no row"),
        ("t.csv", "\n", r"t.csv: expected a header and at least one row, found neither"),
        ("t.csv", "a;b,c\n1;2,3\n", r"t.csv: expected one delimiter .*found 2 columns by comma and 2"),
        ("t.csv", b"PK\x03\x04rest", r"found an Excel workbook. Save it as CSV UTF-8"),
        ("t.xlsx", "", r"expected a name that ends in .tsv or .csv, found t.xlsx"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_right_is_refused_with_its_line(tmp_path, name, text, message):
    with pytest.raises(CohortError, match=message):
        read_table(write(tmp_path, text, name))


def test_flags_overrule_what_is_inferred_and_are_the_remedy(tmp_path):
    text = "participant_id;place,year\nsub-01;Zürich,1990\n"
    path = write(tmp_path, text, encoding="cp1252")
    with pytest.raises(CohortError, match="Save the table as UTF-8, or name its encoding, as --encoding cp1252"):
        read_table(path, TableOptions())
    with pytest.raises(CohortError, match=r"2 columns by comma and 2 columns by semicolon. Give --delimiter"):
        read_table(path, TableOptions(encoding="cp1252"))
    table = read_table(path, TableOptions(";", "cp1252"))
    assert table.rows == [{"participant_id": "sub-01", "place,year": "Zürich,1990"}]
    assert table.notes == []


@pytest.mark.parametrize("row", range(1, 12))
def test_an_unclosed_quote_swallows_no_participant(tmp_path, row):
    rows = [list(cells) for cells in ROWS]
    rows[row][2] = '"' + rows[row][2]
    with pytest.raises(CohortError, match=rf"table.csv:{row + 1}: expected .* quote"):
        read_table(write(tmp_path, join(rows)))


def test_a_line_break_inside_quotes_is_accounted_for(tmp_path):
    table = read_table(write(tmp_path, 'id,sex,note\nsub-01,M,"tired,\nleft early"\nsub-02,F,\n'))
    assert [row["note"] for row in table.rows] == ["tired,\nleft early", ""]
    assert table.lines == [2, 4]
    assert table.notes == [f"{table.path}: 2 rows in 3 lines: 1 with line breaks inside quotes, the first in line 2"]


TEXTS = st.text(st.sampled_from("aZ9é日 ,;|\t\"'\n\r"), max_size=6)


@examples(200)
@given(
    st.integers(2, 5).flatmap(lambda n: st.lists(st.lists(TEXTS, min_size=n, max_size=n), min_size=1, max_size=6)),
    st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    st.sampled_from(["table.csv", "table.tsv"]),
)
def test_any_cells_in_any_dialect_come_back_or_are_refused(folder, cells, delimiter, end, quoting, encoding, name):
    header = [f"column {i}" for i in range(len(cells[0]))]
    file = io.StringIO(newline="")
    csv.writer(file, delimiter=delimiter, lineterminator=end, quoting=quoting).writerows([header, *cells])
    path = write(folder, file.getvalue(), name, encoding)
    with contextlib.suppress(CohortError):
        found = cells_of(read_table(path, TableOptions(delimiter)))
        written = [[cell.strip() for cell in row] for row in cells]
        assert found == [header, *(row for row in written if any(row))]


CELLS = st.sampled_from(["M", "F", "", "", '5"', "5'10\"", "a b", 'x"y', "a,b", "a;b", '"q"', "two\nlines", '"'])


@st.composite
def damaged_tables(draw):
    """(text, name, number of participants) of a table with one character put in or taken away."""
    n_columns, delimiter = draw(st.integers(1, 3)), draw(st.sampled_from([",", ";", "\t"]))
    cells = draw(st.lists(st.lists(CELLS, min_size=n_columns, max_size=n_columns), min_size=2, max_size=8))
    rows = [["id", "sex", "note", "site"][: n_columns + 1], *([f"sub-{i}", *row] for i, row in enumerate(cells))]
    file = io.StringIO(newline="")
    if draw(st.booleans()):
        csv.writer(file, delimiter=delimiter, lineterminator="\n").writerows(rows)
    else:  # quotes are characters, none begins a cell
        gone = str.maketrans("", "", f"{delimiter}\n")
        file.write(join([[cell.translate(gone).lstrip('"') for cell in row] for row in rows], delimiter))
    text = file.getvalue()
    if draw(st.booleans()):
        places = [i for i, character in enumerate(text) if character in f'"\n{delimiter}']
        place = draw(st.sampled_from(places))
        text = text[:place] + text[place + 1 :]
    else:
        place = draw(st.integers(0, len(text)))
        text = text[:place] + draw(st.sampled_from(['"', "\n", "\r", delimiter])) + text[place:]
    return text, "table.tsv" if delimiter == "\t" else "table.csv", len(cells)


@examples(300)
@example((join(ROWS).replace("left", '"left'), "table.csv", 12))
@example(('id;sex\nsub-0;x"ysub-1;\n', "table.csv", 2))
@example(("id;sexsub-0;\nsub-1;F\n", "table.csv", 2))
@example(("id\tsex\tnotesub-0\ta;b\tF\nsub-1\ta;b\t\n", "table.tsv", 2))
@given(damaged_tables())
def test_no_single_damage_to_a_table_loses_a_participant(folder, table):
    text, name, n_participants = table
    with contextlib.suppress(CohortError):
        assert len(read_table(write(folder, text, name)).rows) >= n_participants


@pytest.mark.slow
@examples(100)
@given(st.lists(st.tuples(TEXTS, st.integers(), st.floats(allow_nan=False)), min_size=1, max_size=8))
def test_what_pandas_writes_is_what_pandas_reads(folder, values):
    frame = pandas.DataFrame(values, columns=["note", "count", "volume"]).astype(str)
    frame.insert(0, "participant_id", [f"sub-{i}" for i in range(len(frame))])
    path = folder / "table.csv"
    frame.to_csv(path, index=False)
    oracle = pandas.read_csv(path, dtype=str, keep_default_na=False)
    try:
        table = read_table(path)
    except CohortError as error:
        assert f"{path}:" in str(error)
    else:
        assert [list(row.values()) for row in table.rows] == [
            [cell.strip() for cell in row] for row in oracle.to_numpy().tolist()
        ]


def test_words_for_missing_are_those_of_pandas(tmp_path):
    words = ["#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A"]
    words += [
        "NA",
        "NULL",
        "NaN",
        "None",
        "n/a",
        "nan",
        "null",
        "",
        "none",
        "NONE",
        "no",
        "unknown",
        "0",
        "-9",
        ".",
        "?",
    ]
    path = write(tmp_path, "word,x\n" + "".join(f"{word},1\n" for word in words))
    assert [is_missing(word) for word in words] == pandas.read_csv(path)["word"].isna().tolist()
    assert is_missing(None) and is_missing(" n/a ") and is_missing("na")


def test_the_summary_keeps_what_was_inferred(tmp_path, capsys):
    text = "participant_id;sex\n" + "".join(f"sub-{i:02d};{'MF'[i % 2]}\n" for i in range(20))
    table = write(tmp_path, text)
    for i in range(20):
        (tmp_path / f"sub-{i:02d}.nii").write_bytes(b"\0")
    flags = ["--image_template", "{participant_id}.nii", "--target", "sex", "--output_dir", str(tmp_path / "out")]
    assert main(["--participants", str(table), *flags]) == 0
    note = f"{table}: columns are divided by semicolon"
    assert capsys.readouterr().out.count(note) == 1
    assert (tmp_path / "out/summary.txt").read_text().count(note) == 1


def test_a_split_file_and_a_sessions_table_are_read_by_the_same_rules(tmp_path):
    from umbrella.cohort.splits.division import read_split_file

    path = write(tmp_path, "participant_id;split\nsub-01;train\n")
    assert read_split_file(path)[0] == {"01": "train"}
    with pytest.raises(CohortError, match="a closing quote"):
        read_split_file(write(tmp_path, 'participant_id,split\nsub-01,"train\nsub-02,test\n'))
    twice = write(tmp_path, '{"splits": {"train": ["sub-01"], "train": ["sub-02"]}}', "splits.json")
    with pytest.raises(CohortError, match="each split in it once"):
        read_split_file(twice)


def test_every_delimiter_has_a_name():
    assert set(DELIMITERS.values()) == {"\t", ",", ";", "|"}
