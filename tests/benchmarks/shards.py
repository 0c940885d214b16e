"""An index of many scans over some shards: how long it takes to write, to open and to ask, and its memory; one JSON.

    python tests/benchmarks/shards.py --scans 1000000 --shards 100 --output shards.json

The shards hold nothing: their sizes alone are compared when an index is opened. `open_seconds` and `grown_mb` are of a
process of its own that has the library imported; `lookup_us` is of names in random order, of rows' paths.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil

from umbrella.files.shards.index import SCANS, About, Member, write_index
from umbrella.files.shards.reading import PackedScans
from umbrella.files.shards.shard_folder import ShardFolder

SIZE = 10_000_000  # bytes of a scan


def name(number: int) -> str:
    return f"sub-{number:07d}/ses-01/anat/sub-{number:07d}_ses-01_T1w.nii.gz"


def write(folder: Path, n_scans: int, n_shards: int) -> float:
    """Seconds."""
    members = [Member(i % n_shards, i // n_shards * SIZE, SIZE, i) for i in range(n_scans)]
    shards = [(f"scans-{i:05d}.tar", -(-n_scans // n_shards) * SIZE) for i in range(n_shards)]
    for shard, size in shards:
        with (folder / shard).open("wb") as file:
            file.truncate(size)  # it takes no room
    start = time.perf_counter()
    write_index(folder, [name(i) for i in range(n_scans)], members, About(SCANS, shards, {}, ""))
    return time.perf_counter() - start


def open_and_ask(folder: str, n_scans: int, n_asked: int = 2000) -> dict:
    import pandas  # noqa: F401 - as all commands have; Arrow would do it at its first column

    process = psutil.Process()
    before, start = process.memory_info().rss, time.perf_counter()
    packed = PackedScans([ShardFolder(folder, "/data")])
    opened = time.perf_counter() - start
    paths = [f"/data/{name(int(i))}" for i in np.random.default_rng(0).integers(0, n_scans, n_asked)]
    start = time.perf_counter()
    found = [packed.find(path, None) for path in paths]
    asked = time.perf_counter() - start
    grown = process.memory_info().rss - before
    return {
        "open_seconds": opened,
        "lookup_us": asked / n_asked * 1e6,
        "grown_mb": grown / 1e6,
        "found": sum(one is not None for one in found) / n_asked,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scans", type=int, default=1_000_000)
    parser.add_argument("--shards", type=int, default=100)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--ask", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.ask:
        print(json.dumps(open_and_ask(options.ask, options.scans)))
        return
    with tempfile.TemporaryDirectory() as folder:
        seconds = write(Path(folder), options.scans, options.shards)
        command = [sys.executable, __file__, "--ask", folder, "--scans", str(options.scans)]
        asked = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        size = (Path(folder) / "index.arrow").stat().st_size
    result = {"write_seconds": seconds, "index_mb": size / 1e6, **asked}
    text = json.dumps(result, indent=2)
    print(text)
    if options.output:
        options.output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
