"""report.html: self-contained, complete, small, and sound in a browser on a desk, on a phone and in print."""

import json
import re

import eval as evaluation
import pytest
from page_probe import needs_chromium, probe

WIDTHS = {"desk": 1280, "phone": 375}


@pytest.fixture(scope="module")
def report(small_data, tmp_path_factory):
    """The report of an untrained model: all answers unparseable, so ten mistakes and no right answer."""
    folder = tmp_path_factory.mktemp("report")
    with pytest.MonkeyPatch.context() as patch:
        flags = ("--model_name_or_path", "tiny", "--json_dir", small_data, "--output_dir", folder, "--max_length", 256)
        more = ("--max_new_tokens", 4, "--bootstrap", 50, "--by", "comparison_type", "--confounds", "head_volume")
        patch.setattr("sys.argv", ["eval.py", *map(str, (*flags, *more))])
        evaluation.main()
    return folder / "report.html"


def test_the_report_is_one_file_that_asks_for_nothing_else(report):
    page = report.read_text(encoding="utf-8")
    addresses = re.findall(r'(?:src|href)\s*=\s*"([^"]*)"', page) + re.findall(r"url\(([^)]*)\)", page)
    assert addresses and all(address.startswith("data:") for address in addresses)
    assert "<script" not in page and "@import" not in page
    assert len(page) < 1_000_000


def test_the_report_says_what_was_found(report):
    page = report.read_text(encoding="utf-8")
    metrics = json.loads((report.parent / "metrics.json").read_text())
    for sentence in (
        "Does the model look at the scans?",
        "The most confident mistakes",
        "Beside simple models",
        "Confounds",
    ):
        assert sentence in page
    assert "8 found, 0 excluded, 8 used" in page
    assert "8 of 8 answers could not be read; they count as wrong" in page
    assert "is in the training data: tiny was never trained" in page
    assert "evaluated once by this run folder" in page
    assert "--confounds head_volume" in page  # the command
    assert page.count("<article>") == 8
    assert set(metrics["by"]["comparison_type"]) == {"same", "different"}


def test_every_picture_has_an_alt_text_and_every_scan_is_shown(report):
    pictures = re.findall(r"<img [^>]*>", report.read_text(encoding="utf-8"))
    assert all(re.search(r'alt="[^"]{10,}"', picture) for picture in pictures)
    assert sum("data:image/png" in picture for picture in pictures) == 8 * 2


@pytest.mark.slow
@needs_chromium
@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
def test_nothing_overlaps_or_fails_in_chromium(report, width, tmp_path):
    assert probe(report, width, tmp_path) == ("[]", [])


@pytest.mark.slow
@needs_chromium
def test_the_probe_sees_an_overlap_a_broken_picture_and_a_script_error(tmp_path):
    page = tmp_path / "bad.html"
    page.write_text(
        '<html><head></head><body><div><p>a</p><p style="margin-top:-3em">b</p></div><img src="data:," alt="x">'
        "<script>nothing()</script></body></html>"
    )
    found, console = probe(page, 375, tmp_path)
    assert "overlap" in found and "broken picture" in found and "nothing is not defined" in found
    assert console
