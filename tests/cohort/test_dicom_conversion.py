"""What comes of DICOM series: the voxels where SimpleITK finds them, and nothing of what is no whole scan."""

import json
import os
import re
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
from dicom_files import (
    make_affine,
    make_volume,
    write_capture,
    write_diffusion,
    write_enhanced,
    write_series,
)
from dicom_trees import convert_folder, make_source, read_excluded
from killing import kill_at_call, list_calls, read_bytes
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    JPEG2000Lossless,
    JPEGExtended12Bit,
    RLELossless,
)

from umbrella.cohort.dicom.decompressing import write_uncompressed
from umbrella.cohort.dicom.headers import read_headers
from umbrella.cohort.dicom.identity import Pseudonyms
from umbrella.cohort.dicom.listing import describe_series
from umbrella.cohort.dicom.series import group_series
from umbrella.cohort.shared.visits import CohortError, NoScansError
from umbrella.cohort.tables.table_rows import TableOptions

OBLIQUE = make_affine(spacing_mm=(1.5, 2.0, 3.0), angles_deg=(10.0, -20.0, 5.0))
SYNTAXES = {
    "rle": RLELossless,
    "jpeg 2000": JPEG2000Lossless,
    "deflated": DeflatedExplicitVRLittleEndian,
    "big endian": ExplicitVRBigEndian,
}
B_VALUES, B_VECTORS = [0, 1000, 1000, 2000], np.eye(4, 3, -1)
pytestmark = pytest.mark.slow


def to_id(case):
    return f"{sum(case.encode()):06d}"


def write_cases(folder):
    """Each case in a folder of its name, of a patient of its name."""

    def write(case, volume, affine=OBLIQUE, writer=write_series, **header):
        header = {"study": case, "PatientID": to_id(case), **header}
        return writer(folder / case, volume, affine, **header)

    for seed, (case, syntax) in enumerate(SYNTAXES.items()):
        write(case, make_volume((16, 20, 6), seed), syntax=syntax)
    of_latin = {"SpecificCharacterSet": "ISO_IR 100", "ProtocolName": "Schädel", "StationName": "Köln"}
    write("plain", make_volume(seed=10), ContrastBolusAgent="Gadovist", **of_latin)
    of_japan = {"SpecificCharacterSet": ["", "ISO 2022 IR 87"], "SeriesDescription": "AX T1 頭部"}
    write("bare", make_volume((16, 20, 6), 11), suffix="", preamble=False, **of_japan)
    enhanced = {"PatientID": to_id("enhanced"), "study": "enhanced"}
    write_enhanced(folder / "enhanced" / "one.dcm", make_volume(seed=12), OBLIQUE, **enhanced)
    write("rest", make_volume((16, 20, 6, 4), 13), SeriesDescription="ep2d rest")
    write("dwi", make_volume((16, 20, 6, 4), 14), make_affine(), write_diffusion_of_four)
    write("missing", make_volume((16, 20, 6), 15), leave_out=(2,), SeriesDescription="missing t1")
    write("twice", make_volume((16, 20, 6, 2), 16), SeriesDescription="twice t1")
    sheared = make_affine()
    sheared[1, 2] = 0.8
    write("tilt", make_volume((16, 20, 6), 20), sheared, SeriesDescription="tilt t1", GantryDetectorTilt=15.0)
    write("no b-values", make_volume((16, 20, 6, 3), 17), SeriesDescription="no b-values dti")
    (path,) = write("cut", make_volume((16, 20, 6), 18), SeriesDescription="cut t1")[2:3]
    path.write_bytes(path.read_bytes()[:-100])
    for path in write("jpeg", make_volume((16, 20, 6), 19), SeriesDescription="jpeg t1"):
        put_jpeg(path)
    write_capture(folder / "capture" / "one.dcm", PatientID=to_id("plain"), study="capture")
    return folder


def write_diffusion_of_four(folder, volume, affine, **header):
    return write_diffusion(folder, volume, affine, B_VALUES, B_VECTORS, **header)


