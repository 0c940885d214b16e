"""A BIDS tree of synthetic heads goes through the README's five steps, and ends in answers in the data's words."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import MappingProxyType
from unittest.mock import patch

import pytest
from bids_phantoms import write_bids
from five_steps import type_five_steps

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def bids(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohort") / "my_bids"
    folder.mkdir()
    return write_bids(folder, n_subjects=40)


@pytest.fixture
def take_five_steps(bids, tmp_path, monkeypatch, capfd):
    """Type the README's commands about `my_bids` for a target; see `type_five_steps`."""

    def take(target, *left_out, more=MappingProxyType({})):
        (tmp_path / "my_bids").symlink_to(bids)
        return type_five_steps(tmp_path, monkeypatch, capfd, {"--target sex": target}, left_out, more)

    with patch.dict(os.environ):  # TensorBoard's folder
        yield take


def test_the_tree_is_accepted_by_the_bids_validator(bids):
    validator = Path(sys.executable).with_name("bids-validator-deno")
    done = subprocess.run([validator, bids, "--json"], capture_output=True, text=True)
    issues = json.loads(done.stdout)["issues"]["issues"]
    assert done.returncode == 0 and [issue for issue in issues if issue["severity"] == "error"] == []


def read_losses(printed):
    return [float(loss) for loss in re.findall(r"^step .* loss ([\d.]+)", printed["train.py"].out, re.MULTILINE)]


@pytest.mark.nightly  # the tour ends in such a model too
def test_forty_subjects_end_in_a_model_that_answers_in_the_datas_words(take_five_steps, tmp_path):
    """In a third of the steps that it takes where nobody says how many: these are the next test's."""
    more = {"train.py": ["--max_steps", "100"], "eval.py": ["--bootstrap", "20"]}
    metrics, rows, printed = take_five_steps("--target sex", more=more)
    assert 8 <= metrics["n"] <= 16 and metrics["unparseable"] == 0
    assert {row["parsed_label"] for row in rows} <= {"female", "male"}
    assert (tmp_path / "runs/mine/eval/report.html").stat().st_size > 10_000
    assert read_losses(printed)[0] > 6
    assert re.search(r"^loss 6\.\d+ → 0\.\d+ in 100 steps$", printed["train.py"].out, re.MULTILINE)


@pytest.mark.nightly
def test_forty_subjects_take_the_steps_that_a_model_needs_where_nobody_says_how_many(take_five_steps):
    metrics, rows, printed = take_five_steps("--target sex")
    assert metrics["unparseable"] == 0
    assert {row["parsed_label"] for row in rows} <= {"female", "male"}
    losses = read_losses(printed)
    assert 15 <= len(losses) <= 25 and losses[0] > 6 and losses[-1] < 0.3
    assert re.search(r"^loss 6\.\d+ → 0\.\d+ in 3\d\d steps$", printed["train.py"].out, re.MULTILINE)


@pytest.mark.nightly
def test_forty_ages_end_in_a_model_that_answers_in_years(take_five_steps, tmp_path):
    """In half of the steps that it takes where nobody says how many."""
    more = {"train.py": ["--max_steps", "150"], "eval.py": ["--bootstrap", "20"]}
    metrics, rows, _ = take_five_steps("--target age --unit years", "inspect_labels.py", more=more)
    assert metrics["unparseable"] == 0
    assert {row["parsed_number"] % 5 for row in rows} == {0} and all(20 <= row["parsed_number"] <= 80 for row in rows)
    assert metrics["metrics"]["mae"]["value"] < 20


@pytest.mark.parametrize("n_rows", [20_000, pytest.param(100_000, marks=pytest.mark.nightly)])
def test_a_table_takes_a_time_that_grows_as_its_rows_do_and_less_than_a_gigabyte(n_rows, tmp_path):
    (seconds, _), (more_seconds, kilobytes) = (measure_table(tmp_path / str(n), n) for n in (n_rows // 4, n_rows))
    assert more_seconds < 5 * seconds  # 4, and something for the machine
    assert kilobytes < 1_000_000


def measure_table(folder, n_rows):
    """Processor time in seconds and most memory in kB of a cohort out of a table of so many rows, all of them used."""
    rows = (f"sub-{i:06d},{'MF'[i % 2]},{'ABCD'[i // 7 % 4]},f{i * 2 // 3}" for i in range(n_rows))
    (folder / "scans").mkdir(parents=True)
    (folder / "table.csv").write_text("participant_id,sex,site,family_id\n" + "\n".join(rows) + "\n")
    for i in range(n_rows):
        scan = os.open(folder / f"scans/sub-{i:06d}.nii.gz", os.O_CREAT | os.O_WRONLY)
        os.write(scan, b"\0")  # an empty one is left out
        os.close(scan)
    measure = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL);"
        "usage = resource.getrusage(resource.RUSAGE_CHILDREN);"
        "print(usage.ru_utime + usage.ru_stime, usage.ru_maxrss)"
    )
    command = [
        sys.executable, ROOT / "sample_data/generate_conversations.py", "--participants", folder / "table.csv",
        "--image_template", "scans/{participant_id}.nii.gz", "--target", "sex", "--stratify", "sex,site",
        "--group_by", "family_id", "--jsonl", "--output_dir", folder / "out",
    ]  # fmt: skip
    done = subprocess.run([sys.executable, "-c", measure, *command], capture_output=True, text=True, check=True)
    lines = sum(path.read_bytes().count(b"\n") for path in (folder / "out").glob("*/*.jsonl"))
    assert lines == n_rows
    return tuple(map(float, done.stdout.split()))
