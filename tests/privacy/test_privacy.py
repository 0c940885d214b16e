"""Personal data is found wherever it is planted, and clean rows are left alone."""

import gzip
import io
import json
import sys

import nibabel
import numpy as np
import pytest
from conversation_folder import make_record, write_folder, write_scan
from planted_data import draw_clean, draw_items, write_planted_folder

from umbrella.privacy.dates import find_dates, shift_date
from umbrella.privacy.national_ids import find_national_ids
from umbrella.privacy.presidio_names import build_name_finder
from umbrella.privacy.scan_text import read_scan_text
from umbrella.privacy.scrub import Scrubber, clean_scan, load_key
from umbrella.privacy.search import find_in_row, find_in_scan, find_in_text, mask
from umbrella.scans.volumes import load_volume
from umbrella_dataset import to_row


def kinds(text, **options):
    return [(match.kind, text[match.start : match.end]) for match in find_in_text(text, **options)]


@pytest.mark.parametrize(
    ("text", "kind", "found"),
    [
        ("Seen by Dr. Xoltan Quiggle today", "name", "Xoltan Quiggle"),
        ("Patient: Doe, Jane", "name", "Doe, Jane"),
        ("DOE^JANE^M", "name", "DOE^JANE^M"),
        ("we asked Maria Schmidt again", "name", "Maria Schmidt"),
        ("DOB: 03/12/1961", "birth date", "03/12/1961"),
        ("scan of 17 May 2019", "date", "17 May 2019"),
        ("MRN 00451239", "record number", "00451239"),
        ("call (617) 555-0123 now", "phone number", "(617) 555-0123"),
        ("+49 228 287-15109", "phone number", "+49 228 287-15109"),
        ("jane.roe@example.org", "e-mail", "jane.roe@example.org"),
        ("/home/jroe/data/t1.nii", "host path", "/home/jroe/data/t1.nii"),
        (r"C:\Users\jroe\t1", "host path", r"C:\Users\jroe\t1"),
        ("at Springfield General Hospital", "institution", "Springfield General Hospital"),
        ("002_S_0295", "cohort id", "002_S_0295"),
        ("NDARINVABCD1234", "cohort id", "NDARINVABCD1234"),
        ("a 93-year-old man", "age over 89", "93-year-old"),
    ],
)
def test_kind_and_place_of_what_is_found(text, kind, found):
    assert kinds(text) == [(kind, found)]


def test_bare_number_is_a_cohorts_only_where_an_identifier_stands():
    assert kinds("3123456", is_id=True) == [("cohort id", "3123456")]
    assert kinds("3123456 voxels") == []
    assert kinds("sub-0001", is_id=True) == []


def test_names_in_paths_may_be_lower_case_and_joined():
    assert kinds("scans/john_smith_t1.nii.gz", is_path=True) == [("name", "john_smith")]
    assert kinds("scans/sub-0001_ses-02_T1w.nii.gz", is_path=True) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2019-05-17", "2019-04-17"),
        ("17.05.2019", "17.04.2019"),
        ("5/17/2019", "4/17/2019"),
        ("20190517", "20190417"),
        ("17-MAY-2019", "17-APRIL-2019"),
        ("May 17, 2019", "April 17, 2019"),
        ("3 janvier 2020", "4 décembre 2019"),
    ],
)
def test_shifted_date_is_written_as_it_was(text, expected):
    (found,) = [date for date in find_dates(text) if (date.start, date.end) == (0, len(text))]
    assert shift_date(text, found, -30) == expected


@pytest.mark.parametrize("text", ["31.02.2019", "v1.0.20190902", "256x256x176", "28/30", "TR=2300", "0.20190517"])
def test_what_looks_like_a_date_and_is_none(text):
    assert not list(find_dates(text))


def test_check_digits_tell_identity_numbers_from_others():
    right, wrong = "943 476 5919", "943 476 5918"
    assert list(find_national_ids(right)) == [(0, 12)]
    assert not list(find_national_ids(wrong))


def test_excerpt_shows_first_letters_only():
    assert mask("Jane Roe, 1961") == "J*** R**, 1***"


def test_further_names_come_from_the_finder_that_is_given():
    def find_people(text):
        yield 0, len("Xq Zorblatt")

    text = "Xq Zorblatt has slept."
    assert kinds(text) == []
    assert kinds(text, more_names=find_people) == [("name", "Xq Zorblatt")]
    assert kinds("Brodmann Ar has slept.", more_names=find_people) == []


