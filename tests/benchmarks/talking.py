"""Memory and files of the page to talk to a model, over many questions of one open tab and over tabs that are closed.

    python tests/benchmarks/talking.py --output talking.json

The page is served as demo.py serves it and asked as a browser asks it, through Gradio's queue; a model of random
weights answers about random scans. Megabytes are those of the server's process, bytes those of the files sent to it.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "recipes"), str(ROOT / "tests")]

from conversation_folder import write_scan  # noqa: E402

DEMO = ROOT / "recipes" / "demo.py"
PER_TAB, N_SCANS = 10, 5  # questions of a tab; scans that are sent in turn


class Tab:
    """One tab of a browser, by what it sends."""

    def __init__(self, address: str) -> None:
        self.address, self.name = address, uuid.uuid4().hex[:12]
        self.config = json.loads(self._open("config").read())
        self.ids = {part["props"].get("elem_id"): part["id"] for part in self.config["components"]}
        self.heart = self._open(f"gradio_api/heartbeat/{self.name}")

    def _open(self, place: str, data: bytes | None = None, kind: str = "application/json"):
        request = urllib.request.Request(f"{self.address}{place}", data, {"Content-Type": kind})
        return urllib.request.urlopen(request, timeout=120)

    def send(self, path: Path) -> dict:
        """Send a file; returns what Gradio calls it."""
        head = f'--b\r\nContent-Disposition: form-data; name="files"; filename="{path.name}"\r\n\r\n'
        body = head.encode() + path.read_bytes() + b"\r\n--b--\r\n"
        (kept,) = json.loads(self._open("gradio_api/upload", body, "multipart/form-data; boundary=b").read())
        return {"path": kept, "orig_name": path.name, "meta": {"_type": "gradio.FileData"}}

    def do(self, part: str, event: str, *values: object) -> list:
        """What the page returns at last when a part is clicked or changed, with these values of its inputs."""
        target = [self.ids[part], event]
        number = next(one["id"] for one in self.config["dependencies"] if target in one["targets"])
        sent = {"data": values, "fn_index": number, "session_hash": self.name, "trigger_id": target[0]}
        self._open("gradio_api/queue/join?", json.dumps(sent).encode()).read()
        with self._open(f"gradio_api/queue/data?session_hash={self.name}") as stream:
            for line in stream:
                said = json.loads(line.removeprefix(b"data: ")) if line.startswith(b"data: ") else {}
                if said.get("msg") == "process_completed":
                    assert said["success"], said
                    return said["output"]["data"]
        raise AssertionError("the stream has ended")

    def close(self) -> None:
        """As a browser does that is shut."""
        self.heart.close()


def read_mb(pid: int) -> float:
    """Memory of a process that is its own, in megabytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"RssAnon:\s+(\d+)", status)[1]) / 1024


def count_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def ask_all(address: str, pid: int, folder: Path, n: int) -> list[dict]:
    """Ask n questions in tabs of PER_TAB each; returns memory and files after each tab was closed."""
    scans = [folder / f"scan_{number}.nii" for number in range(N_SCANS)]
    for number, scan in enumerate(scans):
        write_scan(scan, number)
    found = []
    for first in range(0, n, PER_TAB):
        tab = Tab(address)
        for number in range(min(PER_TAB, n - first)):
            if number % 3 == 0:
                tab.do("upload", "upload", tab.send(scans[(first + number) % N_SCANS]), "sMRI")
            answered = tab.do("ask", "click", f"Male or female, number {number}?")
            assert "error" not in answered[-1], answered[-1]
            tab.do("new", "click") if number % 3 == 2 else None
        tab.close()
        time.sleep(1)
        found.append({"questions": first + PER_TAB, "mb": read_mb(pid), "bytes": count_bytes(folder / "sent")})
        print(found[-1], flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, help="the JSON file (default: print only)")
    parser.add_argument("--questions", type=int, default=200)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "sent").mkdir()
        paths = os.pathsep.join([str(ROOT), str(ROOT / "recipes"), os.environ.get("PYTHONPATH", "")])
        env = {"OMP_NUM_THREADS": "1", "PYTHONPATH": paths, "GRADIO_TEMP_DIR": str(folder / "sent")}
        server = subprocess.Popen(
            [sys.executable, DEMO, "--model_name_or_path", "tiny", "--max_new_tokens", "8"],
            env=os.environ | env,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            line = next(line for line in server.stdout if "The page is at" in line)
            found = ask_all(re.search(r"http://\S+", line)[0], server.pid, folder, arguments.questions)
        finally:
            server.terminate()
            server.wait(60)
        left = len([path for path in (folder / "sent").rglob("*") if path.is_file()])
    half = found[len(found) // 2 :] or found
    grown = half[-1]["mb"] - half[0]["mb"]
    result = {"after": found, "grown_mb_in_the_second_half": grown, "files_left_after_the_end": left}
    print(json.dumps({name: value for name, value in result.items() if name != "after"}))
    if arguments.output:
        arguments.output.write_text(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
