"""Which sequence of a study a model uses: rows with another's, rows without, and what is said of both."""

import json

import nibabel
import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests
from study_trees import SEQUENCES, STUDY, generate_records, remove_scan, write_studies

from umbrella.evaluation.baselines import evaluate_baselines
from umbrella.evaluation.control_scores import compare_labels
from umbrella.evaluation.controls import build_controls
from umbrella.evaluation.results import subjects_of_rows
from umbrella.evaluation.sequence_controls import build_sequence_controls, leave_out_sequence
from umbrella.models.loading import load_processor
from umbrella.rows.kept_views import CachingTransform, ViewCache
from umbrella_dataset import load_umbrella

MOST = ("--split", "0.3,0.1,0.6", "--seed", "3")
N = 24


def load(tree, *flags, split="test"):
    generate_records(tree, *STUDY, *MOST, *flags)
    return load_umbrella(str(tree.parent / "out"), split=split)


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    tree = write_studies(tmp_path_factory.mktemp("studies") / "bids", 75)
    return load(tree), load(tree, split="train")


@pytest.mark.parametrize(
    "flags",
    [
        pytest.param((), marks=pytest.mark.slow),
        ("--sequence_order", "drawn"),
        pytest.param(("--reference", "any"), marks=pytest.mark.slow),
    ],
)
def test_a_row_without_a_sequence_is_the_row_that_is_made_of_a_visit_without_it(tmp_path, flags):
    """Of a third of the subjects each sequence's file is removed from the tree."""
    tree = write_studies(tmp_path / "bids", N)
    whole = {row["task_id"]: row for row in load(tree, *flags).with_format(None)}
    lacking = {f"sub-{i:02d}": SEQUENCES[i % 3] for i in range(1, N + 1)}
    for subject, name in lacking.items():
        remove_scan(tree, subject, name)
    n_equal = 0
    for made in load(tree, *flags).with_format(None):
        name = lacking[made["metadata"]["subject_id"]]
        left = leave_out_sequence(whole[made["task_id"]], name)
        assert len(left["images"]) < len(whole[made["task_id"]]["images"])
        if made["metadata"]["reference_id"] is None:
            assert left == made
            n_equal += 1
        else:  # the reference lacks one too
            assert left["conversations"][2:] == made["conversations"][2:]
            assert json.loads(left["metadata"]["extra"])["absent"] == [name]
            assert left["subject_ids"].count(made["metadata"]["subject_id"]) == 2
    assert n_equal == len(whole) * (flags != ("--reference", "any"))


def test_one_sequence_is_exchanged_and_all_others_stay(rows):
    test, train = rows
    controls = {control.name: control for control in build_sequence_controls(test, 0, 500, train)}
    assert list(controls) == [name for one in SEQUENCES for name in (f"{one}_swapped", f"without_{one}")]
    labels = {entry["subject_id"]: entry["subject_label"] for entry in test["metadata"]}
    for name in SEQUENCES:
        control = controls[f"{name}_swapped"]
        assert control.indices == list(range(len(test)))
        for i, donor, after in zip(control.indices, control.donors, control.rows["images"], strict=True):
            before = test[i]["images"]
            (place,) = (k for k in range(3) if before[k] != after[k])
            assert after[place]["path"].endswith(f"{donor}_{name}.nii.gz")
            assert labels[donor] != test[i]["metadata"]["subject_label"]
    assert max(len(control.rows) for control in build_sequence_controls(test, 0, 5, train)) == 5
    few = build_sequence_controls(test, 0, 5, train)[0]
    assert few.rows["images"] == controls[few.name].rows.select(few.indices)["images"]


def answer(paths, label_of, looks_at):
    owners = [path.rpartition("/")[2].split("_")[0] for path in paths if looks_at in path]
    labels = [label_of[owner] for owner in owners]
    return max(sorted(set(labels)), key=labels.count) if labels else "male"


