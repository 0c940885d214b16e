"""A BIDS tree → visits and scans: sessions, runs, suffixes, entities, derivatives, and what is left out."""

import json
import sys
from collections import Counter

import pytest

from umbrella.cohort.generation import generate, main, parse_options
from umbrella.cohort.shared.visits import CohortError
from umbrella_dataset import find_problems


def write_tree(folder, n=20, sessions=("1", "2"), names=("T1w",), prefix="sub-"):
    """participants.tsv and empty images `sub-*/ses-*/<datatype>/..._<name>.nii.gz`; no session folder without
    sessions."""
    datatype = {"T1w": "anat", "T2w": "anat", "T2star": "anat", "dwi": "dwi", "bold": "func"}
    lines = ["participant_id\tsex\tsite"]
    for i in range(1, n + 1):
        lines.append(f"{prefix}{i:02d}\t{'MF'[i % 2]}\t{'AB'[i // 2 % 2]}")
        for session in sessions or [""]:
            for name in names:
                touch(folder, f"sub-{i:02d}", session, datatype[name.split("_")[-1]], name)
    (folder / "participants.tsv").write_text("\n".join(lines) + "\n")
    return folder


def touch(folder, subject, session, datatype, name):
    parts = [subject, f"ses-{session}"] if session else [subject]
    path = folder.joinpath(*parts, datatype, f"{'_'.join(parts)}_{name}.nii.gz")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\0")
    return path


def run(tree, *flags):
    """(all conversations, exclusions as (participant, session, reason))."""
    out = tree.parent / "out"
    flags = ["--bids_dir", str(tree), "--output_dir", str(out), "--stratify", "sex", *flags]
    generate(parse_options("", flags if "--target" in flags else [*flags, "--target", "sex"]))
    records = [
        json.loads(path.read_text()) for split in ("train", "validation", "test") for path in (out / split).iterdir()
    ]
    rows = [line.split("\t") for line in (out / "exclusions.tsv").read_text().splitlines()[1:]]
    return records, [tuple(row[:3]) for row in rows]


def paths_of(records):
    return {image["path"] for record in records for image in record["images"]}


def test_every_session_is_a_conversation_and_a_subject_stays_in_one_split(tmp_path):
    records, exclusions = run(write_tree(tmp_path / "bids"))
    assert len(records) == 40 and exclusions == []
    assert "../bids/sub-01/ses-1/anat/sub-01_ses-1_T1w.nii.gz" in paths_of(records)
    assert all(find_problems(record) == [] for record in records)
    splits = {(record["task_id"].split("_")[2], record["subject_ids"][0]) for record in records}
    assert len(splits) == 20


def test_sessions_can_be_chosen_and_others_are_counted(tmp_path):
    records, exclusions = run(write_tree(tmp_path / "bids"), "--sessions", "ses-2")
    assert {record["metadata"]["subject_session"] for record in records} == {"2"}
    assert Counter(reason for _, _, reason in exclusions) == {"session not chosen": 20}


def test_a_tree_without_sessions_has_no_session_in_its_conversations(tmp_path):
    records, _ = run(write_tree(tmp_path / "bids", sessions=()))
    assert len(records) == 20 and "subject_session" not in records[0]["metadata"]


def test_several_runs_are_left_out_unless_one_is_chosen(tmp_path):
    tree = write_tree(tmp_path / "bids", sessions=(), names=("run-1_T1w",))
    touch(tree, "sub-03", "", "anat", "run-02_T1w")
    _, exclusions = run(tree)
    assert exclusions == [("sub-03", "", "several runs")]
    for choice, run_name in (("first", "run-1"), ("last", "run-02"), ("1", "run-1")):
        records, exclusions = run(tree, "--run", choice)
        assert exclusions == []
        assert f"../bids/sub-03/anat/sub-03_{run_name}_T1w.nii.gz" in paths_of(records)


def test_files_that_differ_in_another_entity_are_chosen_by_it(tmp_path):
    tree = write_tree(tmp_path / "bids", sessions=(), names=("task-rest_bold", "task-faces_bold"))
    with pytest.raises(CohortError, match=r"several files.*task-faces_bold\.nii\.gz.*choose with --entities"):
        run(tree, "--modalities", "fMRI")
    with pytest.raises(CohortError, match="several files") as error:
        run(write_tree(tmp_path / "two", sessions=(), names=("task-rest_acq-a_bold", "task-rest_acq-b_bold")),
            "--modalities", "fMRI", "--entities", "task=rest")  # fmt: skip
    assert "they differ in acq" in str(error.value) and "--entities" not in str(error.value)
    records, exclusions = run(tree, "--modalities", "fMRI", "--entities", "task=rest")
    assert exclusions == [] and all("task-rest" in path for path in paths_of(records))
    assert {modality for record in records for modality in record["modalities"]} == {"fMRI"}


