"""The validator's command line, and the rules between records and scans."""

import copy
import json
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import validate_json_format
from conversation_folder import write_folder
from nibabel.orientations import axcodes2ornt, ornt_transform

from umbrella.validation.scans import hash_voxels

SCRIPT = Path(validate_json_format.__file__)


def _record(task_id, subject="sub-1", reference="sub-2", answer="The participant is female.", **metadata):
    paths = [f"images/{reference}.nii.gz", f"images/{subject}.nii.gz"]
    scans = [{"type": "image", "modality": "sMRI", "image_path": path} for path in paths]
    return {
        "task_id": task_id,
        "task_type": "T3",
        "subject_ids": [reference, subject],
        "modalities": ["sMRI", "sMRI"],
        "images": [{"path": path, "token": "<image>", "modality": "sMRI"} for path in paths],
        "conversations": [
            {"role": "user", "content": [{"type": "text", "text": "Male, for reference."}, scans[0]]},
            {"role": "assistant", "content": "I see a male brain."},
            {"role": "user", "content": [scans[1], {"type": "text", "text": "Which sex?"}]},
            {"role": "assistant", "content": answer},
        ],
        "metadata": {"subject_id": subject, "subject_label": "female", "reference_label": "male", **metadata},
    }


def _write(folder, files):
    for name, records in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return str(folder)


def _write_scan(path, seed, axes="RAS", dtype=np.int16):
    volume = np.random.default_rng(seed).integers(0, 500, (5, 6, 7)).astype(dtype)
    image = nib.Nifti1Image(volume, np.diag([3.0, 2.0, 4.0, 1.0]))
    order = ornt_transform(axcodes2ornt("RAS"), axcodes2ornt(axes))
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(image.as_reoriented(order), path)


@pytest.fixture
def validate(monkeypatch, tmp_path, capsys):
    """Runs the validator in tmp_path; returns its exit code and lines."""
    monkeypatch.chdir(tmp_path)

    def validate(*arguments):
        code = validate_json_format.main(list(arguments))
        return code, capsys.readouterr().out.splitlines()

    return validate


def test_valid_data_passes_with_exit_code_0(tmp_path, validate):
    _write(
        tmp_path / "data",
        {
            "train/x.jsonl": [_record("a"), _record("b", subject_label="male", answer="male")],
            "test/y.json": [_record("a", "sub-3", "sub-4")],
        },
    )
    expected = [
        "2 files, 3 conversations",
        "train: subject_label: 2 values, not all numbers ('female') → classification",
        "test: subject_label: 1 value, not all numbers ('female') → classification",
        "✓ VALIDATION PASSED",
        "All files conform to format specification",
    ]
    assert validate("data") == (0, expected)


def test_all_problems_of_all_files_come_in_one_pass_with_counts_and_exit_code_1(tmp_path, validate):
    broken = _record("b")
    broken["images"][0]["token"] = broken["images"][1]["token"] = "<image_sMRI>"
    _write(tmp_path / "data", {"train/x.jsonl": [_record("a"), broken, _record("a")], "val/y.json": []})
    code, lines = validate("data", "--report", "report.json")
    assert code == 1
    assert lines == [
        "2 files, 4 conversations",
        'data/train/x.jsonl:2: images[0].token: expected "<image>", found "<image_sMRI>"',
        'data/train/x.jsonl:2: images[1].token: expected "<image>", found "<image_sMRI>"',
        "data/val/y.json: file: expected one JSON object, found an empty file",
        'data/train/x.jsonl:3: task_id: expected it once in train, found "a" in data/train/x.jsonl:1 too. Delete one '
        "of them",
        "",
        "4 problems:",
        "       2  token",
        "       1  JSON",
        "       1  duplicate",
        "train: subject_label: 1 value, not all numbers ('female') → classification",
        "WARNING: train: all 2 conversations have the subject_label 'female': there is nothing to tell apart",
        "✗ VALIDATION FAILED",
    ]
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert (report["passed"], report["counts"]) == (False, {"token": 2, "duplicate": 1, "JSON": 1})
    assert report["problems"][3] == {
        "source": "data/train/x.jsonl:3",
        "kind": "duplicate",
        "field": "task_id",
        "expected": "it once in train",
        "found": '"a" in data/train/x.jsonl:1 too. Delete one of them',
    }


def _problems(lines):
    return lines[1 : lines.index("")]


