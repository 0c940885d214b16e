"""Work by several processes that are killed: none of them stays, and what is said is one sentence."""

import os
import signal
import time

import multiprocess
import pytest
import validate_json_format
from conversation_folder import make_record, write_folder
from killing import end, start

import umbrella_dataset
from umbrella.cohort.questions.writer import write_shards
from umbrella_dataset import load_umbrella

pytestmark = pytest.mark.slow


@pytest.fixture
def build(tmp_path, monkeypatch):
    """(what a worker does at its first record) → exit code and output of a build with two workers; all its processes
    have ended."""
    write_shards([make_record(f"t{number}", []) for number in range(8)], tmp_path / "data/train", 2)
    output = tmp_path / "output"

    def build(act):
        with monkeypatch.context() as patch:
            patch.setattr(umbrella_dataset, "find_problems", act)
            code = end(start(lambda: load(2), output=output))
        # torch names the rank on a traceback once a test in this process has had one.
        return code, output.read_text().replace("[rank0]: ", "")

    def load(num_proc):
        return load_umbrella(str(tmp_path / "data"), "train", num_proc=num_proc, cache_dir=str(tmp_path / "cache"))

    build.load = load
    return build


def test_workers_end_with_their_parent_and_what_they_left_is_not_kept(build, tmp_path):
    def kill_parent(record):
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(30)

    assert build(kill_parent)[0] == -signal.SIGKILL
    assert list((tmp_path / "cache").rglob("*.incomplete/*.arrow"))
    assert len(build.load(None)) == 8
    assert [path.name for path in (tmp_path / "cache").rglob("*.arrow")] == ["umbrella_dataset-train.arrow"]


def test_a_killed_worker_is_said_in_a_sentence(build):
    code, output = build(lambda record: os.kill(os.getpid(), signal.SIGKILL))
    assert code == 1
    assert (
        output.rstrip()
        .splitlines()[-1]
        .startswith("ChildProcessError: expected the worker processes to do all work, found one killed")
    )
    assert len(build.load(2)) == 8


def test_ctrl_c_is_what_it_is(build):
    def interrupt(record):
        os.kill(os.getppid(), signal.SIGINT)
        time.sleep(1)

    code, output = build(interrupt)
    assert code == 1
    assert output.rstrip().splitlines()[-1] == "KeyboardInterrupt"


@pytest.fixture
def check(tmp_path, monkeypatch):
    """(what a worker does at its first scan) → exit code and output of a validator that reads all scans."""
    folder = write_folder(tmp_path / "scanned", {"train": [2] * 6})
    output = tmp_path / "output"

    def check(act):
        with monkeypatch.context() as patch:
            patch.setattr("umbrella.scans.volumes.read_scan", act)
            return end(start(validate, output=output)), output.read_text().replace("[rank0]: ", "")

    def validate():
        if validate_json_format.main([str(folder), "--check_images"]):
            raise SystemExit(1)

    return check


def test_readers_of_scans_end_with_their_parent(check):
    def kill_parent(*_, **__):
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(30)

    assert check(kill_parent)[0] == -signal.SIGKILL


def test_a_killed_reader_of_scans_is_said_in_a_sentence(check):
    code, output = check(lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL))
    assert code == 1
    sentence = "expected the worker processes to do all work, found one killed"
    assert any(line.startswith(sentence) for line in output.splitlines())
    assert "✗ VALIDATION FAILED" in output


@pytest.mark.parametrize(
    ("first", "last"), [(RuntimeError("no more threads"), None), (ValueError("a bar"), multiprocess.TimeoutError())]
)
def test_what_else_stops_a_build_is_not_called_a_killed_worker(first, last):
    """`datasets` waits for its workers when it is stopped, and what that ends in hides why."""
    with pytest.raises(type(first)) as raised, umbrella_dataset._workers_end_with_this_process():
        try:
            raise first
        finally:
            if last is not None:
                raise last
    assert raised.value is first
