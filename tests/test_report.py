"""report.html: self-contained, complete, small, and sound in a browser on a desk, on a phone and in print."""

import json
import re
import shutil
import subprocess

import eval as evaluation
import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
WIDTHS = {"desk": 1280, "phone": 375}

# Runs inside the page: what a reader would trip over.
PROBE = """
<script>
const problems = [];
addEventListener("error", event => problems.push("error: " + event.message), true);
addEventListener("load", () => {
  const wide = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth > wide) problems.push("the page scrolls sideways");
  for (const image of document.images) {
    if (!image.complete || image.naturalWidth === 0) problems.push("broken picture: " + image.alt);
    if (!image.alt) problems.push("picture without alt text");
  }
  const seen = element => element.getBoundingClientRect();
  for (const parent of document.querySelectorAll("body, main, header, section, div, dl, ul, article, figure")) {
    const boxes = [...parent.children].filter(e => seen(e).height > 0 && !["SCRIPT", "STYLE"].includes(e.tagName));
    boxes.forEach((a, i) => boxes.slice(i + 1).forEach(b => {
      const [p, q] = [seen(a), seen(b)];
      const across = Math.min(p.right, q.right) - Math.max(p.left, q.left);
      const down = Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top);
      const both = a.outerHTML.slice(0, 80) + " and " + b.outerHTML.slice(0, 80);
      if (across > 1 && down > 1) problems.push("overlap: " + both);
    }));
  }
  for (const box of document.querySelectorAll("h1, h2, h3, p, li, dd, article, pre")) {
    const cut = seen(box).right > wide + 1 && !box.closest(".scroll");
    if (cut) problems.push("cut off: " + box.textContent.slice(0, 60));
  }
  parent.postMessage(problems, "*");
});
</script>
"""


def probe(page, width, folder):
    """What is wrong with a page at a width, as Chromium lays it out: (problems, lines of its console)."""
    probed = folder / "probed.html"
    probed.write_text(page.read_text(encoding="utf-8").replace("<head>", "<head>" + PROBE), encoding="utf-8")
    frame = folder / "frame.html"
    frame.write_text(
        f'<iframe src="probed.html" width="{width}" height="4000"></iframe><pre id="out">waiting</pre>'
        '<script>addEventListener("message", e => out.textContent = JSON.stringify(e.data))</script>'
    )
    flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1400,4200", "--enable-logging=stderr"]
    offline = [
        "--host-resolver-rules=MAP * ~NOTFOUND",
        "--virtual-time-budget=4000",
        f"--user-data-dir={folder / 'chromium'}",
    ]
    done = subprocess.run(
        [CHROMIUM, *flags, *offline, "--dump-dom", frame.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    found = re.search(r'<pre id="out">(.*?)</pre>', done.stdout, re.DOTALL)[1]
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return found, console


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
    assert "the model records no training subjects" in page
    assert "evaluated once by this run folder" in page
    assert "--confounds head_volume" in page  # the command
    assert page.count("<article>") == 8
    assert set(metrics["by"]["comparison_type"]) == {"same", "different"}


def test_every_picture_has_an_alt_text_and_every_scan_is_shown(report):
    pictures = re.findall(r"<img [^>]*>", report.read_text(encoding="utf-8"))
    assert all(re.search(r'alt="[^"]{10,}"', picture) for picture in pictures)
    assert sum("data:image/png" in picture for picture in pictures) == 8 * 2


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium")
@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
def test_nothing_overlaps_or_fails_in_chromium(report, width, tmp_path):
    assert probe(report, width, tmp_path) == ("[]", [])


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium")
def test_the_probe_sees_an_overlap_a_broken_picture_and_a_script_error(tmp_path):
    page = tmp_path / "bad.html"
    page.write_text(
        '<html><head></head><body><div><p>a</p><p style="margin-top:-3em">b</p></div><img src="data:," alt="x">'
        "<script>nothing()</script></body></html>"
    )
    found, console = probe(page, 375, tmp_path)
    assert "overlap" in found and "broken picture" in found and "nothing is not defined" in found
    assert console
