"""Which scans predict.py asks about: those of a BIDS tree, of a table in any dialect, or in a folder."""

import re

import pytest
from conversation_folder import write_scan

from umbrella.cohort.many.arguments import ManyArguments
from umbrella.cohort.many.scans import find_asked_scans
from umbrella.cohort.shared.visits import CohortError

OUT = {"output": "answers.csv", "question": "Male or female?"}


def find(**flags):
    return find_asked_scans(ManyArguments(**OUT, **{name: value and str(value) for name, value in flags.items()}))


def name_rows(found, folder):
    """(participant, session, place of the scan) of each row; of one without a scan what its error says first."""
    prefix = f"{folder}/"
    return [
        (row.participant_id, row.session, row.image.removeprefix(prefix) or row.error.partition(":")[0])
        for row in found.rows
    ]


@pytest.fixture
def tree(tmp_path):
    for name in ("sub-01/ses-a", "sub-01/ses-b", "sub-02", "sub-03"):
        place = tmp_path / "bids" / name / "anat"
        place.mkdir(parents=True)
        if name != "sub-03":
            write_scan(place / f"{name.replace('/', '_')}_T1w.nii.gz", 0)
    return tmp_path / "bids"


def test_every_folder_of_a_tree_is_asked_about_with_or_without_a_table(tree):
    rows = name_rows(find(bids_dir=tree), tree)
    assert rows == [
        ("sub-01", "a", "sub-01/ses-a/anat/sub-01_ses-a_T1w.nii.gz"),
        ("sub-01", "b", "sub-01/ses-b/anat/sub-01_ses-b_T1w.nii.gz"),
        ("sub-02", "", "sub-02/anat/sub-02_T1w.nii.gz"),
        ("sub-03", "", "no scan"),
    ]
    (tree / "some.tsv").write_text("participant_id\tage\n02\t70\n")
    only = find(bids_dir=tree, participants=tree / "some.tsv")
    assert name_rows(only, tree) == [("sub-02", "", "sub-02/anat/sub-02_T1w.nii.gz")]
    assert only.describe() == "scans: 1 found, 0 rows without one; 2 × scan without a participant: not asked about"
    asked = ManyArguments(**OUT, bids_dir=str(tree), sessions=["ses-b"])
    assert ("sub-01", "b", "sub-01/ses-b/anat/sub-01_ses-b_T1w.nii.gz") in name_rows(find_asked_scans(asked), tree)
    assert find_asked_scans(asked).ignored == {"session not chosen": 3}


@pytest.mark.parametrize(
    "name, text, encoding, flags",
    [
        ("t.csv", "participant_id,path\nA,a.nii\nB,b.nii\nC,n/a\n", "utf-8", {}),
        ("t.tsv", "participant_id\tpath\nA\ta.nii\nB\tb.nii\nC\tn/a\n", "utf-8", {}),
        ("t.csv", "participant_id;path\r\nA;a.nii\r\nB;b.nii\r\nC;\r\n", "utf-8-sig", {}),
        ("t.csv", "sep=;\nparticipant_id;path\nA;a.nii\nB;b.nii\nC;n/a\n", "utf-16", {}),
        ("t.csv", "participant_id,path,Größe\nA,a.nii,1\nB,b.nii,2\nC,n/a,3\n", "latin-1", {"encoding": "latin-1"}),
        ("t.csv", "participant_id,code\nA,a\nB,b\nC,c\n", "utf-8", {"image_template": "{code}.nii"}),
    ],
)
def test_a_table_is_read_in_the_dialects_of_spreadsheets(name, text, encoding, flags, tmp_path):
    write_scan(tmp_path / "a.nii", 0)
    write_scan(tmp_path / "b.nii", 1)
    (tmp_path / name).write_bytes(text.encode(encoding))
    place = {} if "image_template" in flags else {"image_column": "path"}
    found = find(table=tmp_path / name, **flags, **place)
    assert name_rows(found, tmp_path) == [("A", "", "a.nii"), ("B", "", "b.nii"), ("C", "", "no scan")]
    assert name_rows(find(participants=tmp_path / name, **flags, **place), tmp_path) == name_rows(found, tmp_path)


