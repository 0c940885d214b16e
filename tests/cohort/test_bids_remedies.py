"""What a tree or its tables lack is said with a remedy that works: data not fetched, strangers, dry runs."""

import re
import shlex
import shutil

import pytest
from test_cohort_bids import run, touch, write_tree

from umbrella.cohort.generation import generate, main, parse_options
from umbrella.cohort.shared.visits import CohortError, Exclusions
from umbrella.cohort.splits.division import read_split_file
from umbrella.cohort.tables.column_description import describe_column
from umbrella.cohort.tables.table_rows import read_table
from umbrella.cohort.tables.visits import find_scans, to_visits

ANNEX = ".git/annex/objects/Gz/K1/MD5E-s1--a.tsv/MD5E-s1--a.tsv"
STAND_INS = {  # what lies in a file's place → the remedy
    "annex link": (None, "datalad get"),
    "annex pointer": (f"/{ANNEX.removeprefix('.git/')}\n", "datalad get"),
    "lfs": ("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n", "lfs pull"),
    "page": ("<!DOCTYPE html>\n<html>\n<p>Log in</p>\n", "download the .* again"),
}


def put(path, content):
    path.unlink(missing_ok=True)
    path.symlink_to(ANNEX) if content is None else path.write_text(content)


def dry_run(capsys, *flags):
    code = main(["--dry_run", *map(str, flags)])
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.parametrize("kind", STAND_INS)
def test_a_table_that_was_not_fetched_is_fetched(tmp_path, kind):
    content, remedy = STAND_INS[kind]
    for name in ("t.tsv", "t.csv"):
        put(tmp_path / name, content)
        with pytest.raises(CohortError, match=rf"{name}: expected a table .*{remedy}"):
            read_table(tmp_path / name)
        with pytest.raises(CohortError, match=remedy):
            read_split_file(tmp_path / name)
    put(tmp_path / "t.json", content)
    assert re.search(remedy, describe_column([tmp_path / "t.json"], "sex").unused[0])
    with pytest.raises(CohortError, match=rf"--split_file .*{remedy}"):
        read_split_file(tmp_path / "t.json")


@pytest.mark.parametrize("kind", STAND_INS)
def test_sessions_that_were_not_fetched_are_no_missing_sessions(tmp_path, kind):
    tree = write_tree(tmp_path / "bids", n=3)
    put(tree / "sub-02/sub-02_sessions.tsv", STAND_INS[kind][0])
    for flags in ((), ("--target", "score"), ("--session_column", "visit")):
        with pytest.raises(CohortError, match=f"sub-02_sessions.tsv: expected a table .*{STAND_INS[kind][1]}"):
            run(tree, *flags)


def test_a_column_that_is_no_session_is_refused_with_the_folders(tmp_path):
    tree = write_tree(tmp_path / "bids", sessions=("1", "2", "10"), n=3)
    rows = "".join(f"sub-{i:02d}\t{19 + i}\tM\n" for i in range(1, 4))
    (tree / "participants.tsv").write_text(f"participant_id\tage\tsex\n{rows}")
    expected = r"session folders \(ses-1, ses-10, ses-2\), found age with 20, 21, 22\. Name another"
    with pytest.raises(CohortError, match=expected):
        run(tree, "--session_column", "age")
    assert "session without a row" in (tmp_path / "out/exclusions.tsv").read_text()
    (tree / "participants.tsv").write_text("participant_id\tsex\nsub-01\tM\nsub-01\tF\n")
    table = ("--participants", tree / "participants.tsv", "--image_template", "{participant_id}.nii")
    for source in (("--bids_dir", tree), table):
        flags = [*map(str, source), "--target", "sex", "--output_dir", str(tmp_path / "out")]
        with pytest.raises(CohortError, match=r"contradicting rows \(as sub-01: .*exclusions\.tsv$"):
            generate(parse_options("", flags))


def test_a_refusal_keeps_its_words_where_the_table_of_reasons_cannot_be_written(tmp_path, monkeypatch):
    tree = write_tree(tmp_path / "bids", names=("T2w",), n=3)

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Exclusions, "write", fail)
    with pytest.raises(CohortError, match=r"expected scans T1w.*in no table: \S+/exclusions\.tsv: .* no space left"):
        run(tree)