def put_jpeg(path):
    """Pixels that were compressed elsewhere, in a syntax for whose 12 bits pydicom has no decoder of its own."""
    header, of_others = dcmread(path), dcmread(get_testdata_file("JPGExtended.dcm"))
    header.file_meta.TransferSyntaxUID = JPEGExtended12Bit
    for keyword in ("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelData"):
        setattr(header, keyword, getattr(of_others, keyword))
    header["PixelData"].VR = "OB"
    header["PixelData"].is_undefined_length = True
    header.save_as(path, enforce_file_format=True)


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    """(folder of DICOM, tree, exclusions)."""
    place = tmp_path_factory.mktemp("dicom")
    folder = write_cases(place / "in")
    return folder, place / "a tree ü", convert_folder(folder, place / "a tree ü")


def find_scan(cases, case, suffix="*.nii.gz"):
    subject = Pseudonyms(b"k" * 40).subject(to_id(case))
    (path,) = (cases[1] / subject).rglob(suffix)
    return path


def read_with_simpleitk(paths):
    """Voxels and affine (RAS+) of one volume."""
    names = list(map(str, paths))
    if len(names) > 1:
        reader = SimpleITK.ImageSeriesReader()
        folder = str(Path(names[0]).parent)
        ordered = SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(folder)
        reader.SetFileNames([name for name in ordered if name in names])
        image = reader.Execute()
    else:
        image = SimpleITK.ReadImage(names[0])
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    voxels = SimpleITK.GetArrayFromImage(image).T
    return nibabel.as_closest_canonical(nibabel.Nifti1Image(voxels, np.diag([-1, -1, 1, 1]) @ affine))


@pytest.mark.parametrize("case", ["plain", "bare", "enhanced", *SYNTAXES, "rest", "dwi"])
def test_voxels_lie_where_simpleitk_finds_them(cases, case):
    folder = cases[0] / case
    found = nibabel.as_closest_canonical(nibabel.load(find_scan(cases, case)))
    n_volumes = found.shape[3] if found.ndim == 4 else 1
    for t in range(n_volumes):
        paths = sorted(folder.glob("one.dcm")) or sorted(folder.glob(f"IM{t:03d}*"))
        expected = read_with_simpleitk(paths)
        voxels = found.dataobj[..., t] if found.ndim == 4 else found.dataobj
        np.testing.assert_array_equal(voxels, expected.dataobj)
        np.testing.assert_allclose(found.affine, expected.affine, atol=1e-3)


def test_what_a_scan_is_stands_in_its_name_and_sidecar(cases):
    assert find_scan(cases, "plain").name.endswith("_ses-1_ce-gadolinium_T1w.nii.gz")
    assert find_scan(cases, "rest").name.endswith("_ses-1_task-rest_bold.nii.gz")
    assert json.loads(find_scan(cases, "rest", "*.json").read_text())["TaskName"] == "rest"
    said = json.loads(find_scan(cases, "plain", "*.json").read_text())
    assert (said["EchoTime"], said["RepetitionTime"], said["FlipAngle"]) == (0.003, 2, 9)
    assert find_scan(cases, "dwi").parent.name == "dwi"


def test_diffusion_keeps_b_values_and_directions(cases):
    np.testing.assert_array_equal(np.loadtxt(find_scan(cases, "dwi", "*.bval")), B_VALUES)
    directions = np.abs(np.loadtxt(find_scan(cases, "dwi", "*.bvec")).T)  # their signs follow the image's axes
    np.testing.assert_allclose(directions, np.abs(B_VECTORS), atol=1e-6)


def test_what_is_no_whole_scan_is_left_out_with_its_reason(cases):
    _, tree, exclusions = cases
    assert read_excluded(exclusions) == {
        ("missing t1", "missing slices"),
        ("twice t1", "several volumes"),
        ("no b-values dti", "no gradients"),
        ("cut t1", "not converted"),
        ("tilt t1", "tilted slices"),
        ("jpeg t1", "compressed"),
        ("screen save", "secondary capture"),
    }
    details = {row.reason: row.detail for row in exclusions.rows}
    assert "1 of 6 is missing" in details["missing slices"] and "not large enough" in details["not converted"]
    assert "JPEG Extended" in details["compressed"] and "pip install pylibjpeg" in details["compressed"]
    assert not any("/" in row.detail.replace("1/", "") or "IM0" in row.detail for row in exclusions.rows)
    assert len(list(tree.rglob("*.nii.gz"))) == 9 and not (tree / ".umbrella" / "converting").exists()
    assert any("9 of 16 series are scans of a tree ü, 9 are new" in note for note in exclusions.notes)