@pytest.mark.slow
@pytest.mark.parametrize("looks_at, uses", [("_FLAIR", ["FLAIR"]), ("sub-", []), ("_PDw", None)])
def test_a_model_is_said_to_use_the_sequence_that_it_looks_at(rows, looks_at, uses):
    """The second answers as most scans do, so that no one of three turns it."""
    test, train = rows
    label_of = {entry["subject_id"]: entry["subject_label"] for entry in test["metadata"]}

    def answer_all(some):
        paths = [[scan["path"] for scan in images] for images in some["images"]]
        return [{"parsed_label": answer(of_row, label_of, looks_at)} for of_row in paths]

    truths = [{"expected_label": entry["subject_label"]} for entry in test["metadata"]]
    records = [found | truth for found, truth in zip(answer_all(test), truths, strict=True)]
    controls = [*build_controls(test, 0, 500), *build_sequence_controls(test, 0, 500, train)]
    exchanged = {control.name: (control, answer_all(control.rows)) for control in controls if control.change is None}
    found = compare_labels(records, exchanged, subjects_of_rows(test))
    verdicts = {key: verdict["verdict"] for key, verdict in found["verdicts"].items()}
    expected = {f"sequence {name}": "uses" if name in (uses or ()) else "ignores" for name in SEQUENCES}
    assert {key: verdicts[key] for key in expected} == expected
    assert verdicts["subject"] == ("ignores" if uses is None else "uses")
    swaps = [found["controls"][f"{name}_swapped"]["paired"] for name in SEQUENCES]
    assert [paired["n_tests"] for paired in swaps] == [3, 3, 3]
    holm = multipletests([paired["p"] for paired in swaps], method="holm")[1]
    assert [paired["p_holm"] for paired in swaps] == pytest.approx(list(holm))
    sentence = found["verdicts"]["sequence FLAIR"]["sentence"]
    if uses == ["FLAIR"]:
        assert sentence.startswith("The model uses the FLAIR: exchanging it changes 100.0 % of the answers")
        assert "Leaving it out takes the accuracy from 100.0 % to " in sentence
    assert sentence.endswith(
        f"Of {len(train)} training rows none lacks it, so what it answers then was never practised."
    )


def test_rows_that_state_no_sequences_have_no_such_control(rows):
    test, _ = rows
    silent = [row | {"metadata": row["metadata"] | {"extra": "{}"}} for row in test.with_format(None)]
    assert build_sequence_controls(test.from_list(silent, features=test.features), 0, 500) == []


def write_halves(tree):
    """Of a man the FLAIR is bright in front, of a woman behind; all else is noise."""
    rng = np.random.default_rng(0)
    for path in sorted(tree.rglob("*.nii.gz")):
        voxels = rng.random((9, 10, 7), np.float32)
        if "FLAIR" in path.name:
            is_male = int(path.name[4:6]) % 2 == 0
            voxels[:, slice(5, None) if is_male else slice(5)] += 1
        nibabel.Nifti1Image(voxels, np.eye(4)).to_filename(path)


@pytest.mark.slow
def test_the_linear_model_has_each_sequence_in_its_place_and_takes_those_that_all_rows_have(tmp_path):
    """In a drawn order, and some visits without a T2w."""
    tree = write_studies(tmp_path / "bids", N)
    write_halves(tree)
    remove_scan(tree, "sub-05", "T2w")
    flags = ("--split", "0.6,0.1,0.3", "--sequence_order", "drawn")
    train, test = (load(tree, *flags, split=split) for split in ("train", "test"))
    truths = [entry["subject_label"] for entry in test["metadata"]]
    records = [{"expected_label": truth, "parsed_label": truth} for truth in truths]
    transform = CachingTransform(load_processor("tiny"), ViewCache(), view="axial", image_size=64)
    subjects = subjects_of_rows(test)
    found = evaluate_baselines(train, test, records, subjects, transform, lambda label: label, 0)["models"]["linear"]
    assert found["accuracy"] == 1
    assert found["title"] == "linear model (ridge) on the views of the FLAIR and the T1w, which all rows have"