def test_a_tree_of_other_names_is_read_by_the_flags_that_the_refusal_gives(tmp_path, capsys):
    tree = tmp_path / "hcp"
    for i in range(20):
        (tree / f"{100307 + i}/T1w").mkdir(parents=True)
        for name in ("T1w_acpc_dc_restore.nii.gz", "BiasField.nii.gz"):
            (tree / f"{100307 + i}/T1w/{name}").write_bytes(b"\0")
    rows = "".join(f"{100307 + i},{'MF'[i % 2]}\n" for i in range(20))
    (tree / "people.csv").write_text(f"Subject,Gender\n{rows}")
    source = ("--bids_dir", tree, "--participants", tree / "people.csv")
    code, out, _ = dry_run(capsys, *source)
    assert code == 0 and "Gender: categorical, M 10, F 10" in out and "--id_column: expected a column" in out
    code, out, _ = dry_run(capsys, *source, "--id_column", "Subject")
    assert code == 0 and "Gender: categorical" in out
    flags = [*map(str, source), "--id_column", "Subject", "--target", "Gender", "--output_dir", str(tmp_path / "out")]
    with pytest.raises(CohortError, match=r"in place of --bids_dir: (.*)\. Everything that was left out") as error:
        generate(parse_options("", flags))
    assert (tmp_path / "out/exclusions.tsv").read_text().count("no folder sub-1003") == 20
    advised = shlex.split(re.search(r"--bids_dir: (.*)\. Everything", str(error.value)).group(1))
    summary = generate(parse_options("", [*advised, *flags[-4:]]))
    assert "used            20 participants" in summary and "T1w_acpc" in " ".join(advised)


def test_subdatasets_that_are_not_installed_are_got(tmp_path):
    tree = write_tree(tmp_path / "bids", sessions=(), n=6)
    (tree / ".gitmodules").touch()
    (tree / "derivatives/fmriprep").mkdir(parents=True)
    with pytest.raises(CohortError, match=r"an empty folder, .*datalad get -n \S+/bids/derivatives/fmriprep$"):
        run(tree, "--derivatives", "fmriprep")
    for folder in tree.glob("sub-*"):
        shutil.rmtree(folder)
        folder.mkdir()
    with pytest.raises(CohortError, match=r"6 no scan \(as sub-01: .*datalad get -n \S+/bids/sub-01\)"):
        run(tree)


@pytest.mark.parametrize("spelling", ["SUB-{:02d}", "{}.0", "Sub-{}", "{:02d}.00"])
def test_ids_of_another_spelling_find_their_folders(tmp_path, spelling):
    tree = write_tree(tmp_path / "bids", sessions=())
    rows = "".join(f"{spelling.format(i)}\t{'MF'[i % 2]}\n" for i in range(1, 21))
    (tree / "participants.tsv").write_text(f"participant_id\tsex\n{rows}")
    records, exclusions = run(tree)
    assert len(records) == 20 and exclusions == []
    summary = (tmp_path / "out/summary.txt").read_text()
    assert (
        "inferred  folders: 20 participants by their n" in summary and f"{spelling.format(1)[-4:]} = sub-01" in summary
    )
    touch(tree, "sub-001", "", "anat", "T1w")
    with pytest.raises(CohortError, match="expected one folder for a number, found sub-001 and sub-01 for"):
        run(tree)


def test_a_dry_run_says_what_a_small_cohort_lacks(tmp_path, capsys):
    tree = write_tree(tmp_path / "bids", sessions=(), n=6)
    code, out, err = dry_run(capsys, "--bids_dir", tree, "--target", "sex")
    assert (code, err) == (0, "")
    assert "sex: categorical, F 3, M 3" in out and "chosen: scans of 6 visits" in out
    assert "With these flags no conversations are made: --split: expected about 10%" in out
    code, out, _ = dry_run(capsys, "--bids_dir", tree, "--target", "sex", "--suffixes", "sMRI=T2w")
    assert code == 0 and "chosen: no scan. " in out


