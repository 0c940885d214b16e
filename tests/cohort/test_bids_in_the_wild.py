"""BIDS trees as tools and people leave them: derivatives, entities, lost zeros, twins, pointers, refusals."""

import gzip
import json
import os
import re
from collections import Counter

import pytest
from test_cohort_bids import paths_of, run, touch, write_tree

from umbrella.cohort.bids.entities import SHORT_NAMES
from umbrella.cohort.generation import generate, main, parse_options
from umbrella.cohort.shared.visits import CohortError

SCAN = b"\x5c\x01\0\0" + bytes(400)
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n"
LONG_NAMES = """acquisition acq ceagent ce description desc direction dir inversion inv modality mod mtransfer mt
processing proc reconstruction rec resolution res segmentation seg session ses subject sub template tpl tracer trc
volume voi hemisphere hemi density den nucleus nuc""".split()


def dry_run(tree, capsys, *flags):
    code = main(["--bids_dir", str(tree), "--dry_run", *flags])
    out, err = capsys.readouterr()
    return code, out, err


def write_fmriprep(tree, sessions=("1", "2"), n=20):
    """A derivative as fMRIPrep writes it for several sessions: anatomy above them, in native and in standard space."""
    folder = tree / "derivatives/fmriprep"
    for i in range(1, n + 1):
        for name in ("desc-preproc_T1w", "space-MNI152NLin6Asym_res-2_desc-preproc_T1w", "desc-brain_mask"):
            touch(folder, f"sub-{i:02d}", "", "anat", name)
        for session in sessions:
            for task in ("rest", "faces"):
                for space in ("", "space-MNI152NLin6Asym_res-2_"):
                    touch(folder, f"sub-{i:02d}", session, "func", f"task-{task}_{space}desc-preproc_bold")
    return folder


def follow(advice, error):
    """The flags that a message says."""
    return re.search(advice, str(error.value)).group(1).split()


def test_long_names_are_those_of_the_specification():
    assert {long: SHORT_NAMES[long] for long in LONG_NAMES[::2]} == dict(
        zip(LONG_NAMES[::2], LONG_NAMES[1::2], strict=True)
    )


def test_the_anatomy_above_the_sessions_stands_beside_each_session(tmp_path):
    tree = write_tree(tmp_path / "bids")
    write_fmriprep(tree)
    flags = ("--derivatives", "fmriprep", "--modalities", "sMRI", "fMRI")
    records, exclusions = run(tree, *flags, "--entities", "space=", "fMRI:task=rest")
    assert exclusions == [] and len(records) == 40
    first = next(r for r in records if r["task_id"].endswith("sub-03_ses-2") or "sub-03" in r["subject_ids"])
    session = first["metadata"]["subject_session"]
    base = "../bids/derivatives/fmriprep/sub-03"
    assert [image["path"] for image in first["images"]] == [
        f"{base}/anat/sub-03_desc-preproc_T1w.nii.gz",
        f"{base}/ses-{session}/func/sub-03_ses-{session}_task-rest_desc-preproc_bold.nii.gz",
    ]
    summary = (tmp_path / "out/summary.txt").read_text()
    assert "inferred  sMRI: 40 visits have the scan that lies above their session folders" in summary


def test_one_scan_of_all_sessions_is_asked_about_once_or_not_at_all(tmp_path):
    tree = write_tree(tmp_path / "bids")
    write_fmriprep(tree)
    for i in range(1, 21):
        rows = f"session_id\tscore\tscanner\nses-1\t{i}\tP\nses-2\t{i + (i % 2)}\tP\n"
        (tree / f"sub-{i:02d}/sub-{i:02d}_sessions.tsv").write_text(rows)
    flags = ("--derivatives", "fmriprep", "--entities", "space=MNI152NLin6Asym")
    records, exclusions = run(tree, *flags, "--metadata", "scanner", "session_id")
    assert len(records) == 20 and Counter(reason for *_, reason in exclusions) == {"scan of another session": 20}
    extra = records[0]["metadata"]
    assert "subject_session" not in extra and extra["scanner"] == "P" and extra.get("session_id", "n/a") == "n/a"
    records, exclusions = run(tree, *flags, "--target", "score", "--stratify", "none")
    assert Counter(reason for *_, reason in exclusions) == {
        "one scan of several sessions": 20,
        "scan of another session": 10,
    }
    assert {int(record["subject_ids"][0][4:]) % 2 for record in records} == {0}


