"""The quickstart's training on two processes of one core each, against one process pinned to one core.

    python tests/benchmarks/processes.py --output processes.json

Samples a second as train.py itself measures them, the best of the repeats. Needs two idle cores; use the ratio.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
GENERATOR = ROOT / "sample_data" / "generate_sex_comparison_conversations.py"
TRAIN = [ROOT / "recipes" / "train.py", ROOT / "recipes" / "configs" / "quickstart.yaml"]
ONE = [sys.executable, *TRAIN]
TWO = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", *TRAIN]


def train(command: list, cores: set[int], folder: Path, flags: list[str]) -> float:
    """Samples a second of one run on these cores."""
    run = Path(tempfile.mkdtemp(dir=folder))
    flags = [
        *flags,
        "--output_dir",
        run / "run",
        "--eval_strategy",
        "no",
        "--save_strategy",
        "no",
        "--report_to",
        "none",
    ]
    paths = os.pathsep.join([str(ROOT), str(ROOT / "recipes"), os.environ.get("PYTHONPATH", "")])
    subprocess.run(
        list(map(str, [*command, *flags])),
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": paths},
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
        check=True,
        capture_output=True,
    )
    return json.loads((run / "run" / "train_results.json").read_text())["samples_per_second"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, help="the JSON file (default: print only)")
    parser.add_argument("--subjects", type=int, default=200, help="subjects of the training split")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    first, second = sorted(os.sched_getaffinity(0))[:2]
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        options = ["--output_dir", str(data), "--subjects_per_split", str(arguments.subjects)]
        subprocess.run([sys.executable, str(GENERATOR), *options], check=True, stdout=subprocess.DEVNULL)
        flags = ["--json_dir", str(data), "--num_train_epochs", str(arguments.epochs)]
        one, two = [], []
        for _ in range(arguments.repeats):
            one.append(train(ONE, {first}, Path(folder), flags))
            two.append(train(TWO, {first, second}, Path(folder), flags))
    result = {
        "machine": f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, 2 cores",
        "samples_per_second": {"one process": one, "two processes": two},
        "ratio": round(max(two) / max(one), 2),
    }
    text = json.dumps(result, indent=2)
    print(text)
    if arguments.output:
        arguments.output.write_text(text + "\n")


if __name__ == "__main__":
    main()
