"""All sequences of a visit in one conversation: by name, in an order, and what a visit lacks in words."""

import json
import shutil
from collections import Counter

import nibabel
import numpy as np
import pytest
from study_trees import SEQUENCES, STUDY, generate_records, remove_scan, touch_scan, write_studies

from umbrella.cohort.generation import generate, main, parse_options
from umbrella.cohort.shared.visits import CohortError
from umbrella.files.studies import find_absent
from umbrella_dataset import find_problems


@pytest.fixture
def tree(tmp_path):
    """20 subjects of one session with three sequences; sub-01 has no FLAIR, sub-02 T2w alone, sub-03 none."""
    tree = write_studies(tmp_path / "bids")
    for subject, names in (("sub-01", ["FLAIR"]), ("sub-02", ["T1w", "FLAIR"]), ("sub-03", SEQUENCES)):
        for name in names:
            remove_scan(tree, subject, name)
    return tree


def of_subject(records, subject):
    return next(record for record in records if record["metadata"]["subject_id"] == f"sub-{subject}")


def show(turn):
    return [item.get("text") or item["image_path"].rpartition("_")[2] for item in turn["content"]]


def test_each_sequence_is_named_in_front_of_its_scan_and_what_is_absent_is_said(tree):
    records, exclusions = generate_records(tree, *STUDY, "--question", "Which?")
    assert exclusions == [("sub-03", "", "no scan")] and len(records) == 19
    assert all(find_problems(record) == [] for record in records)
    whole, partly, one = (of_subject(records, subject) for subject in ("04", "01", "02"))
    assert show(whole["conversations"][0]) == [
        *("T1w:", "T1w.nii.gz", "FLAIR:", "FLAIR.nii.gz", "T2w:", "T2w.nii.gz", "Which?")
    ]
    assert show(partly["conversations"][0]) == [
        *("T1w:", "T1w.nii.gz", "FLAIR: not available.\n", "T2w:", "T2w.nii.gz", "Which?")
    ]
    assert show(one["conversations"][0])[-3:] == ["T2w:", "T2w.nii.gz", "Which?"]
    for record, absent in ((whole, []), (partly, ["FLAIR"]), (one, ["T1w", "FLAIR"])):
        assert record["metadata"]["absent"] == absent
        assert record["metadata"]["suffixes"] == [name for name in SEQUENCES if name not in absent]
        assert record["modalities"] == ["sMRI"] * (3 - len(absent))
    summary = (tree.parent / "out/summary.txt").read_text()
    assert "sequences: T1w in 18, FLAIR in 17, T2w in 19 of 19 visits" in summary


def test_drawn_orders_are_all_there_and_those_of_the_seed(tree):
    flags = (*STUDY, "--sequence_order", "drawn", "--reference", "any", "--split", "0.6,0.2,0.2")
    records, _ = generate_records(tree, *flags)
    again, _ = generate_records(tree, *flags)
    other, _ = generate_records(tree, *flags, "--seed", "1")
    assert records == again != other
    orders = Counter()
    for record in records:
        turns = [record["conversations"][i]["content"] for i in (0, 2)]
        texts = [[item["text"] for item in turn if item["type"] == "text"] for turn in turns]
        names = [[find_absent(text) or text[:-1] for text in some] for some in (texts[0][1:], texts[1][:-1])]
        assert names[0] == names[1] and sorted(names[0]) == sorted(SEQUENCES)
        orders[tuple(names[0])] += 1
        stated = record["metadata"]["suffixes"]
        assert [image["path"].rpartition("_")[2] for image in record["images"]] == [f"{one}.nii.gz" for one in stated]
    assert len(orders) > 3


def test_a_visit_of_too_few_is_left_out_and_an_order_may_be_another(tree):
    records, exclusions = generate_records(tree, "--modalities_of_visit", "T2w", "T1w", "--least_sequences", "2")
    assert set(exclusions) == {("sub-02", "", "too few sequences"), ("sub-03", "", "no scan")}
    assert {tuple(record["metadata"]["suffixes"]) for record in records} == {("T2w", "T1w")}