def test_a_second_run_converts_nothing_and_a_changed_series_alone_is_converted_again(cases):
    folder, tree, _ = cases
    before = list_inodes(tree)
    again = convert_folder(folder, tree)
    assert list_inodes(tree) == before and any("0 are new" in note for note in again.notes)
    (changed,) = list(tree.rglob("*_task-rest_bold.nii.gz"))
    os.utime(next((folder / "rest").iterdir()), (1, 1))
    assert any("1 are new" in note for note in convert_folder(folder, tree).notes)
    after = list_inodes(tree)
    assert {path for path in before if before[path] != after[path]} > {changed}
    assert all("rest" in path.name or ".umbrella" in str(path) for path in before if before[path] != after[path])


def list_inodes(tree):
    return {path: path.stat().st_ino for path in tree.rglob("*") if path.is_file()}


@pytest.fixture
def two_visits(tmp_path):
    """A patient's two days with a T1 each, the second day's folder first."""
    for day, name in (("20250131", "b"), ("20240131", "a")):
        header = {"study": day, "StudyDate": day, "PatientAge": None, "PatientBirthDate": None}
        write_series(tmp_path / "in" / name, make_volume((8, 8, 4), int(day)), OBLIQUE, **header)
    return tmp_path


def test_what_is_inflated_for_dcm2niix_names_nobody(tmp_path):
    links, plain = tmp_path / "links", tmp_path / "plain"
    links.mkdir(), plain.mkdir()
    volume = make_volume((8, 8, 3))
    paths = write_series(tmp_path / "in", volume, OBLIQUE, syntax=DeflatedExplicitVRLittleEndian)
    (series,) = group_series(read_headers(tmp_path / "in")[0])
    write_uncompressed(series, links, plain)
    contents = b"".join(path.read_bytes() for path in plain.iterdir())
    named = [dcmread(paths[0])[name].value for name in ("PatientName", "PatientID", "AccessionNumber")]
    assert not [value for value in named if str(value).encode() in contents]
    assert {path.resolve().parent for path in links.iterdir()} == {plain.resolve()}
    found = sorted((dcmread(path) for path in links.iterdir()), key=lambda one: one.InstanceNumber)
    assert (np.stack([one.pixel_array.T for one in found], 2) == volume).all()