def test_presidio_finds_names_that_no_list_has():
    pytest.importorskip("presidio_analyzer", reason="the extra 'privacy' is not installed")
    spacy = pytest.importorskip("spacy")
    models = [name for name in spacy.util.get_installed_models() if name.startswith("en_")]
    if not models:
        pytest.skip("no English spaCy model is installed")
    text = "Xantippa Brockelmayr was examined."
    assert kinds(text) == []
    assert kinds(text, more_names=build_name_finder(models[0])) == [("name", "Xantippa Brockelmayr")]
    with pytest.raises(ValueError, match="expected the spaCy model en_none, found none"):
        build_name_finder("en_none")


def test_presidio_that_is_not_installed_is_asked_for(monkeypatch):
    monkeypatch.setitem(sys.modules, "presidio_analyzer", None)
    monkeypatch.setitem(sys.modules, "spacy", type(sys)("spacy"))
    with pytest.raises(ValueError, match=r"expected the package presidio_analyzer, found none. Install the extra"):
        build_name_finder("en_core_web_lg")


def test_metadata_keys_give_numbers_their_meaning():
    record = make_record("sub-0001", ["sub-0001_T1w.nii"])
    record["metadata"] |= {"mrn": 4512399, "age": 93, "note": ["ok", {"seen_by": "Dr. Roe"}]}
    findings = {finding.field: finding.kind for finding in find_in_row(to_published(record))}
    assert findings == {
        "metadata.mrn": "record number",
        "metadata.age": "age over 89",
        "metadata.note[1].seen_by": "name",
    }


def to_published(record):
    row = to_row(record, "train/x.json", "/nowhere")
    for image in row["images"]:
        image["path"] = image["path"].removeprefix("/nowhere/")
    return row


def find_everything(folder):
    """The numbers of the planted items (scan_0007...) that a search of rows and scans reports."""
    found = set()
    for number, path in enumerate(sorted((folder / "train").iterdir())):
        record = json.loads(path.read_text(encoding="utf-8"))
        scan = folder / record["images"][0]["path"]
        if find_in_row(to_published(record)) or find_in_scan(scan, scan.name, "sMRI"):
            found.add(number)
    return found


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.slow
def test_of_200_planted_items_95_percent_are_found(seed, tmp_path):
    items = draw_items(seed)
    folder = write_planted_folder(tmp_path / "data", items)
    assert len({item.kind for item in items}) == 20
    assert len({item.place for item in items}) == 10
    missed = [items[number] for number in set(range(200)) - find_everything(folder)]
    print(missed)
    assert len(missed) <= 0.05 * len(items)


@pytest.mark.slow
def test_false_alarms_on_2000_clean_texts_stay_under_2_percent():
    alarms = [text for text in draw_clean(seed=1, n=2000) if find_in_text(text)]
    print(set(alarms))
    assert len(alarms) < 0.02 * 2000


@pytest.mark.slow
def test_sample_data_is_clean(small_data):
    for path in sorted(small_data.glob("train/*.json")):
        assert find_in_row(to_published(json.loads(path.read_text()))) == []
    for path in sorted(small_data.glob("images/train/*"))[:2]:
        assert find_in_scan(path, path.name, "sMRI") == []


@pytest.mark.slow
def test_all_places_of_a_scan_are_read(tmp_path):
    folder = write_planted_folder(tmp_path / "data", draw_items(3, n_a_kind=10))
    fields = {field for path in folder.glob("scan_*") for field, _ in read_scan_text(path)}
    assert fields >= {
        "descrip", "aux_file", "intent_name", "db_name", "extension (DICOM)", "extension (comment)", "footer"
    }  # fmt: skip


def test_file_name_in_gzips_own_header_is_read(tmp_path):
    named = tmp_path / "x.nii.gz"
    image = nibabel.Nifti1Image(np.ones((3, 4, 5), np.int16), np.eye(4))
    with gzip.GzipFile("jane_roe.nii", "wb", fileobj=named.open("wb")) as file:
        file.write(image.to_bytes())
    assert [(finding.field, finding.kind) for finding in find_in_scan(named, "x")] == [("gzip.path", "name")]


