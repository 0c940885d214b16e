"""validate_json_format.py --check_privacy."""

import json

import nibabel
import pytest
import validate_json_format
from conversation_folder import write_folder


@pytest.fixture
def folder(tmp_path):
    return write_folder(tmp_path / "data", {"train": [1, 2]})


def check(folder, capsys, *flags):
    code = validate_json_format.main([str(folder), *flags])
    return code, capsys.readouterr().out


def test_clean_folder_passes(folder, capsys):
    code, out = check(folder, capsys, "--check_privacy")
    assert code == 0 and "VALIDATION PASSED" in out


def test_findings_are_named_with_file_and_field_and_masked(folder, capsys):
    path = folder / "train" / "train_0.json"
    record = json.loads(path.read_text())
    record["metadata"]["visit"] = "2019-05-17"
    path.write_text(json.dumps(record))
    image = nibabel.load(folder / "train_1_0.nii")
    image.header["descrip"] = b"Dr. Jane Roe"
    data = image.get_fdata()
    nibabel.Nifti1Image(data, image.affine, image.header).to_filename(folder / "train_1_0.nii")
    code, out = check(folder, capsys, "--check_privacy")
    assert code == 1
    assert "metadata.visit: expected no personal data, found date: 2***-0*-1*" in out
    assert "train_1_0.nii: descrip: expected no personal data, found name: J*** R**" in out
    assert "2  personal data" in out
    assert "2019-05-17" not in out and "Roe" not in out
    assert check(folder, capsys)[0] == 0


def test_scan_that_cannot_be_read_is_a_problem_of_its_own(folder, capsys):
    (folder / "train_0_0.nii").write_bytes(b"hello")
    code, out = check(folder, capsys, "--check_privacy")
    assert code == 1 and "expected a scan that can be read" in out