def test_killed_anywhere_and_started_again_it_is_what_a_whole_run_makes(two_visits):
    """Started again with all files, or with those of the first visit alone: then nothing of the second stays."""
    folder, first_visit = two_visits / "in", two_visits / "first_visit"
    first_visit.mkdir()
    (first_visit / "a").symlink_to(folder / "a")
    expected = {}
    for again in (first_visit, folder):
        calls = list_calls(lambda again=again: convert_folder(again, two_visits / f"whole_{again.name}"))
        expected[again] = read_bytes(two_visits / f"whole_{again.name}")
    begin = calls.index("os.mkdir")  # until then only headers are read
    numbers = [(number, folder) for number in range(begin, len(calls), max(1, (len(calls) - begin) // 5))]
    renamed = [i + 1 for i, call in enumerate(calls) if call == "os.rename"]
    for number, again in numbers + [(number, first_visit) for number in renamed[1::3]]:
        tree = two_visits / f"{number} {again.name}"
        kill_at_call(lambda tree=tree: convert_folder(folder, tree), number)
        assert not [path for path in tree.rglob("*") if path.is_symlink()]  # whose target may name the patient
        convert_folder(again, tree)
        assert read_bytes(tree) == expected[again], f"killed at call {number} of {len(calls)}"


def test_an_earlier_visit_that_comes_later_takes_the_first_place(two_visits):
    folder, tree = two_visits / "in", two_visits / "tree"
    os.rename(folder / "a", two_visits / "a")
    convert_folder(folder, tree)
    (first,) = tree.rglob("*.nii.gz")
    late = nibabel.load(first).get_fdata()
    os.rename(two_visits / "a", folder / "a")
    convert_folder(folder, tree)
    first, second = sorted(tree.rglob("*.nii.gz"))
    assert "ses-1" in first.name and "ses-2" in second.name
    np.testing.assert_array_equal(nibabel.load(second).get_fdata(), late)
    os.rename(folder / "b", two_visits / "b")
    notes = convert_folder(folder, tree).notes
    assert [path.name for path in tree.rglob("*.nii.gz")] == [first.name]
    assert any("scans of 1 series that are no longer there" in note for note in notes)
    assert not list(tree.rglob("ses-2"))


def test_a_tree_of_another_key_or_of_somebody_else_is_not_touched(two_visits):
    folder, tree = two_visits / "in", two_visits / "tree"
    convert_folder(folder, tree)
    before = list_inodes(tree)
    other = two_visits / "other_key"
    other.write_text("l" * 40)
    with pytest.raises(CohortError, match="expected a tree made with this --dicom_key, found one of another"):
        convert_folder(folder, tree, key=other)
    assert list_inodes(tree) == before
    theirs = two_visits / "theirs"
    theirs.mkdir()
    (theirs / "thesis.txt").write_text("mine")
    with pytest.raises(CohortError, match=r"expected an empty folder or a tree that --dicom_dir made, found thesis"):
        convert_folder(folder, theirs)
    assert [path.name for path in theirs.iterdir()] == ["thesis.txt"]


def test_what_no_rule_names_is_said_with_a_remedy_that_works(tmp_path):
    write_series(tmp_path / "in" / "a", make_volume((8, 8, 4)), OBLIQUE, SeriesDescription="Schichtbild Zyxwvut")
    said = r"found 1 that none does, as 'Schichtbild …' \(1\)\. Copy (.*), add them, and give it by --dicom_rules"
    with pytest.raises(NoScansError, match=said) as error:
        convert_folder(tmp_path / "in", tmp_path / "tree")
    rules = re.search(said, str(error.value))[1]
    text = Path(rules).read_text() + '  - {name: mine, datatype: anat, suffix: T1w, any: [" schichtbild "]}\n'
    (tmp_path / "mine.yaml").write_text(text)
    convert_folder(tmp_path / "in", tmp_path / "tree", rules=tmp_path / "mine.yaml")
    assert len(list((tmp_path / "tree").rglob("*_T1w.nii.gz"))) == 1


def test_a_sequence_that_no_series_gives_is_refused_before_the_others_are_converted(tmp_path):
    write_series(tmp_path / "in" / "a", make_volume((8, 8, 4)), OBLIQUE)
    write_series(tmp_path / "in" / "b", make_volume((8, 8, 4)), OBLIQUE, SeriesDescription="Schichtbild", series=2)
    wanted = {"suffixes": ("T1w", "FLAIR")}
    with pytest.raises(NoScansError, match=r"that becomes FLAIR, found none \(1 T1w, 1 no rule\)"):
        convert_folder(tmp_path / "in", tmp_path / "tree", **wanted)
    assert not (tmp_path / "tree").exists()
    assert "no series becomes FLAIR" in describe_series(make_source(tmp_path / "in", tmp_path / "tree", **wanted))


def test_a_table_of_visits_without_their_column_is_refused_with_a_remedy_and_costs_no_scan(two_visits):
    folder, tree, table = two_visits / "in", two_visits / "tree", two_visits / "table.csv"
    table.write_text("id,day,score\nPAT-998877,2024-01-31,5\nPAT-998877,2025-01-31,6\n")
    given = {"table": table, "said": TableOptions(id_column="id"), "columns": ("score",)}
    convert_folder(folder, tree)
    before = list_inodes(tree)
    said = r"found none of 2: 3 contradicting rows \(as sub-\w+: .*table\.csv:3: another .*--session_column COLUMN"
    with pytest.raises(NoScansError, match=said):
        convert_folder(folder, tree, **given)
    assert list_inodes(tree) == before
    convert_folder(folder, tree, **given | {"said": TableOptions(id_column="id", session_column="day")})
    assert "6" in next(tree.rglob("*_sessions.tsv")).read_text()