def test_a_table_of_paths_alone_needs_no_ids(tmp_path):
    write_scan(tmp_path / "sub-1.nii", 0)
    (tmp_path / "t.csv").write_text("path\nsub-1.nii\n")
    found = find(table=tmp_path / "t.csv", image_column="path")
    assert name_rows(found, tmp_path) == [("sub-1.nii", "", "sub-1.nii")]


def test_a_scan_of_two_rows_is_told_by_the_flag_that_was_given(tmp_path):
    write_scan(tmp_path / "one.nii", 0)
    (tmp_path / "t.csv").write_text("scan\none.nii\n./one.nii\n")
    with pytest.raises(CohortError, match=r"^--image_column scan: expected .* Correct or remove one of the rows$"):
        find(table=tmp_path / "t.csv", image_column="scan")
    (tmp_path / "t.csv").write_text("scan\ntwo.nii\n")
    with pytest.raises(CohortError, match=r"^--image_column: expected scans of the 1 rows, found none"):
        find(table=tmp_path / "t.csv", image_column="scan")


def test_a_folder_is_looked_through_and_a_pair_is_one_scan(tmp_path):
    (tmp_path / "b" / ".hidden").mkdir(parents=True)
    for name in ("b/x.nii.gz", "a.mgz", "b/pair.hdr", "b/pair.img", "b/.hidden/y.nii", "b/.z.nii", "b/notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "b" / "\udcff.nii").touch()
    rows = name_rows(find(folder=tmp_path), tmp_path)
    assert [row[2].removeprefix(str(tmp_path)) for row in rows] == [
        "a.mgz",
        "b/pair.hdr",
        "b/x.nii.gz",
        "/b/\\udcff.nii",
    ]


BAD = {
    ("folder", "/nowhere"): r"--folder: expected a folder, found none at /nowhere",
    ("bids_dir", "/nowhere"): r"--bids_dir: expected a folder, found none at /nowhere",
    ("bids_dir", "."): r"expected folders sub-\*, found none\. Is it no BIDS tree: --folder",
    ("folder", "."): r"expected scans \(\.nii.*found none in it and below it",
}


@pytest.mark.parametrize("flag", BAD, ids=" ".join)
def test_a_source_without_scans_is_told(flag, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CohortError, match=BAD[flag]):
        find(**dict([flag]))


BAD_FLAGS = [
    ({"folder": "a", "bids_dir": "b"}, r"expected one of --image, .* found --bids_dir and --folder"),
    ({"folder": "a", "image": "b"}, r"found --folder and --image"),
    ({"folder": "a", "output": "answers.xlsx"}, r"expected --output answers.csv \(or .tsv\), found answers.xlsx"),
    ({"table": "t.csv"}, r"--table: expected --image_column COLUMN or --image_template PATH, found neither"),
    ({"folder": "a", "suffixes": ["sMRI=T2w"]}, r"--suffixes: expected the source of which it speaks, found --folder"),
    ({"bids_dir": "a", "encoding": "cp1252"}, r"--encoding: expected --participants TABLE, found --bids_dir alone"),
    ({"image": "a.nii", "output": "x.csv"}, r"--output: expected one of --bids_dir, --table and --folder, found none"),
    ({"table": "t.csv", "image_column": "p", "delimiter": "x"}, r"--delimiter: expected tab, comma"),
    ({"folder": "a", "answer_template": "male"}, r"--answer_template: expected \{label\} in it"),
    ({"folder": "a", "reference_label": "male"}, r"--reference_label male: expected --reference SCAN too"),
    (
        {"table": "./answers.csv", "image_column": "p", "overwrite": True},
        r"--output: expected another file than --table, found answers.csv for both",
    ),
    ({"folder": "a", "batch_size": 0}, r"--batch_size: expected at least 1, found 0"),
]


@pytest.mark.parametrize(
    "flags, message", BAD_FLAGS, ids=lambda flags: " ".join(flags) if isinstance(flags, dict) else ""
)
def test_flags_that_do_not_fit_are_told(flags, message):
    with pytest.raises(ValueError, match=message):
        ManyArguments(**{"output": "answers.csv"} | flags if "image" not in flags or "folder" in flags else flags)


def test_no_row_of_what_is_printed_names_anybody(tree):
    assert not re.search("sub-|bids", find(bids_dir=tree).describe())
