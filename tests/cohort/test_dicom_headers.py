"""What is read of DICOM files: as GDCM reads real ones, as it was written into others, and nothing of what is none."""

import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from dicom_files import (
    find_position,
    make_affine,
    make_header,
    make_volume,
    write_capture,
    write_diffusion,
    write_enhanced,
    write_series,
)
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    JPEG2000Lossless,
    RLELossless,
)

from umbrella.cohort.dicom import headers
from umbrella.cohort.dicom.faults import find_fault
from umbrella.cohort.dicom.headers import read_headers
from umbrella.cohort.dicom.series import group_series
from umbrella.cohort.dicom.stack_faults import Shape, count_slices

AFFINE = make_affine(angles_deg=(10, -5, 20))
VOLUME = make_volume((6, 8, 5))
TAGS = {
    "sop_class": "0008|0016",
    "sop_uid": "0008|0018",
    "study_date": "0008|0020",
    "modality": "0008|0060",
    "description": "0008|103e",
    "patient_name": "0010|0010",
    "patient_id": "0010|0020",
    "birth_date": "0010|0030",
    "sex": "0010|0040",
    "age": "0010|1010",
    "protocol": "0018|1030",
    "study_uid": "0020|000d",
    "series_uid": "0020|000e",
    "number": "0020|0011",
}


def read_one(path):
    return next(one for one in read_headers(path.parent)[0] if one.path == str(path))


def test_real_files_are_read_as_gdcm_reads_them():
    """Those of pydicom: big endian, implicit, compressed ones, in several character sets."""
    folder = Path(pydicom.__path__[0]) / "data" / "test_files"
    instances, _ = read_headers(folder)
    read = [one for one in instances if one.modality == "MR" and Path(one.path).name.startswith("MR")]
    assert len(read) >= 9 and len({one.syntax for one in read}) >= 5
    n_read = 0
    for one in read:
        reader = sitk.ImageFileReader()
        reader.SetImageIO("GDCMImageIO")
        reader.SetFileName(one.path)
        try:
            reader.ReadImageInformation()
        except RuntimeError:  # pixels that are cut off
            continue
        n_read += 1
        said = {name: reader.GetMetaData(tag) if reader.HasMetaDataKey(tag) else "" for name, tag in TAGS.items()}
        assert {name: getattr(one, name) for name in TAGS} == {name: text.strip(" \0") for name, text in said.items()}
        if one.positions:
            assert one.positions[0] == pytest.approx(tuple(map(float, reader.GetMetaData("0020|0032").split("\\"))))
    assert n_read >= 7


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"suffix": ""},
        {"suffix": "", "preamble": False},
        {"syntax": ExplicitVRBigEndian},
        {"syntax": RLELossless},
        {"syntax": JPEG2000Lossless},
        {"syntax": DeflatedExplicitVRLittleEndian},
    ],
)
def test_a_series_is_read_as_it_was_written_in_any_syntax(tmp_path, how):
    said = {"SeriesDescription": "AX T1", "ContrastBolusAgent": "Gadovist", "ImagesInAcquisition": 5}
    write_series(tmp_path / "Zyxwvut", VOLUME, AFFINE, **said, **how)
    instances, others = read_headers(tmp_path)
    [series] = group_series(instances)
    assert others == Counter() and find_fault(series) is None and count_slices(series) == Shape(5, 1)
    one = series.first
    assert (one.patient_id, one.patient_name, one.birth_date) == ("PAT-998877", "Zyxwvut^Quentina", "19800117")
    assert (one.sex, one.age, one.study_date, one.echo) == ("F", "045Y", "20250321", "1")
    assert (one.description, one.contrast, one.matrix, one.n_stated) == ("AX T1", "Gadovist", (8, 6), 5)
    assert one.image_type == ("ORIGINAL", "PRIMARY", "M", "ND") and (one.part, one.mosaic) == ("M", 0)
    expected = "1.2.840.10008.1.2" if "preamble" in how else how.get("syntax", "1.2.840.10008.1.2.1")
    assert one.syntax == expected
    positions = sorted(one.positions[0] for one in series.instances)
    np.testing.assert_allclose(positions, sorted(tuple(find_position(AFFINE, z)) for z in range(5)), atol=1e-6)
    np.testing.assert_allclose(one.orientation, (AFFINE[:3, :2] / (1.5, 2) * [[-1], [-1], [1]]).T.ravel(), atol=1e-6)


def test_frames_of_an_enhanced_file_are_read_and_a_missing_one_is_found(tmp_path):
    whole = read_one(write_enhanced(tmp_path / "whole", make_volume((6, 8, 5, 3)), AFFINE))
    np.testing.assert_allclose(
        whole.positions, [find_position(AFFINE, z) for _ in range(3) for z in range(5)], atol=1e-5
    )
    [series] = group_series([whole])
    assert find_fault(series) is None and count_slices(series) == Shape(5, 3)
    for lost, reason in ((2, "missing slices"), ((1, 3), "incomplete volume")):
        path = write_enhanced(tmp_path / reason, make_volume((6, 8, 5, 3)), AFFINE, leave_out=(lost,))
        [series] = group_series([read_one(path)])
        assert find_fault(series)[0] == reason