def test_native_space_is_chosen_by_an_entity_without_value_and_the_advice_works(tmp_path):
    tree = write_tree(tmp_path / "bids")
    write_fmriprep(tree)
    flags = ("--derivatives", "fmriprep")
    with pytest.raises(
        CohortError, match=r"they differ in res, space: choose with --entities res= space= or"
    ) as error:
        run(tree, *flags)
    advised = [follow(r"choose with (--entities \S+ \S+) or", error), follow(r" or (res=\S+ space=\w+) ", error)]
    records, _ = run(tree, *flags, *advised[0])
    assert {path.split("/")[-1][7:] for path in paths_of(records)} == {"desc-preproc_T1w.nii.gz"}
    records, _ = run(tree, *flags, "--entities", *advised[1])
    assert {path.split("/")[-1][7:14] for path in paths_of(records)} == {"space-M"}
    with pytest.raises(CohortError, match=r"--modalities|add to them fMRI:res= fMRI:space= or fMRI:res=2") as error:
        run(tree, *flags, "--modalities", "fMRI", "sMRI", "--entities", "sMRI:space=", "fMRI:task=rest")
    advised = follow(r"add to them (\S+ \S+) or", error)
    flags = (*flags, "--modalities", "fMRI", "sMRI", "--entities", "sMRI:space=", "fMRI:task=rest", *advised)
    assert len(run(tree, *flags)[0]) == 40


@pytest.mark.parametrize(
    "entities",
    ["acq=a desc=preproc run=01", "acquisition=a description=preproc run=1", "run=2", "task=rest", "acq=b"],
)
def test_entities_go_by_their_long_names_and_runs_by_their_number(tmp_path, entities):
    name = "acq-a_run-01_desc-preproc_T1w"
    tree = write_tree(tmp_path / "bids", sessions=(), names=(name, "acq-a_T1w"))
    if "desc" in entities:
        records, exclusions = run(tree, "--entities", *entities.split())
        assert exclusions == [] and {path.split("/")[-1][7:] for path in paths_of(records)} == {f"{name}.nii.gz"}
        return
    run_ = "1 20, without it 20 (run=)"
    expected = {
        "run=2": f"expected a value of run that T1w images have, found no '2'; there are {run_}",
        "task=rest": "found task in none of 40; they have acq: a 40; desc: preproc 20, without it 20 (desc=); run: "
        + run_,
        "acq=b": "found no 'b'; there are a 40",
    }[entities]
    with pytest.raises(CohortError, match=re.escape(expected)):
        run(tree, "--entities", *entities.split())


def test_an_entity_of_one_modality_is_said_of_it_alone(tmp_path, capsys):
    tree = write_tree(tmp_path / "bids", sessions=(), names=("T1w", "task-rest_bold", "task-faces_bold"))
    flags = ("--modalities", "sMRI", "fMRI", "--entities")
    with pytest.raises(CohortError, match=r"found task in none of 20; they have none\. Say it of fMRI alone") as error:
        run(tree, *flags, "task=rest")
    records, exclusions = run(tree, *flags, *follow(r"alone: (\S+)\. Everything", error))
    assert len(records) == 20 and exclusions == []
    assert all("task-rest" in record["images"][1]["path"] for record in records)
    for wrong, message in (
        ("dMRI:task=rest", "expected before the colon a modality that is asked for (sMRI, fMRI), found dMRI. Ask for"),
        ("task=rest task=faces", "expected each NAME=VALUE once, found 'task' twice"),
        ("desc=a description=b", "expected each entity once, found desc twice"),
    ):
        with pytest.raises(SystemExit):
            run(tree, *flags, *wrong.split())
        assert message in capsys.readouterr().err