def test_the_same_conversations_as_json_and_as_jsonl_are_one_problem_with_its_remedy(tmp_path, validate):
    records = [_record(f"t{i}") for i in range(60)]
    files = {f"train/t{i}.json": [record] for i, record in enumerate(records)}
    _write(tmp_path / "data", {**files, "train/all.jsonl": records, "train/more.jsonl": [_record("u")]})
    code, lines = validate("data")
    assert code == 1
    assert _problems(lines) == [
        "data/train/*.json: task_id: expected each once in train, found 60 that are in data/train/all.jsonl too, the "
        'same conversations (the first: "t0" in data/train/all.jsonl:1 and in data/train/t0.json). Keep '
        "data/train/all.jsonl and move data/train/*.json out of the folder: all that it holds is in both"
    ]
    for i in range(60):
        (tmp_path / "data" / f"train/t{i}.json").unlink()
    assert validate("data")[0] == 0


def test_a_file_that_holds_an_invalid_conversation_too_is_not_to_be_moved(tmp_path, validate):
    both = [_record("a"), _record("b")]
    invalid = _record("c") | {"modalities": []}
    files = {"train/x.jsonl": [*both, invalid], "train/y.jsonl": [*both, _record("d")]}
    _, lines = validate(_write(tmp_path / "data", files))
    assert [line for line in lines if line.endswith("Delete what data/train/y.jsonl has of data/train/x.jsonl")]


def test_a_split_that_is_a_copy_of_another_is_one_problem_and_other_leaks_stay(tmp_path, validate):
    records = [_record(f"t{i}", f"sub-{i}a", f"sub-{i}b") for i in range(30)]
    copies = [record | {"task_id": f"copy-{i}"} for i, record in enumerate(records)]
    leak = _record("leak", "sub-3a", "sub-new")
    _write(tmp_path / "data", {"train/x.jsonl": records, "validation/x.jsonl": [*copies, leak]})
    code, lines = validate("data")
    assert code == 1
    assert _problems(lines) == [
        "data/validation/x.jsonl: conversations: expected other conversations in validation than in train, found 30 "
        "that train has too (the first: data/validation/x.jsonl:1 and data/train/x.jsonl:1): nothing that validation "
        "measures of them would be true. Take them out of one of the two",
        'data/validation/x.jsonl:31: subject_ids: expected the subject "sub-3a" in one split, references included, '
        "found it in validation, and in train too",
    ]


def test_samples_and_texts_alone_may_come_again(tmp_path, validate):
    text = {key: [] for key in ("subject_ids", "modalities", "images")}
    turns = [{"role": "user", "content": "Hello."}, {"role": "assistant", "content": "Hello."}]
    text = {"task_id": "text", "task_type": "T0", **text, "conversations": turns}
    files = {"train/x.jsonl": [_record("a"), text], "samples/a.json": [_record("a")], "test/x.jsonl": [text]}
    assert validate(_write(tmp_path / "data", files))[0] == 0


def test_an_empty_jsonl_file_is_a_problem(tmp_path, validate):
    _write(tmp_path / "data", {"train/x.jsonl": []})
    assert "data/train/x.jsonl: file: expected at least one conversation, found none" in validate("data")[1]


@pytest.mark.parametrize("path", ["data/train", "data/train/x.jsonl"])
def test_a_split_folder_and_a_file_are_paths_too(tmp_path, validate, path):
    _write(tmp_path / "data", {"train/x.jsonl": [_record("a")], "test/y.jsonl": [{}]})
    assert validate(path)[1][0] == "1 files, 1 conversations"


def test_samples_of_a_data_folder_are_checked_but_are_no_split(tmp_path, validate):
    _write(tmp_path / "data", {"train/x.jsonl": [_record("a")], "samples/x.jsonl": [_record("a")]})
    code, lines = validate("data", "data/train")
    assert (code, lines[0]) == (0, "2 files, 2 conversations")
    _write(tmp_path / "data", {"samples/x.jsonl": [{}]})
    assert validate("data")[0] == 1


@pytest.mark.parametrize("key", ["subject", "reference"])
def test_a_subject_in_two_splits_is_a_problem_references_included(tmp_path, validate, key):
    other = _record("a", **{"subject": "sub-3", "reference": "sub-4", key: "sub-1"})
    _write(tmp_path / "data", {"train/x.jsonl": [_record("a")], "test/y.jsonl": [other]})
    code, lines = validate("data")
    assert code == 1
    assert lines[1] == (
        'data/test/y.jsonl:1: subject_ids: expected the subject "sub-1" in one split, references included, '
        "found it in test, and in train too"
    )


