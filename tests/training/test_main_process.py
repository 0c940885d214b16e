"""One process works, the others wait for as long as it takes, and none waits for one that has failed: of two processes
on the CPU, started by torchrun where one fails."""

import json

import pytest
from forking import WORKERS_FORK, Program, run_ranks
from launching import BIN

from umbrella.training.main_process import main_process_first, on_main_process

# The world's own timeout is short, as `--ddp_timeout` makes it where it is heard (with --use_cpu it is not). It is set
# only once all have started, which on a busy machine takes longer.
START = """
import os, sys, time
from datetime import timedelta
import torch.distributed as dist
dist.init_process_group("gloo", timeout=timedelta(minutes=2))
dist.barrier()
dist.distributed_c10d._set_pg_timeout(timedelta(seconds=1))
rank = dist.get_rank()
"""
FAIL = """
from umbrella.training.main_process import on_main_process
open(f"started_{rank}", "w").close()
on_main_process(lambda: sys.exit("error: no such data"))
"""
TRAIN = """
import json
import train

load, leave_out, check = train.read_splits, train.leave_out_unreadable, train.check_texts
load_model = train.load_for_training

def be_slow():
    time.sleep(3 if rank == 0 else 0)

def write_down(*arguments):
    used, unreadable = leave_out(*arguments)
    rows = {name: used[name]["task_id"] for name in used}
    open(f"rows_{rank}.json", "w").write(json.dumps([rows, unreadable]))
    return used, unreadable

def train_with_the_usual_timeout(*arguments, **options):
    dist.distributed_c10d._set_pg_timeout(timedelta(minutes=2))
    return load_model(*arguments, **options)

train.read_splits = lambda *arguments: [be_slow(), load(*arguments)][1]
train.check_texts = lambda *arguments: [be_slow(), check(*arguments)][1]
train.leave_out_unreadable, train.load_for_training = write_down, train_with_the_usual_timeout
train.main()

dist.barrier()
dist.distributed_c10d._set_pg_timeout(timedelta(seconds=1))
try:  # the control: a plain barrier does give up
    be_slow()
    dist.barrier()
except RuntimeError as error:
    print("plain barrier:", str(error)[:200], flush=True)
"""


def write(script, folder):
    path = folder / "script.py"
    path.write_text(START + script)
    return path


def test_with_one_process_there_is_nobody_to_wait_for():
    with main_process_first():
        assert on_main_process(lambda a, b: a + b, 1, 2) == 3


@pytest.mark.slow
def test_failure_of_the_main_process_ends_the_job(tmp_path):
    """Within seconds, on a machine that is not busy; otherwise it would be days."""
    torchrun = [BIN / "torchrun", "--standalone", "--nproc_per_node", "2", write(FAIL, tmp_path)]
    job = Program(torchrun, tmp_path, **WORKERS_FORK)
    printed = job.communicate(timeout=300)[0]
    assert all((tmp_path / f"started_{rank}").exists() for rank in (0, 1))
    assert job.returncode != 0
    assert "error: no such data" in printed


@pytest.mark.slow
def test_slow_building_and_unreadable_scans_give_all_processes_the_same_rows(data, tmp_path):
    for scan in ("train/sub-0001_T1w.nii.gz", "validation/sub-0005_T1w.nii.gz"):
        path = data / "images" / scan
        path.write_bytes(path.read_bytes()[:-2000])
    flags = ["--json_dir", data, "--output_dir", "run", "--use_cpu", "true", "--max_steps", 1, "--max_length", 256]
    more = ["--max_unreadable", 2, "--eval_strategy", "steps", "--report_to", "none", "--batch_size", 2]
    printed = run_ranks([write(TRAIN, tmp_path), *flags, *more], tmp_path)
    first, second = (json.loads((tmp_path / f"rows_{rank}.json").read_text()) for rank in (0, 1))
    assert first == second
    assert len(first[1]) == 2
    assert any(line.startswith("plain barrier:") and "Timed out" in line for line in printed.splitlines())
    assert printed.count("left out: rows with an unreadable scan") == 1
    rows = json.loads((tmp_path / "run/run.json").read_text())[0]["data"]
    assert [rows[name]["rows"] for name in ("train", "validation", "test")] == [*map(len, first[0].values()), 8]
    assert 0 < rows["train"]["rows"] < 8