@pytest.mark.parametrize("suffix", ["nii", "nii.gz", "mgz"])
@pytest.mark.parametrize("image_class", [nibabel.Nifti1Image, nibabel.Nifti2Image], ids=["NIfTI-1", "NIfTI-2"])
def test_clean_scan_has_the_same_volume_and_no_text(suffix, image_class, tmp_path):
    path = tmp_path / f"scan.{suffix}"
    if suffix == "mgz":
        write_planted_folder(tmp_path / "data", draw_items(1, n_a_kind=1))
        path = next((tmp_path / "data").glob("*.mgz"))
    else:
        voxels = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
        image = image_class(voxels, np.diag([-2.0, 3.0, 1.5, 1.0]))
        image.header.set_slope_inter(2.0, 5.0)
        image.header["descrip"] = b"Jane Roe"
        image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", b"Jane Roe"))
        image.to_filename(path)
    before = path.read_bytes()
    cleaned = clean_scan(path)
    assert path.read_bytes() == before
    assert list(read_scan_text(cleaned)) == []
    for old, new in zip(load_volume(path, "sMRI"), load_volume(cleaned, "sMRI"), strict=True):
        assert np.array_equal(old, new)


def test_big_endian_header_is_cleaned_too(tmp_path):
    header = nibabel.Nifti1Header(endianness=">")
    image = nibabel.Nifti1Image(np.arange(60, dtype=">i2").reshape(3, 4, 5), np.eye(4), header)
    image.header["descrip"] = b"Jane Roe"
    cleaned = clean_scan(image.to_bytes())
    assert np.array_equal(np.asarray(nibabel.Nifti1Image.from_bytes(cleaned).dataobj), np.asarray(image.dataobj))
    assert b"Jane" not in cleaned


def test_pair_of_files_cannot_be_cleaned(tmp_path):
    nibabel.Nifti1Pair(np.ones((3, 4, 5), np.int16), np.eye(4)).to_filename(tmp_path / "x.hdr")
    with pytest.raises(ValueError, match=r"x.hdr: expected header and voxels in one file"):
        clean_scan(tmp_path / "x.hdr")


def test_clean_row_keeps_intervals_and_meaning_and_loses_who_it_is():
    record = make_record("002_S_0295_sex", ["a.nii"])
    record["subject_ids"] = ["002_S_0295"]
    record["metadata"] |= {"subject_id": "002_S_0295", "visit": "2019-05-17", "age": 93, "score": 28}
    text = "Dr. Jane Roe saw 002_S_0295 on 2019-05-07 and 2019-05-17."
    record["conversations"][0]["content"][-1]["text"] = text
    row = to_published(record)
    scrubber = Scrubber(b"k" * 32)
    cleaned = scrubber.clean_row(row)
    subject = scrubber.subject("002_S_0295")
    assert cleaned["subject_ids"] == [subject] == [cleaned["metadata"]["subject_id"]]
    assert cleaned["task_id"] == f"{subject}_sex"
    said = cleaned["conversations"][0]["content"][-1]["text"]
    assert said.startswith(f"Dr. [NAME] saw {subject} on ")
    first, second = (found.value for found in find_dates(said))
    assert (second - first).days == 10
    extra = json.loads(cleaned["metadata"]["extra"])
    assert extra["visit"] == second.isoformat()
    assert (extra["age"], extra["score"]) == ("over 89", 28)
    assert {finding.kind for finding in find_in_row(cleaned)} == {"date"}
    assert row["conversations"][0]["content"][-1]["text"] == text
    assert Scrubber(b"x" * 32).clean_row(row)["subject_ids"] != [subject]


def test_key_is_made_once_and_readable_by_its_owner_only(tmp_path):
    key = load_key(tmp_path / "new" / "key")
    assert load_key(tmp_path / "new" / "key") == key
    assert (tmp_path / "new" / "key").stat().st_mode & 0o077 == 0
    (tmp_path / "short").write_text("abc")
    with pytest.raises(ValueError, match="at least 32 characters, found 3"):
        load_key(tmp_path / "short")


def test_scan_that_cannot_be_read_is_an_error(tmp_path):
    folder = write_folder(tmp_path / "data", {"train": [1]})
    path = next(folder.glob("*.nii"))
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match="cut short"):
        find_in_scan(path, "x")
    write_scan(path, 0)
    assert find_in_scan(io.BytesIO(path.read_bytes()).getvalue(), "x") == []