def test_what_is_there_and_cannot_be_taken_is_not_called_absent(tree):
    touch_scan(tree, "sub-04", "run-2_FLAIR")  # beside one without a run
    for subject, name in (("05", "acq-low_FLAIR"), ("06", "acq-low_FLAIR")):
        touch_scan(tree, f"sub-{subject}", name)
    (tree / "sub-06/anat/sub-06_FLAIR.nii.gz").unlink()
    wrong = tree / "sub-07/anat/sub-07_FLAIR.nii.gz"
    wrong.rename(wrong.with_name("sub-70_FLAIR.nii.gz"))
    fetched = tree / "sub-08/anat/sub-08_FLAIR.nii.gz"
    fetched.unlink()
    fetched.symlink_to("../annex/nothing")
    _, exclusions = generate_records(tree, *STUDY, "--entities", "FLAIR:acquisition=")
    reasons = {subject: reason for subject, _, reason in exclusions}
    assert reasons == {
        **dict.fromkeys(("sub-03", "sub-06", "sub-07"), "no scan"),
        "sub-04": "several runs",
        "sub-08": "not fetched",
    }


def test_a_table_names_the_sequences_and_an_empty_cell_is_an_absent_one(tree):
    lines = ["participant_id\tsex\tflair"]
    for i in range(4, 21):
        cell = {5: "n/a", 6: "sub-06/anat/sub-06_lost.nii.gz"}.get(i, f"sub-{i:02d}/anat/sub-{i:02d}_FLAIR.nii.gz")
        lines.append(f"sub-{i:02d}\t{'MF'[i % 2]}\t{cell}")
    (tree / "table.tsv").write_text("\n".join(lines))
    (tree / "sub-07/anat/sub-07_T1w.nii.gz").unlink()
    templates = ("FLAIR={flair}", "T1w={participant_id}/anat/{participant_id}_T1w.nii.gz")
    flags = ("--participants", tree / "table.tsv", "--target", "sex", "--output_dir", tree.parent / "out")
    flags += ("--modalities_of_visit", "T1w,FLAIR", "--image_template", *templates)
    generate(parse_options("", [*map(str, flags)]))
    paths = [path for split in ("train", "validation", "test") for path in (tree.parent / "out" / split).iterdir()]
    metadata = [json.loads(path.read_text())["metadata"] for path in paths]
    absent = {one["subject_id"]: one["absent"] for one in metadata if one["absent"]}
    assert absent == {"sub-05": ["FLAIR"], "sub-07": ["T1w"]} and len(metadata) == 16
    assert "sub-06\t\tno scan\tFLAIR: " in (tree.parent / "out/exclusions.tsv").read_text()
    (tree / "table.tsv").write_text("\n".join(lines).replace("sub-08_FLAIR", "sub-08_T1w"))
    with pytest.raises(CohortError, match=r"of its own for each of T1w and FLAIR, found .*sub-08_T1w.* of sub-08\."):
        generate(parse_options("", [*map(str, flags)]))


@pytest.mark.parametrize(
    "flags, message",
    [
        (("T1w,Flair",), "found Flair. Write FLAIR"),
        (("T1w",), "expected two sequences or more"),
        (("T1w,FLAIR,T1w",), "each once, found T1w, FLAIR, T1w"),
        (("T1w,PDw",), "found no PDw in any of"),
        (("T1w,FLAIR", "--least_sequences", "3"), "expected at most 2"),
        (("T1w,FLAIR", "--entities", "T2w:acq=x"), "(T1w, FLAIR), found T2w"),
    ],
)
def test_a_study_that_cannot_be_is_refused_in_a_sentence(tree, flags, message, capsys):
    args = ("--bids_dir", tree, "--target", "sex", "--output_dir", tree.parent / "out", "--modalities_of_visit")
    try:
        assert main([*map(str, args), *flags]) == 1
    except SystemExit as end:
        assert end.code == 2
    assert message in capsys.readouterr().err


def test_flags_of_a_study_without_one_and_other_names_beside_it_are_refused(tree, capsys):
    args = [str(part) for part in ("--bids_dir", tree, "--target", "sex", "--output_dir", tree.parent / "out")]
    for flags in (["--least_sequences", "2"], [*STUDY, "--modalities", "sMRI"], [*STUDY, "--suffixes", "sMRI=T2w"]):
        with pytest.raises(SystemExit):
            main([*args, *flags])
        assert "--modalities_of_visit" in capsys.readouterr().err


def test_one_scan_under_two_names_is_found(tree):
    for i, path in enumerate(sorted(tree.rglob("*.nii.gz"))):
        nibabel.Nifti1Image(np.random.default_rng(i).random((4, 4, 4), np.float32), np.eye(4)).to_filename(path)
    shutil.copy(tree / "sub-09/anat/sub-09_T1w.nii.gz", tree / "sub-09/anat/sub-09_FLAIR.nii.gz")
    _, exclusions = generate_records(tree, *STUDY, "--check_images")
    assert set(exclusions) == {("sub-03", "", "no scan"), ("sub-09", "", "duplicate voxels")}
