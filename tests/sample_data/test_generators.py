"""The sample generators: same seed, same bytes; honest splits; labels that balance; a folder replaced or refused."""

import json
import random
import re
from collections import Counter
from pathlib import Path

import generate_activation_conversations as activation
import generate_lesion_conversations as lesion
import generate_longitudinal_change_conversations as longitudinal
import generate_sex_comparison_conversations as sex_comparison
import nibabel as nib
import numpy as np
import pytest
import validate_json_format

from umbrella.cohort.questions.writer import Phrasings, Scan, make_comparison, write_conversations
from umbrella.files.data_format import SPLITS
from umbrella_dataset import find_problems, load_umbrella

COMPARISONS = {"sex": sex_comparison, "longitudinal": longitudinal}
GENERATORS = {**COMPARISONS, "lesion": lesion, "activation": activation}
LABELS = {"sex": {"female", "male"}, "longitudinal": {"grown", "shrunk"}}
N_ROWS = {"sex": 8, "longitudinal": 8, "lesion": 8, "activation": 4}


@pytest.fixture(scope="module")
def folders(small_data, volume_data, tmp_path_factory) -> dict[str, Path]:
    """Each task with four subjects a split."""
    folder = tmp_path_factory.mktemp("generated") / "longitudinal"
    longitudinal.main(["--output_dir", str(folder), "--subjects_per_split", "4"])
    return {"sex": small_data, "longitudinal": folder, **volume_data}


@pytest.fixture(params=GENERATORS)
def task(request) -> str:
    return request.param


def read_records(folder: Path) -> list[dict]:
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]


