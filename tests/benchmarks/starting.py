"""How soon a wrong flag, or --help, is answered, against `python -c "import torch"` in the same run; one JSON.

    python tests/benchmarks/starting.py --output starting.json

Times are CPU seconds of a fresh process, the least of some repeats; use the ratios.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
COMMANDS = [
    str(path.relative_to(ROOT))
    for folder in ("recipes", "sample_data")
    for path in sorted((ROOT / folder).glob("*.py"))
    if "__main__" in path.read_text(encoding="utf-8")
]


def measure_start(words: list[str], repeats: int) -> float:
    """CPU seconds of `python WORDS`."""
    times = []
    for _ in range(repeats):
        before = os.times()
        subprocess.run([sys.executable, *words], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        after = os.times()
        times.append(after.children_user - before.children_user + after.children_system - before.children_system)
    return min(times)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    torch = measure_start(["-c", "import torch"], options.repeats)
    seconds = {
        f"{command} {flag}": measure_start([command, flag], options.repeats)
        for command in COMMANDS
        for flag in ("--help", "--hlep")
    }
    ratios = {command: round(second / torch, 3) for command, second in seconds.items()}
    result = {"import_torch": torch, "seconds": seconds, "ratios": ratios, "largest": max(ratios.values())}
    text = json.dumps(result, indent=2)
    print(text)
    if options.output:
        options.output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