@pytest.mark.parametrize("end", [".mgz", ".img", ".NII.GZ", ".nii.gz"])
def test_images_of_other_names_are_taken_by_a_template_as_the_refusal_says(tmp_path, end):
    tree = write_tree(tmp_path / "bids", sessions=(), n=3)
    for path in tree.glob("sub-*/anat/*"):
        path.rename(path.with_name(f"T1{end}"))
    with pytest.raises(CohortError, match="--participants TABLE --image_template PATH"):
        run(tree)


def test_contradicting_rows_are_rows(tmp_path):
    tree = write_tree(tmp_path / "bids", sessions=())
    with open(tree / "participants.tsv", "a") as file:
        file.write("sub-01\tM\tB\n")
    assert run(tree)[1] == [("sub-01", "", "contradicting rows")]
    exclusions = Exclusions()
    visits = to_visits(read_table(tree / "participants.tsv"), "participant_id", None, exclusions)
    template = {"sMRI": "{participant_id}/anat/{participant_id}_T1w.nii.gz"}
    assert len(find_scans(visits, template, str(tree), "participant_id", exclusions)) == 19
    assert set(exclusions.count_reasons()) == {"contradicting rows"}
    tree = write_tree(tmp_path / "two/bids")
    rows = "".join(f"sub-{i:02d}\t{session}\t{'MF'[i % 2]}\n" for i in range(1, 21) for session in (1, 2))
    (tree / "participants.tsv").write_text(f"participant_id\tsession_id\tsex\n{rows}sub-01\t1\tM\n")
    assert run(tree)[1] == [("sub-01", "1", "contradicting rows")]


def test_scans_of_sessions_that_are_not_chosen_have_a_row(tmp_path):
    tree = write_tree(tmp_path / "bids")
    rows = "".join(f"sub-{i:02d}\t{session}\t{'MF'[i % 2]}\n" for i in range(1, 21) for session in (1, 2))
    (tree / "participants.tsv").write_text(f"participant_id\tsession_id\tsex\n{rows}")
    template = "{participant_id}/ses-{session_id}/anat/{participant_id}_ses-{session_id}_T1w.nii.gz"
    flags = ("--participants", tree / "participants.tsv", "--image_template", template, "--sessions", "1")
    summary = generate(parse_options("", [*map(str, flags), "--target", "sex", "--output_dir", str(tmp_path / "out")]))
    assert "20 session not chosen" in summary and "scan without a participant" not in summary


def test_a_scan_above_the_session_that_is_not_taken_is_said(tmp_path):
    tree = write_tree(tmp_path / "bids", sessions=("01",))
    above = touch(tree, "sub-03", "", "anat", "T1w")
    records, _ = run(tree)
    assert len(records) == 20
    summary = (tmp_path / "out/summary.txt").read_text()
    assert f"sMRI: 1 scans above the session folders are not taken, as {above}: the session's own" in summary


def test_images_without_an_entity_are_listed_with_their_condition(tmp_path, capsys):
    tree = write_tree(tmp_path / "bids", sessions=(), names=("T1w", "space-MNI_T1w"))
    assert "    space: MNI 20, without it 20 (space=)\n" in dry_run(capsys, "--bids_dir", tree)[1]
    with pytest.raises(CohortError, match=r"no 'none'; there are MNI 20, without it 20 \(space=\)\. Choose"):
        run(tree, "--entities", "space=none")
    assert len(run(tree, "--entities", "space=")[0]) == 20


@pytest.mark.parametrize("text", ['{"sex": {"Levels": {"1": "male", "1": "female"}}}', "[" * 100_000])
def test_a_description_with_a_key_twice_or_without_an_end_describes_nothing(tmp_path, text):
    """Of two levels of one code the last would become its label."""
    (tmp_path / "participants.json").write_text(text)
    found = describe_column([tmp_path / "participants.json"], "sex")
    assert found.levels == {} and "participants.json cannot be read as JSON" in found.unused[0]