def test_orientations_and_positions_of_frames_are_all_looked_at(tmp_path):
    header = pydicom.dcmread(write_enhanced(tmp_path / "a", VOLUME, AFFINE))
    frames = header.PerFrameFunctionalGroupsSequence
    frames[3].PlaneOrientationSequence = [Dataset()]
    frames[3].PlaneOrientationSequence[0].ImageOrientationPatient = [0, 1, 0, 0, 0, -1]
    header.save_as(tmp_path / "b")
    assert read_one(tmp_path / "b").n_orientations == 2
    del frames[3].PlanePositionSequence
    header.save_as(tmp_path / "c")
    assert read_one(tmp_path / "c").positions == ()
    assert find_fault(group_series([read_one(tmp_path / "c")])[0])[0] == "no positions"


def write_one(path, change=None, **header):
    """A file of one header without pixels."""
    made = make_header(**{"Rows": 8, "Columns": 6, **header})
    if change:
        change(made)
    made.save_as(path, enforce_file_format=True)
    return read_one(path)


def add_private(group, creator, element, vr, value):
    return lambda made: made.private_block(group, creator, create=True).add_new(element, vr, value)


def test_parts_mosaics_overlays_echoes_and_agents_are_read_where_makers_put_them(tmp_path):
    mosaic = ["ORIGINAL", "PRIMARY", "M", "MB", "ND", "MOSAIC"]
    n_slices = add_private(0x0019, "SIEMENS MR HEADER", 0x0A, "US", 36)

    def overlay(made):
        made.add_new((0x6002, 0x0102), "US", 12)

    def agent(made):
        made.ContrastBolusAgentSequence = [Dataset()]
        made.ContrastBolusAgentSequence[0].CodeMeaning = "Gadobutrol"

    path = tmp_path / "a"
    assert write_one(path, ImageType=["ORIGINAL", "PRIMARY", "P", "ND"]).part == "P"
    assert write_one(path, ImageType=["ORIGINAL", "PRIMARY", "PHASE MAP", "P", "FFE"]).part == "P"
    assert write_one(path, ImageType=["ORIGINAL", "PRIMARY", "R_IR", "R", "IR"]).part == "R"
    assert write_one(path, ImageType=["ORIGINAL", "PRIMARY", "M_FFE", "M", "FFE"]).part == "M"
    assert write_one(path, ComplexImageComponent="IMAGINARY").part == "I"
    assert write_one(path, ComplexImageComponent="MIXED").part == "M"
    assert write_one(path, add_private(0x0043, "GEMS_PARM_01", 0x2F, "SS", 1)).part == "P"
    assert write_one(path, n_slices, ImageType=mosaic).mosaic == 36
    assert write_one(path, ImageType=mosaic).mosaic == -1
    assert write_one(path, n_slices).mosaic == 0
    assert write_one(path, overlay).overlay_bits == (12,)
    assert write_one(path, EchoNumbers=None, EchoTime=4.5).echo == "4.5"
    assert write_one(path, EchoNumbers=None, EchoTime="4.500").echo == "4.5"
    for spacing, thickness, read in ((6.0, 5.0, 6.0), (1.0, 5.0, 0.0), (None, 5.0, 0.0), (6.0, None, 0.0)):
        assert write_one(path, SpacingBetweenSlices=spacing, SliceThickness=thickness).spacing == read
    enhanced = read_one(write_enhanced(tmp_path / "b", VOLUME, AFFINE))
    assert (*enhanced.pixel_mm, enhanced.spacing) == pytest.approx((2.0, 1.5, 3.0))
    for stated in (None, [0, 0], [2.0], [2.0, -1.0]):
        assert write_one(path, PixelSpacing=stated).pixel_mm == ()
    assert write_one(path, PixelSpacing=[2.0, 1.5]).pixel_mm == (2.0, 1.5)
    assert write_one(path, agent).contrast == "Gadobutrol"
    assert write_one(path, ConversionType="WSD").conversion == "WSD"
    assert write_one(path, BurnedInAnnotation="YES").burnt_in == "YES"


