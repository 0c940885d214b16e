"""Ctrl-C, which a terminal sends to a command and to all processes that it has begun, ends it in one word."""

import os
import signal
import sys
import time

import pytest
from conversation_folder import make_record
from killing import end, start

import umbrella_dataset
from umbrella.cohort.questions.writer import write_shards
from umbrella.options.commands.ending import INTERRUPTED, run
from umbrella.validation.worker_processes import start_workers
from umbrella_dataset import load_umbrella


def share(tmp_path):
    with start_workers(2) as pool:
        list(pool.map(tell_and_wait, [tmp_path / "begun"] * 40))


def build(tmp_path):
    umbrella_dataset.find_problems = lambda record: tell_and_wait(tmp_path / "begun")  # in a forked process
    load_umbrella(str(tmp_path / "data"), "train", num_proc=2, cache_dir=str(tmp_path / "cache"))


def wait_alone(tmp_path):
    tell_and_wait(tmp_path / "begun", 30)


def tell_and_wait(path, seconds=0.3):
    path.touch()
    time.sleep(seconds)


@pytest.mark.slow
@pytest.mark.parametrize("work", [share, build, wait_alone], ids=lambda work: work.__name__)
def test_ctrl_c_ends_a_command_and_its_processes_in_one_word(work, tmp_path):
    write_shards([make_record(f"t{number}", []) for number in range(200)], tmp_path / "data/train", 100)

    def command():
        try:
            run(lambda: work(tmp_path))
        except SystemExit as stop:
            sys.stderr.flush()
            os._exit(stop.code)

    process = start(command, output=tmp_path / "output")
    while not (tmp_path / "begun").exists():
        time.sleep(0.01)
    os.killpg(process, signal.SIGINT)
    assert end(process) == INTERRUPTED
    said = (tmp_path / "output").read_text()
    assert said.rstrip().splitlines()[-1] == "interrupted"
    assert "Traceback" not in said and "KeyboardInterrupt" not in said