def test_a_reference_named_in_the_metadata_alone_leaks_too(tmp_path, validate):
    other = _record("a", "sub-3", "sub-4", reference_id="sub-1")
    _write(tmp_path / "data", {"train/x.jsonl": [_record("a")], "test/y.jsonl": [other]})
    assert validate("data")[0] == 1


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ("The participant is female.", 0),
        ("FEMALE", 0),
        ("The participant is male.", 1),
        ("Not male: female.", 0),
        ("I cannot say.", 0),
        ("It shows maleness.", 0),
    ],
)
def test_an_answer_that_names_another_label_alone_is_a_problem(tmp_path, validate, answer, code):
    _write(tmp_path / "data", {"train/x.jsonl": [_record("a", answer=answer)]})
    found, lines = validate("data")
    assert found == code
    if code:
        assert lines[1].endswith('expected the subject_label "female", found "male" and no other label')


def test_labels_that_no_answer_states_are_counted_and_shown_and_pass(tmp_path, validate):
    codes = [("a", "F", "female"), ("b", "M", "male")]
    records = [_record(i, subject_label=label, answer=said, reference_label=None) for i, label, said in codes]
    _write(tmp_path / "data", {"train/x.jsonl": records})
    code, lines = validate("data", "--report", "report.json")
    (warning,) = [line for line in lines if line.startswith("WARNING: ")]
    assert code == 0
    assert warning.startswith(
        "WARNING: train: 0 of 2 answers state their subject_label; data/train/x.jsonl:1: nothing can be"
    )
    assert "in 'female', whose label is 'F'" in warning and "--task text" in warning
    assert json.loads((tmp_path / "report.json").read_text())["warnings"] == [warning.removeprefix("WARNING: ")]


def test_the_label_of_a_reference_may_stand_in_an_answer(tmp_path, validate):
    _write(tmp_path / "data", {"train/x.jsonl": [_record("a", answer="The participant is female, unlike the male.")]})
    code, lines = validate("data")
    assert (code, [line for line in lines if line.startswith("WARNING")]) == (0, [])


def test_a_label_that_no_answer_states_while_others_are_is_named_with_its_rows(tmp_path, validate):
    records = [_record("a"), _record("b"), _record("c", subject_label="M", answer="It is a man.")]
    _write(tmp_path / "data", {"train/x.jsonl": records})
    assert any(
        "2 of 3 answers" in line and "no answer states 'M', the label of 1 row;" in line
        for line in validate("data")[1]
    )


def test_all_labels_equal_in_a_split_is_a_warning_with_the_count(tmp_path, validate):
    both = [_record("a"), _record("b", subject_label="male", answer="male")]
    one = [
        _record(name, "sub-3", "sub-4", subject_label=label)
        for name, label in (("a", "female"), ("b", "Female"), ("c", "female"))
    ]
    _write(tmp_path / "data", {"train/x.jsonl": both, "test/y.jsonl": one})
    code, lines = validate("data")
    assert (code, [line for line in lines if line.startswith("WARNING")]) == (
        0,
        ["WARNING: test: all 3 conversations have the subject_label 'female': there is nothing to tell apart"],
    )


def _age(task_id, label, answer):
    return _record(task_id, subject_label=label, answer=answer, reference_label=None, target_type="numeric")


def test_each_split_and_each_stored_kind_is_read_for_itself_and_samples_are_not(tmp_path, validate):
    """A split with commas beside one with points; questions about sex and age over the same scans."""
    sexes = [_record("a", target_type="categorical"), _record("b", target_type="categorical", answer="male")]
    train = [*sexes, _age("c", "45.5", "45.5 years"), _age("d", "1.234", "It is 1.234"), _age("e", "44", "34 years")]
    test = [_age("f", "45,5", "45,5 Jahre"), _age("g", "1.234", "Es sind 1234 Tage")]
    for record in test:
        record.update(subject_ids=["sub-3", "sub-4"])
        record["metadata"].update(subject_id="sub-3", reference_id="sub-4")
    samples = [_record("a"), _record("z", subject_label="M", answer="a man")]
    _write(tmp_path / "data", {"train/x.jsonl": train, "test/y.jsonl": test, "samples/s.jsonl": samples})
    code, lines = validate("data")
    problems = [line.partition(": ")[2] for line in lines if "conversations[-1]" in line]
    assert code == 1
    assert problems == [
        'conversations[-1]: expected the subject_label "female", found "male" and no other label',
        'conversations[-1]: expected the subject_label "44", found "34" and no other label',
    ]
    assert "train: metadata.target_type: categorical in 2 of 2 rows → classification" in lines
    assert "train: metadata.target_type: numeric in 3 of 3 rows → regression" in lines
    assert not any("4 conversations" in line or "a man" in line for line in lines)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"subject_label": " "}, "metadata.subject_label: expected a label, found ' '. Write one, or null."),
        ({"subject_label": "\0"}, "metadata.subject_label: expected a label, found '\\x00'. Write one, or null."),
        (
            {"target_type": "numeric", "subject_label": "x"},
            "metadata.subject_label: expected one whole number, found 'x'.",
        ),
    ],
)
def test_labels_that_cannot_be_scored_are_problems(tmp_path, validate, changes, problem):
    _write(tmp_path / "data", {"train/x.jsonl": [_record("a", **changes), _record("b", target_type="categorical")]})
    code, lines = validate("data")
    assert code == 1
    assert lines[1].startswith(f"data/train/x.jsonl:1: {problem}")


