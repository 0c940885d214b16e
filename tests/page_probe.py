"""What is wrong with a page, as Chromium lays it out: overlaps, cut-off text, broken pictures, script errors."""

import re
import shutil
import subprocess

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium")

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
