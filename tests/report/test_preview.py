"""preview.py: every scan in all views, the supervised tokens marked, and what is odd found."""

import json
import re
import shutil
from dataclasses import replace

import nibabel as nib
import numpy as np
import preview
import pytest
from page_probe import needs_chromium, probe

from umbrella.scans.survey import ScanFacts, find_oddities, survey_scan

USUAL = ScanFacts("usual", "sMRI", (64, 80, 60), (3.0, 2.8, 3.4), "RAS", "int16", 0.0, 50.0, 140.0, 0.2)


@pytest.fixture(scope="module")
def page(small_data, tmp_path_factory):
    path = tmp_path_factory.mktemp("preview") / "preview.html"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["preview.py", "--json_dir", str(small_data), "--n", "2", "--output", str(path)])
        preview.main()
    return path


@pytest.mark.slow
def test_two_rows_are_shown_with_four_pictures_of_each_scan(page):
    text = page.read_text(encoding="utf-8")
    assert text.count("<article>") == 2
    for caption in ("as trained", "axial", "coronal", "sagittal"):
        assert text.count(f"<figcaption>{caption}</figcaption>") == 4, caption
    assert "64 × 80 × 60" in text or "60 × 64 × 80" in text
    assert len(re.findall(r"stored [RLAPIS]{3}, int16", text)) == 4
    assert all(address.startswith("data:") for address in re.findall(r'(?:src|href)="([^"]*)"', text))


def test_each_picture_stands_between_letters_and_each_scan_says_what_it_is(page):
    text = page.read_text(encoding="utf-8")
    sides = re.findall(r'<b>(\w)</b><img src="data:image/png[^>]*alt="(\w+)[^>]*><b>(\w)</b>', text)
    assert sides == [("L", "Scan", "R"), ("L", "Axial", "R"), ("L", "Coronal", "R"), ("P", "Sagittal", "A")] * 4
    assert text.count("data:image/png") == len(sides)
    assert re.findall('<p class="role">(.*?)</p>', text) == ["reference", "the subject&#39;s scan"] * 2
    assert "L and R beside a picture are the subject’s left and right, P and A back and front" in text


def test_what_the_model_is_trained_to_say_is_marked_and_nothing_else(page, small_data):
    answers = {}
    for path in (small_data / "train").glob("*.json"):
        record = json.loads(path.read_text())
        texts = [turn["content"][0]["text"] for turn in record["conversations"] if turn["role"] == "assistant"]
        answers[record["task_id"]] = texts
    text = page.read_text(encoding="utf-8")
    for task_id, marked in re.findall(r"<h4>(\S+).*?<pre>(.*?)</pre>", text, re.DOTALL):
        found = re.findall("<mark>(.*?)</mark>", marked, re.DOTALL)
        assert [words.replace("&lt;|im_end|&gt;", "").strip() for words in found] == answers[task_id]


@pytest.mark.slow
def test_brackets_of_the_data_mark_nothing(small_data, tmp_path, monkeypatch):
    """inspect_labels.py puts ⟦ ⟧ around what is supervised; a text may have them too."""
    data = shutil.copytree(small_data, tmp_path / "data")
    for path in (data / "train").glob("*.json"):
        record = json.loads(path.read_text())
        record["conversations"][0]["content"][0]["text"] = "A ⟦question⟧?"
        path.write_text(json.dumps(record))
    output = tmp_path / "preview.html"
    monkeypatch.setattr("sys.argv", ["preview.py", "--json_dir", str(data), "--n", "2", "--output", str(output)])
    preview.main()
    marked = re.findall("<mark>(.*?)</mark>", output.read_text(encoding="utf-8"), re.DOTALL)
    assert "⟦question⟧" in output.read_text(encoding="utf-8")
    assert not [words for words in marked if "question" in words] and len(marked) > 4


def test_a_scan_unlike_the_others_is_named_with_what_is_odd():
    scans = [replace(USUAL, name=f"scan {i}", p99=140.0 + i) for i in range(40)]
    assert find_oddities(scans) == []
    odd = {
        "small": replace(USUAL, name="small", shape=(32, 40, 30)),
        "coarse": replace(USUAL, name="coarse", spacing_mm=(6.0, 2.8, 3.4)),
        "bright": replace(USUAL, name="bright", p99=14000.0),
        "lost": replace(USUAL, name="lost", orientation="not stated"),
        "turned": replace(USUAL, name="turned", shape=(60, 64, 80), orientation="LIA"),
    }
    found = dict(find_oddities([*scans, *odd.values()]))
    assert set(found) == {"small", "coarse", "bright", "lost"}  # another storage order is no oddity
    assert found["small"] == "size 30 × 32 × 40 voxels, where 44 of 45 have 60 × 64 × 80"
    assert found["coarse"] == "spacing 2.8 × 3.4 × 6 mm, where 44 of 45 have 2.8 × 3 × 3.4"
    assert found["bright"].startswith("intensities from 0 to 1.4e+04")


def test_facts_are_those_of_the_stored_file(tmp_path):
    voxels = np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6)
    path = tmp_path / "scan.nii"
    nib.Nifti1Image(voxels, np.diag([-2.0, 3.0, 4.0, 1.0])).to_filename(path)
    facts, volume = survey_scan(str(path), "sMRI")
    assert (facts.shape, facts.spacing_mm, facts.orientation) == ((4, 5, 6), (2.0, 3.0, 4.0), "LAS")
    assert (facts.median, facts.share_zero) == (59.5, pytest.approx(1 / 120))
    assert volume.max() == 119


@pytest.mark.slow
@needs_chromium
@pytest.mark.parametrize("width", [1280, 375])
def test_nothing_overlaps_or_fails_in_chromium(page, width, tmp_path):
    assert probe(page, width, tmp_path) == ("[]", [])