def test_labels_and_answers_in_other_scripts_and_numbers_are_compared_as_the_evaluation_reads_them(tmp_path, validate):
    korean = [
        _record("a", subject_label="남성", answer="남성입니다."),
        _record("b", subject_label="여성", answer="남성입니다."),
    ]
    _write(tmp_path / "ko", {"train/x.jsonl": korean})
    assert validate("ko")[1][1].endswith('expected the subject_label "여성", found "남성" and no other label')
    ages = [("45,5", "45,5 Jahre"), ("44", "44 Jahre"), ("43", "34 Jahre")]
    records = [_record(f"{i}", subject_label=label, answer=answer) for i, (label, answer) in enumerate(ages)]
    for record in records:
        del record["metadata"]["reference_label"]
    _write(tmp_path / "ages", {"train/x.jsonl": records})
    code, lines = validate("ages")
    assert (code, lines[1].partition(": ")[2]) == (
        1,
        'conversations[-1]: expected the subject_label "43", found "34" and no other label',
    )
    assert any("3 values, all numbers → regression" in line for line in lines)


def test_a_missing_sample_folder_says_how_to_generate_it(monkeypatch, tmp_path, validate):
    monkeypatch.setattr(validate_json_format, "SAMPLES", tmp_path / "sex_comparison_conversations")
    code, lines = validate()
    assert (code, lines[-1]) == (1, "✗ VALIDATION FAILED")
    assert lines[1] == f"    python {tmp_path}/generate_sex_comparison_conversations.py"
    _write(tmp_path / "sex_comparison_conversations", {"train/x.jsonl": [_record("a")]})
    assert validate()[0] == 0


def test_a_path_that_does_not_exist_fails_with_one_sentence(validate):
    code, lines = validate("nowhere")
    assert code == 1
    assert "expected a data folder, found none" in lines[0]


def test_a_path_that_leaves_image_root_is_a_problem(tmp_path, validate):
    _write(tmp_path / "data", {"train/x.jsonl": [_record("a", "../../sub-1")]})
    (tmp_path / "scans").mkdir()
    assert validate("data", "--image_root", "scans")[0] == 1
    assert validate("data")[0] == 0


# Scans


@pytest.fixture
def scanned(tmp_path):
    """Two splits of two subjects, each with a scan of its own."""
    for index in range(1, 5):
        _write_scan(tmp_path / "data" / "images" / f"sub-{index}.nii.gz", index)
    _write(tmp_path / "data", {"train/x.jsonl": [_record("a")], "test/y.jsonl": [_record("a", "sub-3", "sub-4")]})
    return tmp_path / "data"


def test_scans_that_can_be_read_and_differ_pass(scanned, validate):
    assert validate("data", "--check_images")[0] == 0


def test_a_missing_and_a_cut_scan_are_problems_of_the_conversation_that_names_them(scanned, validate):
    (scanned / "images" / "sub-1.nii.gz").unlink()
    whole = (scanned / "images" / "sub-4.nii.gz").read_bytes()
    (scanned / "images" / "sub-4.nii.gz").write_bytes(whole[:-20])
    assert validate("data")[0] == 0
    code, lines = validate("data", "--check_images")
    assert code == 1
    assert [line.partition(" found ")[0] for line in lines[1:3]] == [
        "data/train/x.jsonl:1: images: expected a whole, readable sMRI scan,",
        "data/test/y.jsonl:1: images: expected a whole, readable sMRI scan,",
    ]
    assert "sub-1.nii.gz" in lines[1]
    assert "sub-4.nii.gz" in lines[2]