def read_bytes(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def answer_of(record: dict) -> str:
    return record["conversations"][-1]["content"][0]["text"]


@pytest.mark.slow
def test_the_same_seed_gives_the_same_files_byte_for_byte(task, folders, tmp_path):
    """Another folder of another name, other parallel timing: equal. Another seed: other heads and other texts."""
    few = ("--subjects_per_split", "4", "--train_subjects", "4")
    GENERATORS[task].main([*few, "--output_dir", str(tmp_path / "again")])
    assert read_bytes(folders[task]) == read_bytes(tmp_path / "again")
    (records, scans), (other_records, other_scans) = (GENERATORS[task].plan_split("train", 1, 4, s) for s in (0, 1))
    assert not {scan.anatomy for scan in scans} & {scan.anatomy for scan in other_scans}
    assert records != other_records


def test_every_record_is_valid_and_loads(task, folders):
    """No problem by the rules of the dataset builder; the builder reads all rows of a split and no `samples` split."""
    for split in (*SPLITS, "samples"):
        for record in read_records(folders[task] / split):
            assert find_problems(record) == []
    rows = load_umbrella(str(folders[task]))
    assert {split: len(rows[split]) for split in rows} == dict.fromkeys(SPLITS, N_ROWS[task])


@pytest.mark.slow
def test_the_validator_passes(task, folders, capsys):
    """Also with --check_images: every scan is readable, no two subjects and no two splits share voxels."""
    assert validate_json_format.main([str(folders[task]), "--check_images"]) == 0
    assert "✓ VALIDATION PASSED" in capsys.readouterr().out


@pytest.mark.parametrize("task", COMPARISONS)
def test_four_turns_reference_first(task, folders):
    """user with reference, assistant, user with the subject's scan and the question, assistant."""
    for record in read_records(folders[task] / "train"):
        roles = [turn["role"] for turn in record["conversations"]]
        kinds = [[item["type"] for item in turn["content"]] for turn in record["conversations"]]
        assert roles == ["user", "assistant", "user", "assistant"]
        assert kinds == [["text", "image"], ["text"], ["image", "text"], ["text"]]
        metadata = record["metadata"]
        assert record["subject_ids"] == [metadata["reference_id"], metadata["subject_id"]]
        assert [image["path"].split("/")[2].split("_")[0] for image in record["images"]] == record["subject_ids"]


def test_no_subject_is_in_two_splits(task, folders):
    subjects = [{s for r in read_records(folders[task] / split) for s in r["subject_ids"]} for split in SPLITS]
    assert sum(map(len, subjects)) == len(set().union(*subjects)) == 12


def test_paths_are_relative_and_exist_and_every_scan_is_named(task, folders):
    folder = folders[task]
    named = {i["path"] for split in SPLITS for r in read_records(folder / split) for i in r["images"]}
    assert named == {p.relative_to(folder).as_posix() for p in folder.rglob("*.nii.gz")}


def test_samples_are_copies_of_training_conversations(task, folders):
    train = read_bytes(folders[task] / "train")
    samples = read_bytes(folders[task] / "samples")
    assert samples
    assert samples.items() <= train.items()


def test_storage_orientations_vary(task, folders):
    orientations = {nib.aff2axcodes(nib.load(p).affine) for p in folders[task].rglob("*.nii.gz")}
    assert len(orientations) >= 4


@pytest.mark.parametrize(("generator", "labels"), [(g, LABELS[n]) for n, g in COMPARISONS.items()], ids=COMPARISONS)
def test_answers_balance_and_name_exactly_one_label(generator, labels):
    """Over a whole default split: half of the answers for each label, each told by whole words; every turn is
    phrased in at least three ways, which say nothing about the answer beyond its label."""
    records, _ = generator.plan_split("train", 1, 100, seed=0)
    named = [labels & set(re.findall(r"\w+", answer_of(r).lower())) for r in records]
    assert [{r["metadata"]["subject_label"]} for r in records] == named
    assert Counter(r["metadata"]["subject_label"] for r in records) == dict.fromkeys(labels, 100)
    for turn in range(4):
        texts = {i["text"] for r in records for i in r["conversations"][turn]["content"] if i["type"] == "text"}
        assert len(texts) >= 3


def test_each_sex_subject_meets_one_reference_of_each_kind():
    """Same and different once each per subject; every subject is a reference twice; nobody is their own reference."""
    records, scans = sex_comparison.plan_split("test", 1, 100, seed=5)
    metadata = [r["metadata"] for r in records]
    assert len(scans) == 100
    assert Counter((m["subject_id"], m["comparison_type"]) for m in metadata).most_common(1)[0][1] == 1
    assert Counter(Counter(m["reference_id"] for m in metadata).values()) == {2: 100}
    assert all(m["subject_id"] != m["reference_id"] for m in metadata)
    assert all((m["subject_label"] == m["reference_label"]) == (m["comparison_type"] == "same") for m in metadata)


def test_the_orientation_says_nothing_about_the_sex():
    """Each orientation is stored for both sexes."""
    records, scans = sex_comparison.plan_split("train", 1, 100, seed=0)
    sex_of = {r["images"][1]["path"]: r["metadata"]["subject_label"] for r in records}
    seen = {(scan.acquisition.orientation, sex_of[scan.path]) for scan in scans}
    assert len(seen) == 2 * len({orientation for orientation, _ in seen})


def test_longitudinal_labels_follow_the_true_sizes():
    """The label is the sign of the change; one baseline has both answers; the sizes are those of the scans made."""
    records, scans = longitudinal.plan_split("train", 1, 20, seed=0)
    size_of = {scan.path: scan.anatomy.ventricle_size for scan in scans}
    for record in records:
        metadata = record["metadata"]
        change = metadata["subject_size"] - metadata["reference_size"]
        assert metadata["subject_label"] == ("grown" if change > 0 else "shrunk")
        assert abs(change) + 1e-4 >= 0.025 and abs(change) - 1e-4 <= 0.065
        sizes = [size_of[image["path"]] for image in record["images"]]
        assert sizes == pytest.approx([metadata["reference_size"], metadata["subject_size"]], abs=1e-4)
    answers = Counter((r["images"][0]["path"], r["metadata"]["subject_label"]) for r in records)
    assert len(answers) == 40


def test_two_sessions_of_a_subject_are_two_acquisitions_of_one_head():
    _, scans = longitudinal.plan_split("train", 1, 4, seed=0)
    first, second = scans[0], scans[1]
    assert first.anatomy.semi_axes_mm == second.anatomy.semi_axes_mm
    assert first.acquisition.noise_seed != second.acquisition.noise_seed
    assert first.acquisition.rotation_deg != second.acquisition.rotation_deg


def test_how_far_a_guesser_gets_without_the_first_scan():
    """What the specification says: 0.78 for an ideal guesser who sees the true size of the second scan alone (it says
    "grown" above the middle of the range), 0.74 for one who compares with a first scan drawn at random."""
    rng = np.random.default_rng(0)
    sizes = longitudinal.draw_sizes(rng, 200_000)  # first, grown, shrunk
    middle = np.mean(longitudinal.FIRST_SIZE)
    from_second = (np.mean(sizes[:, 1] > middle) + np.mean(sizes[:, 2] < middle)) / 2
    swapped = rng.permutation(sizes[:, 0])
    with_swap = (np.mean(sizes[:, 1] > swapped) + np.mean(sizes[:, 2] < swapped)) / 2
    assert (round(from_second, 2), round(with_swap, 2)) == (0.78, 0.74)


def test_how_many_rows_have_a_first_scan_that_reverses_the_answer():
    """What the specification says of the default test split: 145 of 200 rows, 114 with a distance of 0.025."""
    records, _ = longitudinal.plan_split("test", 201, 100, seed=0)
    metadata = [r["metadata"] for r in records]
    firsts = np.array([m["reference_size"] for m in metadata])
    signs = [1 if m["subject_label"] == "grown" else -1 for m in metadata]
    distances = [np.max(sign * (firsts - m["subject_size"])) for m, sign in zip(metadata, signs, strict=True)]
    assert (sum(d > 0 for d in distances), sum(d >= 0.025 for d in distances)) == (145, 114)


@pytest.mark.slow
def test_a_second_run_leaves_no_stale_file(quick_scans, tmp_path):
    out = tmp_path / "data"
    sex_comparison.main(["--output_dir", str(out), "--subjects_per_split", "6"])
    sex_comparison.main(["--output_dir", str(out), "--subjects_per_split", "4"])
    assert len(list((out / "train").iterdir())) == 8
    assert len(list(out.rglob("*.nii.gz"))) == 12
    assert [p.name for p in tmp_path.iterdir()] == ["data"]


def test_a_folder_with_other_files_is_refused_and_left_alone(tmp_path):
    """A user's own data: the error names the folder and a file in it, and nothing is written or removed."""
    own = tmp_path / "train" / "mine.json"
    own.parent.mkdir()
    own.write_text("{}")
    with pytest.raises(FileExistsError, match=re.escape(str(tmp_path)) + r".*train/mine\.json"):
        sex_comparison.main(["--output_dir", str(tmp_path), "--subjects_per_split", "4"])
    assert list(read_bytes(tmp_path)) == ["train/mine.json"]


@pytest.mark.slow
def test_an_interrupted_run_leaves_nothing_and_keeps_the_old_folder(tmp_path, monkeypatch):
    out = tmp_path / "data"
    sex_comparison.main(["--output_dir", str(out), "--subjects_per_split", "4"])
    before = read_bytes(out)

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("sample_folder._write_scans", stop)
    with pytest.raises(KeyboardInterrupt):
        sex_comparison.main(["--output_dir", str(out), "--subjects_per_split", "6"])
    assert read_bytes(out) == before
    assert [p.name for p in tmp_path.iterdir()] == ["data"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--subjects_per_split", "5"], "expected an even number of at least 4.*found 5"),
        (["--subjects_per_split", "2"], "expected an even number of at least 4.*found 2"),
        (["--seed", "-1"], "--seed: expected a number of at least 0, found -1"),
        (["--output", "x"], "unknown argument --output: did you mean --output_dir"),
    ],
)
def test_unusable_options_are_refused(arguments, message, capsys):
    with pytest.raises(SystemExit):
        sex_comparison.main(arguments)
    assert re.search(message, capsys.readouterr().err)