def test_all_modalities_of_a_visit_stand_in_one_conversation(tmp_path):
    tree = write_tree(tmp_path / "bids", names=("T1w", "T2w", "dwi", "task-rest_bold"))
    (tree / "sub-02/ses-1/dwi/sub-02_ses-1_dwi.nii.gz").unlink()
    records, exclusions = run(tree, "--modalities", "sMRI", "dMRI", "fMRI", "--suffixes", "sMRI=T2w")
    assert exclusions == [("sub-02", "1", "no scan")]
    assert all(record["modalities"] == ["sMRI", "dMRI", "fMRI"] for record in records)
    assert not any("T1w" in path for path in paths_of(records))


def test_scans_of_a_derivative_take_the_labels_of_the_raw_tree(tmp_path):
    tree = write_tree(tmp_path / "bids")
    derivative = write_tree(tree / "derivatives/clean", n=18, names=("space-MNI_desc-preproc_T1w", "desc-preproc_T1w"))
    (derivative / "participants.tsv").unlink()
    records, exclusions = run(tree, "--derivatives", "clean", "--entities", "space=MNI")
    assert all(path.startswith("../bids/derivatives/clean/") and "space-MNI" in path for path in paths_of(records))
    assert len(records) == 36
    assert exclusions == [("sub-19", "", "no scan"), ("sub-20", "", "no scan")]
    with pytest.raises(CohortError, match=r"--derivatives fmriprep: expected a folder in .*, found clean"):
        run(tree, "--derivatives", "fmriprep")


def test_columns_of_sessions_tsv_are_targets_and_its_order_counts_ten_after_two(tmp_path):
    tree = write_tree(tmp_path / "bids", sessions=("1", "2", "10"))
    for i in range(1, 21):
        rows = "".join(
            f"ses-{session}\t{20 + i % 3 + change}\n" for session, change in (("1", 0), ("2", 1.5), ("10", -2))
        )
        (tree / f"sub-{i:02d}/sub-{i:02d}_sessions.tsv").write_text(f"session_id\tbmi\n{rows}")
    records, _ = run(tree, "--target", "bmi", "--reference", "earlier", "--change", "number", "--unit", "kg/m²")
    changes = {(r["metadata"]["reference_session"], r["metadata"]["subject_session"]): r for r in records}
    assert set(changes) == {("1", "2"), ("1", "10")}
    assert changes["1", "2"]["metadata"]["subject_label"] == "1.5"
    assert changes["1", "10"]["metadata"]["subject_label"] == "-2"
    assert "-2 kg/m²" in changes["1", "10"]["conversations"][-1]["content"][0]["text"]


def test_sessions_whose_order_cannot_be_told_are_put_in_order_by_the_user(tmp_path):
    tree = write_tree(tmp_path / "bids", sessions=("pre", "post"))
    for i in range(1, 21):
        rows = f"ses-pre\t{i}\nses-post\t{i + (-1) ** i}\n"
        (tree / f"sub-{i:02d}/sub-{i:02d}_sessions.tsv").write_text(f"session_id\tscore\n{rows}")
    flags = ("--target", "score", "--reference", "earlier", "--change", "direction")
    with pytest.raises(CohortError, match=r"found post, pre. Give --sessions in their order"):
        run(tree, *flags)
    records, _ = run(tree, *flags, "--sessions", "pre", "post")
    assert {record["metadata"]["reference_session"] for record in records} == {"pre"}
    label = {record["subject_ids"][0]: record["metadata"]["subject_label"] for record in records}
    assert label["sub-02"] == "increased" and label["sub-03"] == "decreased"


def test_participants_without_scans_and_scans_without_participants_are_counted(tmp_path):
    tree = write_tree(tmp_path / "bids", sessions=())
    with open(tree / "participants.tsv", "a") as file:
        file.write("sub-77\tM\tA\n")
    touch(tree, "sub-88", "", "anat", "T1w")
    link = tree / "sub-05/anat/sub-05_T1w.nii.gz"
    link.unlink()
    link.symlink_to("../../.git/annex/objects/not_fetched")
    _, exclusions = run(tree)
    assert exclusions == [
        ("sub-05", "", "not fetched"),
        ("sub-77", "", "no scan"),
        ("sub-88", "", "scan without a participant"),
    ]