@pytest.mark.parametrize(("subject", "kinds"), [("sub-2", ["subject"]), ("sub-3", ["subject", "split"])])
def test_equal_voxels_under_two_names_are_a_problem_in_any_storage_order(scanned, validate, subject, kinds):
    _write_scan(scanned / "images" / f"{subject}.nii.gz", seed=1, axes="PSL", dtype=np.float32)
    code, lines = validate("data", "--check_images")
    assert code == 1
    problems = [line for line in lines if "expected voxels of its own" in line]
    assert [line.partition("for each ")[2].partition(",")[0] for line in problems] == kinds
    assert all("sub-1.nii.gz" in line and f"{subject}.nii.gz" in line for line in problems)


@pytest.mark.slow
def test_scans_pass_exactly_where_training_loads_them(scanned, validate):
    """Numbers beyond float32 are normalised; a scan of nearly one value has no two percentiles to be normalised by."""
    huge = np.random.default_rng(0).normal(0, 1e160, (5, 6, 7))
    nib.save(nib.Nifti1Image(huge, np.eye(4)), scanned / "images" / "sub-1.nii.gz")
    assert validate("data", "--check_images")[0] == 0
    point = np.eye(1, 1000, dtype=np.int16).reshape(10, 10, 10)
    nib.save(nib.Nifti1Image(point, np.eye(4)), scanned / "images" / "sub-2.nii.gz")
    code, lines = validate("data", "--check_images")
    assert code == 1
    assert "sub-2.nii.gz: expected different 1st and 99th percentiles" in lines[1]


@pytest.mark.parametrize("scale", [1, 0.0754, 2.0**900])
def test_equal_voxels_are_found_under_another_scaling(tmp_path, scale):
    """Stored as int16 with a slope, as the scaled float64, and, where it holds them, as float32."""
    voxels = np.random.default_rng(0).integers(0, 999, (5, 6, 7)).astype(np.int16)
    scaled = scale * voxels.astype(np.float64) + 12 * scale
    for kind in (np.float64, np.float32) if scale < 1e38 else (np.float64,):
        nib.save(nib.Nifti2Image(scaled.astype(kind), np.eye(4)), tmp_path / f"{kind.__name__}.nii")
    header = nib.Nifti2Image(voxels, np.eye(4)).header
    header["scl_slope"], header["scl_inter"], header["vox_offset"] = scale, 12 * scale, 544
    header["magic"] = header.single_magic
    (tmp_path / "int16.nii").write_bytes(header.binaryblock + bytes(4) + voxels.tobytes(order="F"))
    found = [hash_voxels((str(path), "sMRI")) for path in tmp_path.iterdir()]
    assert {error for _, error in found} == {None}
    assert len({digest for digest, _ in found}) == 1


def test_one_subject_may_be_shown_twice(scanned, validate):
    twice = copy.deepcopy(_record("a", "sub-1", "sub-1"))
    _write(scanned, {"train/x.jsonl": [twice]})
    assert validate("data", "--check_images")[0] == 0


@pytest.mark.slow
def test_the_script_runs_from_any_folder(tmp_path):
    _write(tmp_path / "data", {"train/x.jsonl": [_record("a", answer="male")]})
    run = subprocess.run([sys.executable, SCRIPT, "data"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout.splitlines()[-1]) == (1, "✗ VALIDATION FAILED")


def test_several_folders_are_one_data_set_but_for_the_names_of_their_rows(tmp_path, capsys):
    for name, splits in (("A", {"train": [0]}), ("B", {"train": [0, 0], "test": [0]})):
        write_folder(tmp_path / name, splits)
    test = tmp_path / "B/test/test_0.json"
    test.write_text(test.read_text().replace("female", "F"))
    (tmp_path / "A/validation").mkdir()
    test = json.loads((tmp_path / "A/train/train_0.json").read_text())
    (tmp_path / "A/validation/a.json").write_text(json.dumps(test).replace("female", "M").replace("train_0", "other"))
    assert validate_json_format.main([str(tmp_path / "A"), str(tmp_path / "B")]) == 0
    out = capsys.readouterr().out
    assert f"labels of T3 differ: only {tmp_path}/A has 'M', only {tmp_path}/B 'F'. Each word" in out
    assert "1 subject ids are in more than one folder, as 'train_0': taken for the same people" in out
    shutil.copytree(tmp_path / "A/train", tmp_path / "C/test")
    assert validate_json_format.main([str(tmp_path / "A"), str(tmp_path / "C")]) == 1
    out = capsys.readouterr().out
    assert "it once in" not in out  # task_ids
    assert "other conversations in test than in train" in out
