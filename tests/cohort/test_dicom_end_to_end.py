"""DICOM studies of synthetic heads go through the README's five steps, and end in answers in the data's words."""

import gzip
import os
from unittest.mock import patch

import numpy as np
import pytest
from dicom_files import write_capture, write_series
from five_steps import type_five_steps
from phantoms import SEXES, Protocol, draw_acquisition, draw_anatomy, make_scan

GRID = {"shape": (32, 40, 30), "spacing_mm": (6.0, 5.6, 6.8)}
SEQUENCES = {
    "t1_mprage_sag": Protocol(**GRID),
    "t2_tse_tra": Protocol(**GRID, csf=180.0, grey=110.0, white=80.0),
    "AX T2 FLAIR": Protocol(**GRID, grey=120.0, white=90.0, scalp=160.0),
}
NAMES = ("Qzvxsmith^Qzvxjane", "Qzvxmiller^Qzvxjohn")
pytestmark = pytest.mark.slow


def write_studies(folder, n_patients):
    """Two visits of three sequences each. The first patient's T2 lacks a slice, the second has a shot of a screen."""
    draw = np.random.default_rng(0)
    affine = np.diag([*GRID["spacing_mm"], 1.0])
    for number in range(n_patients):
        anatomy = draw_anatomy(draw, SEXES[number % 2])
        who = {
            "PatientName": f"{NAMES[number % 2]}{number:02d}", "PatientID": f"QZVX{number:04d}",
            "PatientSex": "FM"[number % 2], "PatientAge": f"0{40 + number}Y", "PatientBirthDate": None,
        }  # fmt: skip
        for visit, day in enumerate(("20230101", "20240601")):
            study = {"study": (number, visit), "StudyDate": day, **who}
            place = folder / who["PatientName"] / day
            for series, (description, protocol) in enumerate(SEQUENCES.items(), 1):
                volume = make_scan(anatomy, draw_acquisition(draw), protocol).astype(np.uint16)
                gap = (7,) if number == visit == 0 and series == 2 else ()
                header = {"series": series, "SeriesNumber": series, "SeriesDescription": description}
                write_series(place / description, volume, affine, leave_out=gap, **header, **study)
            if number == 1 and visit == 0:
                write_capture(place / "screen.dcm", series=9, **study)


@pytest.fixture
def take(tmp_path, monkeypatch, capfd):
    def type_them(n_patients, left_out=(), more=None):
        write_studies(tmp_path / "my_dicom", n_patients)
        replaced = {"--bids_dir my_bids": "--dicom_dir my_dicom"}
        found = type_five_steps(tmp_path, monkeypatch, capfd, replaced, left_out, more)
        check_places(tmp_path)
        return found

    with patch.dict(os.environ):  # TensorBoard's folder
        yield type_them


def check_places(folder):
    """Everything found is excluded or used, and no name is anywhere but in the DICOM folder."""
    n_series = len(list((folder / "my_dicom").glob("*/*/*")))
    rows = [line.split("\t") for line in (folder / "my_data/exclusions.tsv").read_text().splitlines()[1:]]
    reasons = sorted(row[2] for row in rows if "series " in row[3])
    assert reasons == ["missing slices", "secondary capture"]
    assert len(list((folder / "my_data_bids").rglob("*.nii.gz"))) == n_series - 2
    for path in folder.rglob("*"):
        if folder / "my_dicom" not in (path, *path.parents):
            assert "qzvx" not in path.name.lower()
            content = path.read_bytes() if path.is_file() else b""
            assert b"qzvx" not in content.lower(), path
            assert content[:2] != b"\x1f\x8b" or b"qzvx" not in gzip.decompress(content).lower(), path


def test_six_patients_end_in_a_model_that_was_asked(take):
    more = {
        "generate_conversations.py": ["--split", "0.4,0.3,0.3"],
        "train.py": ["--max_steps", "2"],
        "eval.py": ["--bootstrap", "20"],
    }
    metrics, rows, _ = take(6, ("inspect_labels.py", "preview.py"), more)
    assert metrics["n"] == len(rows) == 4


@pytest.mark.nightly
def test_dicom_studies_end_in_an_evaluated_model(take):
    metrics, rows, printed = take(20, more={"eval.py": ["--bootstrap", "20"]})
    assert metrics["n"] == len(rows) == 4 and metrics["unparseable"] == 0
    assert {row["parsed_label"] for row in rows} == {"female", "male"}
    assert "loss" in printed["train.py"].out