def test_ids_without_prefix_in_the_table_find_their_folders(tmp_path):
    records, exclusions = run(write_tree(tmp_path / "bids", prefix=""))
    assert exclusions == [] and records[0]["subject_ids"][0].startswith("sub-")


def test_a_table_of_other_people_is_refused_with_examples_of_both(tmp_path):
    tree = write_tree(tmp_path / "bids")
    (tree / "participants.tsv").write_text("participant_id\tsex\nsub-A1\tM\nsub-A2\tF\n")
    with pytest.raises(CohortError, match="the table has A1, A2, the tree has 01, 02, 03"):
        run(tree)


def test_without_ancpbids_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ancpbids.utils", None)
    with pytest.raises(
        CohortError, match=r'--bids_dir: expected the package ancpbids, .* pip install -e "\.\[cohort\]"$'
    ):
        run(write_tree(tmp_path / "bids"))


def test_a_folder_that_is_no_tree_is_refused(tmp_path, capsys):
    flags = ["--target", "sex", "--output_dir", str(tmp_path / "out")]
    assert main(["--bids_dir", str(tmp_path / "nowhere"), *flags]) == 1
    assert "--bids_dir: expected a folder, found none" in capsys.readouterr().err
    assert main(["--bids_dir", str(tmp_path), *flags]) == 1
    assert "expected a BIDS tree, found an empty folder: copy its data, or name another" in capsys.readouterr().err
    (tmp_path / "sub-01").mkdir()
    assert main(["--bids_dir", str(tmp_path), *flags]) == 1
    assert "participants.tsv: expected a table (.tsv or .csv), found no such file" in capsys.readouterr().err


def test_a_column_known_at_the_later_session_alone_is_asked_about_with_the_earlier_scan(tmp_path):
    tree = write_tree(tmp_path / "bids")
    for i in range(1, 21):
        rows = f"ses-1\tn/a\nses-2\t{('stable', 'worse')[i // 2 % 2]}\n"
        (tree / f"sub-{i:02d}/sub-{i:02d}_sessions.tsv").write_text(f"session_id\toutcome\n{rows}")
    records, exclusions = run(tree, "--target", "outcome", "--reference", "earlier")
    assert len(records) == 20 and exclusions == []
    assert {record["metadata"]["subject_label"] for record in records} == {"stable", "worse"}
    assert "reference_label" not in records[0]["metadata"] and find_problems(records[0]) == []
    _, exclusions = run(tree, "--target", "sex", "--reference", "earlier", "--question", "Was {reference_value}, now?")
    assert exclusions == []
    flags = ("--target", "outcome", "--reference", "earlier", "--question", "It was {reference_value}, and now?")
    with pytest.raises(CohortError, match=r"found none\. Remedy: .*another column\. Left out: 20 no label"):
        run(tree, *flags)


def test_no_line_of_a_sessions_table_vanishes(tmp_path):
    tree = write_tree(tmp_path / "bids", sessions=("1", "2"))
    table = tree / "sub-03/sub-03_sessions.tsv"
    table.write_text("session_id\tbmi\nses-1\t20\nses-2\t21\nses-2\t21\nses-9\t22\nn/a\t23\n")
    _, exclusions = run(tree)
    assert ("sub-03", "2", "duplicate row") in exclusions
    assert ("sub-03", "9", "no scan") in exclusions
    assert ("sub-03", "", "no id") in exclusions
    table.write_text("session_id\tbmi\nses-1\t20\nses-1\t21\n")
    with pytest.raises(CohortError, match=r"sub-03_sessions.tsv:3: expected one row of session 1, found another"):
        run(tree)
    table.write_text('session_id\tbmi\nses-1\t"20\nses-2\t21\n')
    with pytest.raises(CohortError, match=r"sub-03_sessions.tsv:2: expected a closing quote"):
        run(tree)


def test_the_columns_of_another_table_are_named_by_the_flags(tmp_path):
    tree = write_tree(tmp_path / "bids")
    text = (tree / "participants.tsv").read_text().replace("participant_id", "code")
    (tmp_path / "clinic.csv").write_text(text.replace("\t", ";"))
    records, exclusions = run(tree, "--participants", str(tmp_path / "clinic.csv"), "--id_column", "code")
    assert len({record["metadata"]["subject_id"] for record in records}) == 20
    assert exclusions == []
