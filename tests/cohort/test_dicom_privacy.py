"""No name or id of a DICOM header, folder or file is in any byte that is written or printed.

Planted is every element that the standard tells to clean (PS3.15, table E.1-1, as dicom-anonymizer lists it).
"""

import gzip
import json
import subprocess
import sys
from pathlib import Path

import dcm2niix
import generate_conversations
import pytest
from dicom_files import make_affine, make_volume, write_capture, write_enhanced, write_series
from dicomanonymizer.dicom_anonymization_databases.dicomfields_2026c import ALL_TAGS
from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.dataset import Dataset

from umbrella.cohort.dicom.conversion import convert
from umbrella.cohort.dicom.headers import read_headers
from umbrella.cohort.dicom.series import group_series
from umbrella.cohort.dicom.sidecar import KEPT
from umbrella.privacy.mask import Mask

TEXTS = {"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"}
DAY, TIME = "20191231", "233458.77"
UID = "1.2.276.777888"
# What files are grouped by, and what a rule and a table must know.
NEEDED = {"SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "PatientSex", "SeriesDescription"}
TAGS = [tag for tag in ALL_TAGS if len(tag) == 2 and tag[0] > 2 and keyword_for_tag(tag) not in NEEDED | {""}]
NAMES = ("Qzvxsmith^Qzvxjane", "Qzvxmiller^Qzvxjohn", "Qzvxgreen^Qzvxann", "Qzvxhill^Qzvxjack")
IDS = ("QZVX-771-A", "QZVX-772-B", "QZVX-773-C", "QZVX-774-D")
PLANTED = ("qzvx", DAY, "2019-12-31", "31.12.2019", "233458", "23:34:58", UID)
pytestmark = pytest.mark.slow


def plant(header, t=0):
    """A text with "qzvx" into each element that may hold one, a day, a time, a UID; in sequences and private ones."""
    inner = Dataset()
    for number, tag in enumerate(TAGS):
        vr = dictionary_VR(tag)
        value = {"DA": DAY, "TM": TIME, "DT": DAY + TIME, "UI": f"{UID}.{number}"}.get(vr)
        if vr in TEXTS or value:
            for place in (header, inner):
                place.add_new(tag, vr, value or f"QZVX{number}X")
    header.StudyDate = DAY
    header.OtherPatientIDsSequence = header.RequestAttributesSequence = [inner]
    header.private_block(0x0051, "QZVX CREATOR", create=True).add_new(1, "LO", "Qzvxprivate")
    header.add_new(0x60000022, "LO", "QZVX overlay")


def write_planted(folder):
    """Four patients, two of whom have a T1 alone: whole scans, one with a missing slice, one that is cut, one that no
    rule names, one enhanced, a picture of a screen."""
    for name, patient, sex in zip(NAMES, IDS, "FMFM", strict=True):
        who = {"PatientName": name, "PatientID": patient, "PatientSex": sex, "study": patient, "PatientBirthDate": DAY}

        def change(header, t, who=who):
            plant(header)
            header.PatientName, header.PatientID, header.PatientSex = (
                who["PatientName"],
                who["PatientID"],
                who["PatientSex"],
            )

        place = folder / name / f"{patient} {DAY}"
        for case, description in (("t1", "t1 mprage"), ("t2", "T2_{}_tra"), ("odd", "odd {}"), ("gap", "flair of {}")):
            text = description.format(name.split("^")[0])
            volume = make_volume((8, 10, 5), len(case) + len(text))
            more = {"leave_out": (1,)} if case == "gap" else {}
            if case != "t1" and patient not in IDS[:2]:
                break
            write_series(
                place / f"{name} {case}", volume, make_affine(), change=change, SeriesDescription=text, series=case,
                suffix=f"_{patient}.dcm", **more, **who,
            )  # fmt: skip
        if patient not in IDS[:2]:
            continue
        paths = write_series(place / "cut", volume, make_affine(), change=change, series="cut", **who)
        paths[2].write_bytes(paths[2].read_bytes()[:-20])
        write_capture(place / f"{name}.dcm", series="capture", **who)
    who = {"PatientName": NAMES[0], "PatientID": IDS[0], "study": IDS[0], "PatientSex": "F", "PatientBirthDate": DAY}
    volume, more = make_volume((8, 10, 5), 9), {"StudyDate": DAY, "SeriesDescription": "swi Qzvxjane"}
    write_enhanced(folder / "e.dcm", volume, make_affine(), **more, **who)
    return folder


def search(data):
    """The planted words in bytes, or in what they hold."""
    found = [data]
    if data[:2] == b"\x1f\x8b":
        found.append(gzip.decompress(data))
    return {word for text in found for word in PLANTED if word.encode() in text.lower()}


def search_below(folder, without):
    """(file, planted words) of all files, and of all names of files and folders."""
    places = [path for path in folder.rglob("*") if without not in (path, *path.parents)]
    found = {path.name: search(path.relative_to(folder).as_posix().encode()) for path in places}
    found |= {str(path): search(path.read_bytes()) for path in places if path.is_file()}
    return {name: words for name, words in found.items() if words}


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    return write_planted(tmp_path_factory.mktemp("planted") / "in")


def test_nothing_of_a_header_or_of_a_folders_name_is_written_or_printed(planted, capfd, monkeypatch):
    folder = planted.parent
    monkeypatch.chdir(folder)
    table = folder / "table.csv"
    days = ("2019-12-31", "31.12.2019", "20191231", "2019-12-31 10:00")
    rows = [f"{who},{day},{score}" for who, day, score in zip(IDS, days, "AABB", strict=True)]
    table.write_text("\n".join(["id,day,score", *rows, "QZVX-999,2019-12-31,A", "QZVX-999,2019-12-31,B"]) + "\n")
    whole = "--dicom_dir in --participants table.csv --id_column id --session_column day --target score --metadata sex"
    whole = [*whole.split(), "age", "--split", "0.5,0.5,0", "--output_dir", "out"]
    none = "--dicom_dir in --target sex --output_dir none --dicom_key out.dicom_key --bids_out out_bids --entities"
    table_bytes = table.read_bytes()
    for flags in (["--dicom_dir", "in", "--dry_run"], whole, [*none.split(), "acquisition=x"]):
        code = generate_conversations.main(flags)
        printed = capfd.readouterr()
        assert code == ("acquisition=x" in flags), printed.err
        assert search((printed.out + printed.err).encode()) == set()
        assert ("sub-" if flags is whole else "T1w") in printed.out + printed.err
        if flags is whole:  # the table's column, and what the headers say where it says nothing
            header, *rows = [
                line.split("\t") for line in (folder / "out_bids/participants.tsv").read_text().splitlines()
            ]
            assert header == ["participant_id", "score", "sex", "age"]
            assert sorted(row[1:] for row in rows) == [
                ["A", "F", "45"],
                ["A", "M", "45"],
                ["B", "F", "45"],
                ["B", "M", "45"],
            ]
    table.unlink()
    assert search_below(folder, planted) == {}
    assert (
        len(list((folder / "out_bids").rglob("*.nii.gz"))) == 7
        and search(table_bytes)
        and (folder / "out_bids").is_dir()
    )
    reasons = [line.split("\t")[2] for line in (folder / "out" / "exclusions.tsv").read_text().splitlines()[1:]]
    expected = {"missing slices": 2, "no rule": 2, "not converted": 2, "secondary capture": 2, "contradicting rows": 1}
    assert {reason: reasons.count(reason) for reason in expected} == expected


def test_the_search_finds_what_dcm2niix_writes_by_itself(planted, tmp_path):
    source = next(path for path in planted.rglob("*t1") if path.is_dir())
    command = [dcm2niix.bin, "-g", "i", "-b", "y", "-ba", "n", "-z", "y", "-f", "%i", "-o", tmp_path, source]
    subprocess.run(command, check=True, capture_output=True)
    found = search_below(tmp_path, planted)
    (sidecar,) = tmp_path.glob("*.json")
    assert {"qzvx", "2019-12-31", "23:34:58"} <= found[str(sidecar)] and found[sidecar.name] == {"qzvx"}
    assert search(gzip.compress(b"of Qzvxsmith")) == {"qzvx"}


def test_a_sidecar_holds_what_a_list_names_and_nothing_else(planted):
    sidecars = list((planted.parent / "out_bids").rglob("ses-*/**/*.json"))
    assert len(sidecars) == 7
    for path in sidecars:
        assert json.loads(path.read_text()).keys() <= KEPT.keys() | {"TaskName"}


def test_the_converted_tree_is_accepted_by_the_bids_validator(planted):
    validator = Path(sys.executable).with_name("bids-validator-deno")
    done = subprocess.run([validator, planted.parent / "out_bids", "--json"], capture_output=True, text=True)
    issues = json.loads(done.stdout)["issues"]["issues"]
    assert [issue for issue in issues if issue["severity"] == "error"] == []


def test_what_a_converter_says_as_it_fails_names_nobody(tmp_path, monkeypatch):
    """Ours says neither names nor paths today; another version may."""
    program = tmp_path / "converter"
    program.write_text('#!/bin/sh\necho "Error: series of Qzvxjane in $8/00000.dcm, see /home/qzvx/log"\nexit 2\n')
    program.chmod(0o755)
    monkeypatch.setattr(dcm2niix, "bin", str(program))
    write_series(tmp_path / "in", make_volume((8, 8, 4)), make_affine())
    [series] = group_series(read_headers(tmp_path / "in")[0])
    fault = convert(series, "anat", "", tmp_path / "out", Mask(["Qzvxsmith^Qzvxjane"]))
    assert fault.reason == "not converted" and "exit code 2: Error: series of" in fault.detail
    assert "qzvx" not in fault.detail.lower() and "/" not in fault.detail
