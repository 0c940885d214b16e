"""Kills at random moments: what is left is whole or refused, the next run gives what an undisturbed one gives, and no
process, hidden folder or temporary file stays behind."""

import os
import random
import shutil
import signal
import sys
from pathlib import Path

import datasets
import generate_conversations
import generate_sex_comparison_conversations as sex_comparison
import push_to_hub
import pytest
from conversation_folder import make_record, write_folder
from fuzzing import fuzz
from killing import kill_after, kill_at_call, read_bytes, run_whole
from test_generate_conversations import TEMPLATE, make_rows, write_table
from test_whole_folder import assert_whole

from umbrella.cohort.questions.writer import write_shards
from umbrella.rows.cache_filling import CachedScans, fill_cache
from umbrella.rows.scan_list import list_scans
from umbrella.views.settings import ViewSettings
from umbrella.views.volume_cache import VolumeCache
from umbrella_dataset import load_umbrella

pytestmark = [pytest.mark.fuzz, pytest.mark.slow]
REPO = "tester/brains"
SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT)


def kill(work, rng: random.Random, seconds: float, n_calls: int) -> None:
    """At a file system call, or after a time within those that it takes undisturbed."""
    if rng.random() < 0.5:
        kill_at_call(work, rng.randrange(n_calls))
    else:
        kill_after(work, rng.uniform(0, seconds), rng.choice(SIGNALS))


@pytest.fixture
def generators(quick_scans, tmp_path):
    """Name → (output folder, options for the old state, options for the new state) → work."""
    (tmp_path / "table").mkdir()
    table = write_table(tmp_path / "table", make_rows())
    common = ["--participants", str(table), "--image_template", TEMPLATE, "--target", "sex", "--holdout", "site=B"]

    def write_heads(output, state):
        sex_comparison.main(["--output_dir", str(output), "--subjects_per_split", "4", "--seed", state])

    def write_cohort(output, state):
        flags = [*common, "--output_dir", str(output), "--seed", state, "--jsonl", "3"]
        assert generate_conversations.main(flags) == 0

    return {"heads": write_heads, "cohort": write_cohort}


def test_generators(generators, tmp_path):
    states, seconds = {}, {}
    (tmp_path / "states").mkdir()
    (tmp_path / "work").mkdir()
    output = tmp_path / "work/data"
    for name, write in generators.items():
        for state in "01":
            # Each in the place that it is compared in: relative scan paths depend on it.
            seconds[name] = run_whole(lambda write=write, state=state: write(output, state))
            states[name, state] = shutil.copytree(output, tmp_path / "states" / f"{name}{state}")
            shutil.rmtree(output)

    def check(rng):
        name = rng.choice(list(generators))
        write = generators[name]
        is_fresh = rng.random() < 0.3
        shutil.rmtree(tmp_path / "work")
        (tmp_path / "work").mkdir()
        if not is_fresh:
            shutil.copytree(states[name, "0"], output)
        kill(lambda: write(output, "1"), rng, seconds[name], 250)
        assert_whole(output, *([] if is_fresh else [read_bytes(states[name, "0"])]), read_bytes(states[name, "1"]))
        run_whole(lambda: write(output, "1"))
        assert read_bytes(output) == read_bytes(states[name, "1"])
        assert os.listdir(tmp_path / "work") == ["data"]

    fuzz(check, share=1 / 4)


def list_files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def test_builds(tmp_path):
    folder = tmp_path / "data"
    for split in ("train", "test"):
        records = [make_record(f"{split}{number}", ["a.nii"] * (number % 3)) for number in range(3000)]
        write_shards(records, folder / split, 100)
    rows, files, seconds = {}, {}, {}
    options = {"data_dir": str(folder), "cache_dir": str(tmp_path / "cache")}

    def load(num_proc):
        datasets.disable_progress_bars()
        return load_umbrella(num_proc=num_proc, **options)

    for num_proc in (None, 2):
        seconds[num_proc] = run_whole(lambda n=num_proc: load(n))
        rows[num_proc] = {split: of_split.to_list() for split, of_split in load(num_proc).items()}
        files[num_proc] = list_files(tmp_path / "cache")
        shutil.rmtree(tmp_path / "cache")
    assert rows[None] == rows[2]

    def check(rng):
        shutil.rmtree(tmp_path / "cache", ignore_errors=True)
        for _ in range(rng.randint(1, 2)):
            num_proc = rng.choice([None, 2])
            kill(lambda n=num_proc: load(n), rng, seconds[num_proc], 300)
        num_proc = rng.choice([None, 2])
        run_whole(lambda: load(num_proc))
        assert {split: of_split.to_list() for split, of_split in load(None).items()} == rows[None]
        assert list_files(tmp_path / "cache") in files.values()

    fuzz(check, share=1 / 4)


def test_caches(tmp_path):
    splits = load_umbrella(write_folder(tmp_path / "data", {"train": [2] * 6, "test": [1] * 4}))
    settings = ViewSettings("slices:3", 112, True, True)
    folder = tmp_path / "cache"

    def fill(num_workers):
        list(fill_cache(CachedScans(splits, list_scans(splits), VolumeCache(folder), settings), num_workers))

    seconds = {number: run_whole(lambda n=number: fill(n)) for number in (2, 0)}
    undisturbed = read_bytes(folder)

    def check(rng):
        shutil.rmtree(folder)
        for _ in range(rng.randint(1, 4)):
            num_workers = rng.choice([0, 2])
            kill(lambda n=num_workers: fill(n), rng, seconds[num_workers], 200)
            entries = {name: data for name, data in read_bytes(folder).items() if name.endswith(".view")}
            assert entries.items() <= undisturbed.items()
        run_whole(lambda: fill(0))
        entries = {name: data for name, data in read_bytes(folder).items() if name.endswith(".view")}
        assert entries == {name: data for name, data in undisturbed.items() if name.endswith(".view")}

    fuzz(check, share=1 / 4)


def test_pushes(hub, tmp_path, monkeypatch):
    """What the Hub shows is a whole commit, the one before or the new one; the same command again comes to its end."""
    states = {}
    for state, counts in (("0", [1, 2]), ("1", [2, 1, 1])):
        (tmp_path / state).mkdir()
        states[state] = write_folder(tmp_path / state / "data", {"train": counts, "test": [1]})

    def push(state):
        with monkeypatch.context() as patch:
            flags = ["--json_dir", str(states[state]), "--repo_id", REPO, "--scans", "files"]
            patch.setattr(sys, "argv", ["push_to_hub.py", "dataset", *flags])
            push_to_hub.main()

    def files():
        return hub.files("dataset", REPO) if ("dataset", REPO) in hub.repos else {}

    whole = {}
    for state in states:
        seconds = run_whole(lambda state=state: push(state))
        whole[state] = files()
    places = list_files(tmp_path / "1")

    def check(rng):
        hub.repos.clear()
        hub.lfs.clear()
        if is_fresh := rng.random() < 0.5:
            before = {}
        else:
            run_whole(lambda: push("0"))
            before = whole["0"]
        for _ in range(rng.randint(1, 3)):
            kill(lambda: push("1"), rng, seconds, 400)
            assert files() in (before, whole["1"]) or (is_fresh and set(files()) <= {".gitattributes"})
        run_whole(lambda: push("1"))
        assert files() == whole["1"]
        assert list_files(tmp_path / "1") == places

    fuzz(check, share=1 / 4)