def test_the_writer_needs_no_phantom_and_refuses_a_second_record_of_one_name(tmp_path):
    """Real scans of two modalities; the same task_id twice would replace a record in silence."""
    wording = Phrasings(["Reference: {age}."], ["Noted."], ["How old?"], ["{age}"]).draw(random.Random(0), age="7")
    scans = Scan("1", "a/b.nii", "dMRI"), Scan("2", "c.nii.gz")
    record = make_comparison("one", "T1", *scans, wording, {"task": "age"})
    assert find_problems(record) == []
    assert record["modalities"] == ["dMRI", "sMRI"]
    assert record["metadata"] == {"subject_id": "2", "reference_id": "1", "task": "age"}
    with pytest.raises(FileExistsError, match=r"one\.json"):
        write_conversations([record, record], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "n_scans", "max_mb"),
    [
        ("sex_comparison", 300, 60),
        pytest.param("longitudinal_change", 900, 180, marks=pytest.mark.nightly),  # drawing them takes a minute
    ],
)
def test_the_default_run_from_another_folder(name, n_scans, max_mb, default_run):
    """200 conversations a split, 10 samples."""
    folder, printed = default_run(name)
    counts = {split: len(list((folder / split).glob("*.json"))) for split in (*SPLITS, "samples")}
    assert counts == {"train": 200, "validation": 200, "test": 200, "samples": 10}
    scans = list(folder.rglob("*.nii.gz"))
    assert len(scans) == n_scans
    assert sum(scan.stat().st_size for scan in scans) < max_mb * 1e6
    assert f"Wrote {folder}" in printed
