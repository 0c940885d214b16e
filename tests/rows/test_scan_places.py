"""Whose scans are whose: rows whose subject is shown by several, told from the rows alone and exchanged as a whole."""

import random
from collections import Counter

import numpy as np
import pytest
from datasets import Dataset

from umbrella.cohort.questions.writer import Scan, make_conversation
from umbrella.evaluation.confounds import read_confounds
from umbrella.evaluation.control_scores import compare_labels
from umbrella.evaluation.controls import build_controls
from umbrella.evaluation.donors import read_scan_sets
from umbrella.evaluation.evidence.failure_columns import list_columns
from umbrella.evaluation.evidence.scan_measures import HEAD_VOLUME, ScanMeasures, measure_scan, measure_scans
from umbrella.evaluation.results import subjects_of_rows
from umbrella.report.scan_roles import name_roles
from umbrella.rows.scan_places import find_places, number_kinds
from umbrella_dataset import FEATURES, load_umbrella

KINDS = ("sMRI", "dMRI", "fMRI")
LABELS = ("ill", "well")


def draw_row(rng, i):
    """A row whose paths say whose scans they are: "subject 3/0"."""

    def show(owner, kinds):
        return [Scan(owner, f"{owner}/{number}", kind) for number, kind in enumerate(kinds)]

    subject, reference = f"subject {i}", rng.choice([None, f"reference {i}", f"subject {i}"])
    own = show(subject, rng.sample(KINDS, rng.randint(1, 3)))
    turns, metadata = [[*own, "Which?"], ["ill"]], {"subject_id": subject, "subject_label": rng.choice(LABELS)}
    metadata |= {"reference_id": reference, "reference_label": reference and "ill"}
    if reference is not None:
        before = [Scan(scan.subject_id, f"before {scan.path}", scan.modality) for scan in own]
        compared = before if reference == subject else show(reference, rng.sample(KINDS, rng.randint(1, 3)))
        if rng.random() < 0.3 and reference == subject:
            turns[0] = [*compared, *turns[0]]  # all in one turn
        else:
            turns = [["Before:", *compared], ["Seen."], *turns]
    row = make_conversation(f"row {i}", "T1", turns, metadata)
    owners = [row["subject_ids"], [subject], []]
    if reference is None or len(turns) > 2:
        row["subject_ids"] = rng.choice(owners)
    fields = {"reference_id": reference, "comparison_type": None, "task": None, "extra": None}
    conversations = [
        {**turn, "content": [{"text": None, "modality": None, "image_path": None, **item} for item in turn["content"]]}
        for turn in row["conversations"]
    ]
    return row | {"metadata": metadata | fields, "conversations": conversations, "source": "x.json", "length": 0}


@pytest.fixture(scope="module")
def rows():
    rng = random.Random(0)
    return Dataset.from_list([draw_row(rng, i) for i in range(300)], features=FEATURES)


def people(images):
    return [scan["path"].rpartition("/")[0] for scan in images]


def test_the_places_are_those_of_whom_the_scans_are(rows):
    for row in rows:
        shown, subject = people(row["images"]), row["metadata"]["subject_id"]
        places = find_places(row)
        assert places.subject == tuple(i for i, who in enumerate(shown) if who == subject), row
        assert places.reference == tuple(i for i, who in enumerate(shown) if who != subject), row
    assert Counter(len(find_places(row).subject) for row in rows).keys() == {1, 2, 3}


