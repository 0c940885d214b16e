"""How fast a run trains on scans in a store, against files: first epoch and second, 50 ms added to each request.

    python tests/benchmarks/remote.py --output remote.json

train.py, as a command, on 2,000 synthetic scans, one a row: of files; of a loopback S3 without a copy; of that when
all are copied; and once more without a copy, while 200 requests drawn by a seed are answered 503 or not at all, until
it is told from the weights that nothing was lost. `samples_per_second` is train.py's own. Server, workers and training
share the machine's cores: use the ratios. `server_s` is the processor time that the server took of them in a run: of
moto, which alone can fail when told, the larger part of what a request costs; of SeaweedFS (`--server seaweed`, with
no faults) less than half of that. Of what is repeated the best counts: the machine may do other things too.
"""

import argparse
import gzip
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import nibabel
import numpy as np

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "tests")]
from conversation_folder import make_record  # noqa: E402
from s3_server import S3Server  # noqa: E402
from seaweed_server import SeaweedServer  # noqa: E402

STORE = "s3://benchmark/study"
SERVERS = {"moto": S3Server, "seaweed": SeaweedServer}


def write_data(folder: Path, n_scans: int, side: int) -> None:
    """A conversation a scan in train.jsonl, scans of side³ voxels beside it."""
    (folder / "train").mkdir(parents=True)
    draws = np.random.default_rng(0)
    records = []
    for number in range(n_scans):
        voxels = draws.integers(0, 1000, (side, side, side)).astype(np.int16)
        scan = nibabel.Nifti1Image(voxels, np.diag([2.0, 2.0, 2.0, 1.0])).to_bytes()
        (folder / f"{number:04d}.nii.gz").write_bytes(gzip.compress(scan, 1))
        records.append(json.dumps(make_record(f"t{number:04d}", [f"{number:04d}.nii.gz"])))
    (folder / "train/train.jsonl").write_text("\n".join(records) + "\n")


def train(folder: Path, name: str, flags: list[str], environment: dict[str, str]) -> float:
    """Samples a second of one epoch."""
    command = [sys.executable, ROOT / "recipes/train.py", "--json_dir", folder / "data", "--output_dir", folder / name]
    command += ["--num_train_epochs", 1, "--batch_size", 8, "--eval_strategy", "no", "--save_strategy", "no"]
    command += ["--report_to", "none", "--logging_steps", 50, "--image_size", 64, "--max_length", 256, *flags]
    done = subprocess.run(
        list(map(str, command)),
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    found = re.search(r"samples per second +([\d.]+)", done.stdout)
    if done.returncode or not found:
        raise SystemExit(f"{name}: expected a run, found exit code {done.returncode}:\n{done.stdout[-3000:]}")
    return float(found[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", required=True)
    parser.add_argument("--scans", type=int, default=2000)
    parser.add_argument("--side", type=int, default=48)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--delay", type=float, default=0.05)
    parser.add_argument("--repeats", type=int, default=2, help="of which the best counts")
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--server", choices=SERVERS, default="moto")
    asked = parser.parse_args()
    can_fail = asked.server == "moto"
    with tempfile.TemporaryDirectory() as place, SERVERS[asked.server]() as server:
        folder = Path(place)
        data = folder / "data"
        write_data(data, asked.scans, asked.side)
        for path in data.glob("*.nii.gz"):
            server.put(f"{STORE}/{path.name}", path.read_bytes())
        server.delay(asked.delay)
        environment = {**server.environment, "HF_HOME": str(folder / "hf"), "OMP_NUM_THREADS": "1"}
        workers = ["--dataloader_num_workers", str(asked.workers)]
        elsewhere = [*workers, "--image_root", STORE, "--remote_roots", STORE, "--remote_patience", "60"]
        speeds: dict[str, float] = {}
        spent_s: dict[str, float] = {}
        requests: dict[str, int] = {}
        outputs = []
        for repeat in range(asked.repeats):
            copied = [*elsewhere, "--scan_copies", str(folder / f"copies {repeat}")]
            for name, flags in (("files", workers), ("first epoch", copied), ("second epoch", copied)):
                before = server.spent_s()
                outputs.append(f"{name} {repeat}")
                speeds[name] = max(speeds.get(name, 0), train(folder, outputs[-1], flags, environment))
                spent_s[name] = round(server.spent_s() - before, 2)
                if can_fail:
                    requests[name] = len(server.take_log())
        if can_fail:
            server.fail("stall", n=asked.faults // 20, share=0.01, seconds=3, methods="GET")
            server.fail("503", n=asked.faults - asked.faults // 20, share=0.2, methods="GET")
            outputs.append("faults")
            copied = [*elsewhere, "--scan_copies", str(folder / "copies under faults")]
            speeds["first epoch, faults"] = train(folder, outputs[-1], copied, environment)
        weights = {(folder / name / "model.safetensors").read_bytes() for name in outputs}
    result = {
        "scans": asked.scans,
        "workers": asked.workers,
        "delay_s": asked.delay,
        "samples_per_second": speeds,
        "ratios": {name: round(speed / speeds["files"], 3) for name, speed in speeds.items()},
        "server_s": spent_s,
        "requests": requests,
        "equal_weights": len(weights) == 1,
    }
    Path(asked.output).write_text(json.dumps(result, indent=1))
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