def test_what_may_name_somebody_is_found_at_any_depth_and_words_of_the_standard_are_not(tmp_path):
    def nest(made):
        made.RequestAttributesSequence = [Dataset()]
        made.RequestAttributesSequence[0].RequestedProcedureID = "RP-4711"
        made.RequestAttributesSequence[0].ReferencedStudySequence = [Dataset()]
        inner = made.RequestAttributesSequence[0].ReferencedStudySequence[0]
        inner.ReferencedSOPInstanceUID, inner.ScheduledPerformingPhysicianName = "2.25.77", "Deep^Down"
        made.OtherPatientIDs = ["OTHER-1", "OTHER-2"]

    found = write_one(tmp_path / "a", nest, PatientAddress="12 Hidden Street", StationName="STATION9").identifiers
    assert {"RP-4711", "2.25.77", "Deep^Down", "OTHER-1", "OTHER-2", "12 Hidden Street", "STATION9"} < set(found)
    assert {"Zyxwvut^Quentina", "PAT-998877", "19800117", "ACC4455667", "Saint Hidden Hospital"} < set(found)
    assert {"MR", "SIEMENS", "BRAIN", "t1_mprage_sag", "", "1.2.840.10008.5.1.4.1.1.4"}.isdisjoint(found)


def test_identifiers_are_those_of_each_patient_of_a_series(tmp_path):
    write_one(tmp_path / "a")
    write_one(tmp_path / "b", PatientID="P2", PatientName="Other^Person")
    instances, _ = read_headers(tmp_path)
    assert ["P2" in one.identifiers for one in instances] == [False, True]


def test_what_is_no_dicom_is_counted_and_links_are_followed_once(tmp_path):
    root, outside = tmp_path / "root", tmp_path / "outside"
    write_series(root / "PAT" / ".hidden", VOLUME, AFFINE, suffix="")
    write_capture(outside / "far" / "capture")
    (root / "PAT" / "link").symlink_to(outside)
    (outside / "back").symlink_to(root)
    (root / "again").symlink_to(next((root / "PAT" / ".hidden").iterdir()))
    (root / "nowhere").symlink_to(tmp_path / "none")
    for name, content in {
        "notes.txt": b"hello",
        "empty": b"",
        "zeros.dcm": bytes(500),
        "report.pdf": b"%PDF-1.7",
        "short": b"\x08\0",
        "text": b"\x08\0" * 400,
    }.items():
        (root / name).write_bytes(content)
    (root / "DICOMDIR").write_bytes(
        (Path(pydicom.__path__[0]) / "data" / "test_files" / "dicomdirtests" / "DICOMDIR").read_bytes()
    )
    instances, others = read_headers(root)
    assert len(instances) == 6 and sum(one.modality == "OT" for one in instances) == 1
    assert others.pop("the same file by another link") == 1 and others.pop("DICOMDIR") == 1
    assert others.pop("unreadable") >= 1 and others["no DICOM"] >= 4 and sum(others.values()) <= 6
    assert read_headers(root) == (instances, read_headers(root)[1])


def test_no_damage_to_a_header_ends_the_reading(tmp_path):
    """Cut anywhere, or with a few bytes changed, a file is read, or is counted."""
    [path] = write_series(tmp_path / "whole", VOLUME[:, :, :1], AFFINE)
    content = path.read_bytes()
    draw = np.random.default_rng(0)
    folder = tmp_path / "damaged"
    folder.mkdir()
    for number in range(150):
        damaged = bytearray(content[: draw.integers(1, len(content))] if number % 3 == 0 else content)
        for place in draw.integers(0, len(damaged), draw.integers(1, 8)) if number % 3 else ():
            damaged[place] = draw.integers(256)
        (folder / f"{number:03d}").write_bytes(damaged)
    instances, others = read_headers(folder)
    assert len(instances) + sum(others.values()) == 150 and len(instances) > 50 and others
    for series in group_series(instances):
        find_fault(series)


def test_a_file_that_does_not_inflate_is_counted(tmp_path):
    [path] = write_series(tmp_path, VOLUME[:, :, :1], AFFINE, syntax=DeflatedExplicitVRLittleEndian)
    path.write_bytes(path.read_bytes()[:-200] + bytes(200))
    assert read_headers(tmp_path) == ([], Counter({"unreadable": 1}))


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_odd_values_are_read_without_a_warning_and_pydicoms_settings_stay(tmp_path):
    write_series(tmp_path, VOLUME, AFFINE, PatientAge="ABC", PatientBirthDate="00000000")
    before = pydicom.config.settings.reading_validation_mode
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        instances, _ = read_headers(tmp_path)
    assert {(one.age, one.birth_date) for one in instances} == {("ABC", "00000000")}
    assert pydicom.config.settings.reading_validation_mode == before


@pytest.mark.slow
def test_processes_read_what_one_reads(tmp_path, monkeypatch):
    write_diffusion(tmp_path / "b", make_volume((6, 8, 5, 4)), AFFINE, [0, 1000, 1000, 1000], np.eye(4, 3))
    write_series(tmp_path / "a", VOLUME, AFFINE)
    (tmp_path / "x").write_text("no DICOM")
    alone = read_headers(tmp_path)
    assert len(alone[0]) == 25
    monkeypatch.setattr(headers, "MANY_FILES", 1)
    monkeypatch.setattr(headers, "FILES_AT_ONCE", 7)
    assert read_headers(tmp_path, jobs=2) == alone