def test_all_scans_of_one_person_are_exchanged_and_none_of_another(rows):
    plain, controls = rows[:], {control.name: control for control in build_controls(rows, 0, 500)}
    labels = {entry["subject_id"]: entry["subject_label"] for entry in plain["metadata"]}
    n_asked = {name: len(control.indices) for name, control in controls.items()}
    assert min(n_asked[name] for name in ("scans_shuffled", "subject_swapped", "reference_same_label")) > 150 > 0
    for name, control in controls.items():
        if control.donors is None:
            continue
        assert control.several
        for i, donor, after in zip(control.indices, control.donors, control.rows["images"], strict=True):
            before, places = plain["images"][i], find_places(rows[i])
            exchanged = {place for place in range(len(before)) if before[place] != after[place]}
            owed = {"scans_shuffled": range(len(before)), "subject_swapped": places.subject}
            assert exchanged == set(owed.get(name, places.reference)), name
            assert Counter(scan["modality"] for scan in after) == Counter(scan["modality"] for scan in before)
            assert [scan["modality"] for scan in after] == [scan["modality"] for scan in before]
            if name == "subject_swapped":
                assert {people(after)[place] for place in places.subject} == {donor}
                assert labels[donor] != labels[plain["metadata"][i]["subject_id"]]


def test_the_verdict_tells_of_the_set_that_was_exchanged(rows):
    """A model of dMRI alone reads the set, wherever in it that modality stands."""
    of_scan = {
        scan["path"]: row["metadata"]["subject_label"]
        for row in rows
        for scan in (row["images"][place] for place in find_places(row).subject)
        if scan["modality"] == "dMRI"
    }

    def answer(images):
        return next((of_scan[scan["path"]] for scan in reversed(images) if scan["path"] in of_scan), "ill")

    answers = [answer(images) for images in rows["images"]]
    records = [
        {"parsed_label": found, "expected_label": entry["subject_label"]}
        for found, entry in zip(answers, rows["metadata"], strict=True)
    ]
    exchanged = {
        control.name: (control, [{"parsed_label": answer(images)} for images in control.rows["images"]])
        for control in build_controls(rows, 0, 500)
        if control.name == "subject_swapped"
    }
    verdict = compare_labels(records, exchanged, subjects_of_rows(rows))["verdicts"]["subject"]
    assert verdict["verdict"] == "uses"
    assert verdict["sentence"].startswith("The model uses the subject's set of scans: exchanging it changes ")


def test_columns_and_kinds_name_all_scans_of_the_subject(rows):
    columns, _ = list_columns(rows, [{"expected_label": "ill"}] * len(rows), ScanMeasures([{}] * len(rows), []))
    modalities = next(column.groups for column in columns if column.name == "modality of the scan")
    for own, group in zip(read_scan_sets(rows), modalities, strict=True):
        assert group.split(" and ") == own.name_kinds(own.places.subject)
    assert number_kinds(["sMRI", "dMRI", "sMRI", "sMRI"]) == ["sMRI", "dMRI", "sMRI 2", "sMRI 3"]


def test_head_volume_is_measured_of_all_scans_of_the_subject(small_data):
    """Two scans of one row, both said to be the subject's."""
    (row,) = load_umbrella(str(small_data), split="test").with_format(None).select([0])
    owner = row["metadata"]["subject_id"]
    row |= {"subject_ids": [owner] * 2, "metadata": row["metadata"] | {"reference_id": None}}
    both = Dataset.from_list([row], features=FEATURES)
    (measures,) = measure_scans(both, 0).rows
    alone = [measure_scan(scan["path"], scan["modality"])[HEAD_VOLUME] for scan in row["images"]]
    assert [measures[f"{HEAD_VOLUME}, {kind}"] for kind in ("sMRI", "sMRI 2")] == alone
    assert alone[0] != alone[1]
    ((volume,),) = read_confounds([both], ["head_volume"])[0]
    assert volume == pytest.approx(np.mean(alone), rel=0.05)


def test_a_page_names_the_sequence_of_each_scan():
    extra = '{"suffixes": ["T1w", "FLAIR", "T1w"]}'
    shown = {"role": "user", "content": [{"type": "image", "text": None}] * 3}
    row = {"images": [{}] * 3, "subject_ids": ["b", "b", "a"], "conversations": [shown]}
    entry = {"subject_id": "a", "reference_id": "b", "extra": extra}
    assert name_roles(row | {"metadata": entry}) == ["reference, T1w", "reference, FLAIR", "the subject's scan, T1w"]
    alone = row | {"metadata": entry | {"reference_id": None}}
    assert name_roles(alone) == ["T1w", "FLAIR", "T1w"]