def test_a_column_of_sessions_that_is_stated_is_used_or_refused(tmp_path):
    tree = write_tree(tmp_path / "bids")
    for i in range(1, 21):
        (tree / f"sub-{i:02d}/sub-{i:02d}_sessions.tsv").write_text(f"visit\tbmi\nses-1\t{20 + i}\nses-2\t{30 + i}\n")
    flags = ("--target", "bmi", "--stratify", "none")
    with pytest.raises(CohortError, match=r"sub-01_sessions.tsv: expected a column session_id, found visit, bmi"):
        run(tree, *flags)
    records, _ = run(tree, *flags, "--session_column", "visit")
    values = {(r["subject_ids"][0], r["metadata"]["subject_session"], r["metadata"]["subject_label"]) for r in records}
    assert {("sub-03", "1", "23"), ("sub-03", "2", "33")} <= values
    for path in tree.glob("sub-*/*_sessions.tsv"):
        path.unlink()
    lines = [f"sub-{i:02d}\t{visit}\t{'MF'[i % 2]}\t{i}" for i in range(1, 21) for visit in (1, 2)]
    (tree / "participants.tsv").write_text("\n".join(["participant_id\tvisit\tsex\tage", *lines]) + "\n")
    records, exclusions = run(tree, "--session_column", "visit")
    assert len(records) == 40 and exclusions == []
    with pytest.raises(
        CohortError, match=r"--session_column: expected a column of the table, found no 'visits'.*mean visit"
    ):
        run(tree, "--session_column", "visits")
    lines += ["sub-01\t1\tF\t99"]
    (tree / "participants.tsv").write_text("\n".join(["participant_id\tvisit\tsex\tage", *lines]) + "\n")
    run(tree, "--session_column", "visit")
    text = (tmp_path / "out/exclusions.tsv").read_text()
    assert "contradicting rows" in text and "--session_column" not in text


def test_a_scan_that_is_there_as_nii_and_nii_gz_is_taken_once_where_both_are_equal(tmp_path):
    tree = write_tree(tmp_path / "bids", sessions=())
    for i, (plain, packed) in enumerate([(SCAN, SCAN), (SCAN, SCAN + b"else"), (SCAN, None)], 1):
        path = tree / f"sub-{i:02d}/anat/sub-{i:02d}_T1w.nii.gz"
        path.with_suffix("").write_bytes(plain)
        path.write_bytes(gzip.compress(packed) if packed else gzip.compress(plain)[:-6])
    records, exclusions = run(tree)
    assert exclusions == [("sub-02", "", "several files"), ("sub-03", "", "several files")]
    assert "../bids/sub-01/anat/sub-01_T1w.nii.gz" in paths_of(records)
    assert "1 scans are there as .nii and .nii.gz with equal bytes" in (tmp_path / "out/summary.txt").read_text()
    text = (tmp_path / "out/exclusions.tsv").read_text()
    assert "sub-02_T1w.nii and sub-02_T1w.nii.gz are both there, and differ in what they hold: delete or move" in text
    assert "sub-03_T1w.nii.gz are both there, and cannot be compared" in text


def test_results_of_spm_beside_the_scan_are_told_from_it(tmp_path):
    tree = write_tree(tmp_path / "bids", sessions=())
    for prefix in ("c1", "c2", "wc1", "mwc1", "m", "y_", "iy_", "wm", "mean"):
        (tree / f"sub-02/anat/{prefix}sub-02_T1w.nii").write_bytes(b"\0")
    (tree / "sub-02/anat/u_rc1sub-02_T1w_Template.nii").write_bytes(b"\0")
    (tree / "sub-03/anat/sub-03_T1w.nii.gz").rename(tree / "sub-03/anat/wmsub-03_T1w.nii.gz")
    (tree / "sub-04/anat/sub-04_T1w.nii.gz").rename(tree / "sub-04/anat/sub-05_T1w.nii.gz")
    (tree / "sub-06/anat/sub-06_T1w.nii.gz").rename(tree / "sub-06/anat/sub-06_T1w_defaced.nii.gz")
    records, exclusions = run(tree)
    assert exclusions == [(f"sub-{i:02d}", "", "no scan") for i in (3, 4, 6)]
    assert "../bids/sub-02/anat/sub-02_T1w.nii.gz" in paths_of(records)
    text = (tmp_path / "out/exclusions.tsv").read_text()
    assert "wmsub-03_T1w.nii.gz: its name begins with wm, as a result of SPM's does" in text
    assert "sub-05_T1w.nii.gz: its name says sub-05, its folder sub-04" in text
    assert "sub-06_T1w_defaced.nii.gz: its name is no BIDS name" in text
    summary = (tmp_path / "out/summary.txt").read_text()
    assert "sMRI: 10 images beside the scans are not taken, as " in summary


def test_files_whose_names_say_the_same_are_no_runs(tmp_path):
    tree = write_tree(tmp_path / "bids", sessions=(), names=("run-1_T1w",))
    touch(tree, "sub-02", "", "anat", "run-01_T1w")
    touch(tree, "sub-03", "", "anat", "run-a_T1w")
    for choice in ("", "first"):
        _, exclusions = run(tree, *(("--run", choice) if choice else ()))
        assert exclusions == [("sub-02", "", "several files"), ("sub-03", "", "several runs")]


def test_ids_that_lost_their_zeros_find_their_folders_where_only_one_can_be_meant(tmp_path):
    tree = write_tree(tmp_path / "bids", sessions=("01", "02"))
    text = (tree / "participants.tsv").read_text()
    (tree / "participants.tsv").write_text(re.sub(r"sub-0?", "", text))
    (tree / "sub-03/sub-03_sessions.tsv").write_text("session_id\tbmi\n1\t20\n2\t21\n")
    records, exclusions = run(tree, "--sessions", "1")
    assert len(records) == 20 and {reason for *_, reason in exclusions} == {"session not chosen"}
    summary = (tmp_path / "out/summary.txt").read_text()
    assert "inferred  folders: 9 participants by their number, as 1 = sub-01, 2 = sub-02, 3 = sub-03" in summary
    assert "inferred  folders: 2 sessions by their number, as 1 = ses-01, 2 = ses-02" in summary
    touch(tree, "sub-1", "01", "anat", "T1w")
    with pytest.raises(CohortError, match=r"expected one folder for a number, found sub-01 and sub-1 for 1\. Write"):
        run(tree)
    (tree / "participants.tsv").write_text(text + "1\tM\tA\n")
    assert ("sub-1", "01", "no scan") not in run(tree)[1]
    for path in sorted((tree / "sub-1").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    (tree / "sub-1").rmdir()
    with pytest.raises(CohortError, match=r"expected one label for a folder, found 01 and 1 for sub-01"):
        run(tree)


def test_a_session_that_nobody_has_is_refused_with_those_that_there_are(tmp_path):
    with pytest.raises(CohortError, match=r"--sessions 3: expected sessions of .* There are: 1 \(20\), 2 \(20\)"):
        run(write_tree(tmp_path / "bids"), "--sessions", "1", "3")


def test_data_that_was_not_fetched_is_fetched_and_never_taken(tmp_path):
    tree = write_tree(tmp_path / "bids", sessions=(), names=("run-1_T1w", "run-2_T1w"))
    scans = [tree / f"sub-{i:02d}/anat/sub-{i:02d}_run-1_T1w.nii.gz" for i in range(1, 21)]
    scans[1].unlink()
    scans[1].symlink_to("../../.git/annex/objects/Gz/K1/MD5E-s1--a.nii.gz/MD5E-s1--a.nii.gz")
    scans[2].write_bytes(LFS)
    scans[3].write_bytes(b"\n<!DOCTYPE html>\n<html>" + bytes(100_000))
    scans[4].write_bytes(b"PK\x03\x04" + bytes(100))
    scans[5].write_bytes(b"")
    _, exclusions = run(tree, "--run", "first")
    kinds = ["not fetched", "not fetched", "not a scan", "packed", "empty file"]
    assert exclusions == [(f"sub-{i:02d}", "", kind) for i, kind in enumerate(kinds, start=2)]
    warnings = [line for line in (tmp_path / "out/summary.txt").read_text().splitlines() if "left out" in line]
    assert [re.sub(r" the first: \S+: .*", "", line) for line in warnings if line.startswith("WARNING")] == [
        "WARNING 2 visits are left out, not fetched;",
        "WARNING 1 visit is left out, not a scan;",
        "WARNING 1 visit is left out, packed;",
        "WARNING 1 visit is left out, empty file;",
    ]
    assert f"datalad get {scans[1]}" in warnings[0] and f"(unzip {scans[4]})" in warnings[2]
    text = (tmp_path / "out/exclusions.tsv").read_text()
    assert f"datalad get {scans[1]}" in text and "lfs pull --include" in text and "download the scan again" in text
    for scan in scans:
        scan.unlink(missing_ok=True)
        scan.write_bytes(LFS)
    with pytest.raises(CohortError, match=r"20 not fetched \(as sub-01: sMRI: .*git -C \S+ lfs pull --include sub-01"):
        run(tree, "--run", "first")
    assert "expected scans" not in str(run(tree, "--run", "last")[1])
    template = f"{tree}/{{participant_id}}/anat/{{participant_id}}_run-1_T1w.nii.gz"
    flags = ["--participants", str(tree / "participants.tsv"), "--image_template", template, "--target", "sex"]
    with pytest.raises(CohortError, match="lfs pull"):
        generate(parse_options("", [*flags, "--output_dir", str(tmp_path / "two")]))


def test_a_refusal_for_want_of_scans_says_what_is_there_and_writes_exclusions(tmp_path):
    tree = write_tree(tmp_path / "bids", sessions=(), names=("task-rest_run-1_bold", "task-faces_bold"))
    (tree / "sub-01/eeg").mkdir()
    (tree / "sub-01/eeg/sub-01_task-rest_eeg.set").write_bytes(b"\0")
    with pytest.raises(CohortError) as error:
        run(tree)
    table = tmp_path / "out/exclusions.tsv"
    assert re.search(
        r"expected scans T1w, found none that can be used: 20 no scan \(as sub-01: sMRI: no T1w image in anat, dwi, "
        r"func\)"
        r"\. The tree holds 40 bold \(run: 1 20, without it 20 \(run=\); task: .*\), 1 \.set in eeg\. Everything",
        str(error.value),
    )
    assert str(error.value).endswith(str(table)) and table.read_text().count("no T1w image") == 20
    run(tree, "--modalities", "fMRI", "--entities", "task=rest")  # the refusal's folder is replaced
    kept = (tmp_path / "out/splits.json").read_bytes()
    with pytest.raises(CohortError, match=r"out\.exclusions\.tsv$"):
        run(tree)
    assert (tmp_path / "out/splits.json").read_bytes() == kept
    assert (tmp_path / "out.exclusions.tsv").read_text().count("no T1w image") == 20


def test_a_dry_run_lists_what_a_tree_holds_and_writes_nothing(tmp_path, capsys):
    tree = write_tree(tmp_path / "bids", names=("T1w", "task-rest_run-1_bold", "task-rest_run-2_bold"))
    touch(tree / "derivatives/fmriprep", "sub-01", "1", "anat", "desc-preproc_T1w")
    (tree / "sub-01/ses-1/eeg").mkdir()
    (tree / "sub-01/ses-1/eeg/sub-01_ses-1_eeg.edf").write_bytes(b"\0")
    (tree / "sub-01/ses-1/anat/msub-01_ses-1_T1w.nii").write_bytes(b"\0")
    before = sorted(tmp_path.rglob("*"))
    code, out, err = dry_run(tree, capsys)
    assert (code, err) == (0, "") and sorted(tmp_path.rglob("*")) == before
    for line in (
        "participants' folders: 20",
        "sessions (folders): 1 20, 2 20",
        "bold: 80 images in func",
        "    run: 1 40, 2 40",
        "    task: rest 80",
        "T1w: 40 images in anat",
        "1 other files .edf in eeg",
        "derivatives (--derivatives NAME): fmriprep",
        "sex: categorical, F 20, M 20 (40 values, none a number → classes)",
        "chosen: scans of 40 visits, 20 participants, as",
    ):
        assert f"{line}\n" in out
    assert "1 images that are not taken, the first " in out
    code, out, _ = dry_run(tree, capsys, "--modalities", "fMRI")
    assert code == 0 and "chosen: no scan. " in out and "several runs" in out
    code, out, _ = dry_run(tree, capsys, "--target", "sex", "--stratify", "site")
    assert (
        code == 0 and "used            20 participants" in out and out.endswith("Nothing was written (--dry_run).\n")
    )
    code, _, err = dry_run(tree, capsys, "--target", "sexe")
    assert code == 1 and "Did you mean sex" in err
    assert sorted(tmp_path.rglob("*")) == before
    with pytest.raises(SystemExit):
        dry_run(tree, capsys, "--seed", "3")
    assert "--seed: expected --target beside it, found --dry_run alone" in capsys.readouterr().err
    (tree / "participants.tsv").unlink()
    code, out, err = dry_run(tree, capsys)
    assert code == 1 and "T1w: 40 images" in out and "participants.tsv: expected a table" in err


# Small trees after those of github.com/bids-standard/bids-examples: what they hold → rows, or what the refusal says.
REAL_TREES = {
    "eeg alone": ({"eeg": ["task-rest_eeg.edf"]}, [], "The tree holds 20 T2star, 20 .edf in eeg"),
    "chunks": (
        {"anat": ["chunk-1_T1w.nii.gz", "chunk-2_T1w.nii.gz"]},
        [],
        "choose with --entities chunk=1 or chunk=2",
    ),
    "pet": (
        {"pet": ["trc-a_pet.nii.gz"]},
        ["--suffixes", "sMRI=pet"],
        "no pet image in anat, .* holds .*20 pet in pet",
    ),
    "two weightings": ({"anat": ["T1w.nii.gz", "inplaneT2.nii.gz", "T1map.nii.gz"]}, [], 20),
    "suffix": (
        {"anat": ["acq-a_T1w.nii", "T2w.nii"]},
        ["--suffixes", "sMRI=bold"],
        "20 T1w .acq: a 20., 20 T2star, 20 T2w",
    ),
    "tasks": (
        {"func": [f"task-{task}_run-{run}_bold.nii.gz" for task in "ab" for run in (1, 2)]},
        ["--modalities", "fMRI", "--run", "first"],
        "they differ in task: choose with --entities task=a or task=b",
    ),
    "echoes": (
        {"anat": [f"echo-{i}_FLASH.nii.gz" for i in range(1, 8)]},
        ["--suffixes", "sMRI=FLASH", "--entities", "echo=03"],
        20,
    ),
    "meg folders": ({"meg": ["meg.ds/x.meg4"], "anat": ["T1w.nii.gz"]}, [], 20),
    "page": ({"anat": ["T1w.nii=<!DOCTYPE html>"]}, [], "a web page or XML text"),
    "dwi": ({"dwi": ["dwi.nii.gz", "dwi.bval", "dwi.bvec"]}, ["--modalities", "dMRI"], 20),
}


@pytest.mark.parametrize("name", REAL_TREES)
def test_real_trees_end_in_rows_or_in_what_is_there(tmp_path, name):
    files, flags, expected = REAL_TREES[name]
    tree = write_tree(tmp_path / "bids", sessions=(), names=("T2star",))
    for i in range(1, 21):
        for folder, names in files.items():
            for text in names:
                file, _, content = text.partition("=")
                path = tree / f"sub-{i:02d}" / folder / f"sub-{i:02d}_{file}"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(content or "\0")
    if isinstance(expected, int):
        assert len(run(tree, *flags)[0]) == expected
        return
    with pytest.raises(CohortError, match=expected):
        run(tree, *flags)
    assert json.dumps(sorted(path.name for path in (tmp_path / "out").iterdir())) == (
        '["exclusions.tsv", "generated.json"]'
    )


def test_names_of_other_systems_are_no_scans_and_break_nothing(tmp_path, capsys):
    tree = write_tree(tmp_path / "bids", sessions=())
    anat = tree / "sub-01/anat"
    (anat / "._sub-01_T1w.nii.gz").write_bytes(b"\0")  # a Mac's
    (anat / os.fsdecode(b"sub-01_acq-\xff_T1w.nii.gz")).write_bytes(b"\0")
    (anat / "sub-01_acq-b\nc_T1w.nii.gz").mkdir()
    for place in (anat / "sub-01_acq-loop_T2w.nii.gz", tree / "sub-77", tree / os.fsdecode(b"sub-\xe9")):
        place.symlink_to(place.name)
    (tree / os.fsdecode(b"sub-\xe8")).mkdir()
    records, exclusions = run(tree)
    assert len(records) == 20 and [row for row in exclusions if row[0] != ""] == exclusions
    assert exclusions == [(r"sub-\udce8", "", "scan without a participant")]
    assert main(["--bids_dir", str(tree), "--dry_run"]) == 0
    assert r"sub-01_acq-\udcff_T1w.nii.gz: its name is no UTF-8" in capsys.readouterr().out


def test_a_pipe_in_a_scans_place_is_not_waited_for(tmp_path):
    tree = write_tree(tmp_path / "bids", sessions=())
    (tree / "sub-01/anat/sub-01_T1w.nii.gz").unlink()
    os.mkfifo(tree / "sub-01/anat/sub-01_T1w.nii.gz")
    os.mkfifo(tree / "sub-02/anat/sub-02_T1w.nii")
    _, exclusions = run(tree)
    assert sorted(exclusions) == [("sub-01", "", "not a scan"), ("sub-02", "", "several files")]
