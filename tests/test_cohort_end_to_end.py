"""A BIDS tree of synthetic heads goes through generate, validate, train, evaluate; every model beats its control."""

import json
import os
import subprocess
import sys
from pathlib import Path

import eval as evaluation
import generate_conversations
import numpy as np
import pytest
import train
import validate_json_format
from bids_phantoms import write_bids

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def bids(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohort") / "bids"
    folder.mkdir()
    return write_bids(folder)


@pytest.fixture
def train_and_evaluate(bids, call, tmp_path, capsys):
    """(metrics.json, predictions.jsonl) of a model trained on conversations about the tree."""

    def run(target_flags, *train_flags):
        generate = ("--bids_dir", bids, "--output_dir", tmp_path / "data", "--split", "0.6,0.2,0.2")
        generate += ("--group_by", "family_id", "--stratify", "sex,site", *target_flags)
        assert generate_conversations.main([*map(str, generate)]) in (None, 0)
        capsys.readouterr()
        assert validate_json_format.main([str(tmp_path / "data"), "--check_images"]) == 0
        assert "VALIDATION PASSED" in capsys.readouterr().out
        flags = ("--json_dir", "data", "--volume_cache", "cache")
        call(
            train, *flags, "--output_dir", "model", "--max_length", 512, "--learning_rate", "1e-3",
            "--lr_scheduler_type", "cosine", "--warmup_steps", 10, "--save_strategy", "no", "--report_to", "none",
            "--disable_tqdm", "true", "--seed", 0, *train_flags,
        )  # fmt: skip
        call(evaluation, *flags, "--model_name_or_path", "model", "--max_new_tokens", 12)
        with open(tmp_path / "model/eval/predictions.jsonl") as file:
            metrics = json.loads((tmp_path / "model/eval/metrics.json").read_text())
            return metrics, [json.loads(line) for line in file]

    return run


def test_the_tree_is_accepted_by_the_bids_validator(bids):
    validator = Path(sys.executable).with_name("bids-validator-deno")
    done = subprocess.run([validator, bids, "--json"], capture_output=True, text=True)
    issues = json.loads(done.stdout)["issues"]["issues"]
    assert done.returncode == 0 and [issue for issue in issues if issue["severity"] == "error"] == []


def test_sex_with_a_reference_beats_exchanged_scans(train_and_evaluate):
    flags = ("--target", "sex", "--reference", "both", "--answer", "{value}")
    metrics, _ = train_and_evaluate(flags, "--batch_size", 8, "--epochs", 10)
    assert metrics["n"] == 48
    assert metrics["accuracy"] >= max(0.8, metrics["accuracy_scans_shuffled"] + 0.2)


def test_age_as_a_number_beats_exchanged_scans_and_the_mean(train_and_evaluate):
    flags = ("--target", "age", "--answer", "{value_with_unit}")
    metrics, predictions = train_and_evaluate(flags, "--batch_size", 6, "--epochs", 25)
    expected = np.array([row["expected_number"] for row in predictions])
    parsed = np.array([row["parsed_number"] for row in predictions])
    assert metrics["n"] == 24 and metrics["unparseable"] == 0
    error = np.abs(parsed - expected).mean()
    # One scan a row: the answers with exchanged scans are the exchanged answers; two rows are one subject's.
    exchanged = np.mean([np.abs(np.roll(parsed, 2 * shift) - expected).mean() for shift in range(1, 12)])
    assert error < 0.75 * exchanged
    assert error < 0.9 * np.abs(expected.mean() - expected).mean()


def test_change_between_sessions_beats_exchanged_scans(train_and_evaluate):
    flags = ("--target", "ventricle_size", "--change", "direction", "--answer", "{value}")
    metrics, _ = train_and_evaluate(flags, "--batch_size", 6, "--epochs", 30)
    assert metrics["n"] == 12
    assert metrics["accuracy"] >= max(0.8, metrics["accuracy_scans_shuffled"] + 0.2)


def test_a_table_of_100000_rows_takes_less_than_a_minute_and_a_gigabyte(tmp_path):
    rows = (f"sub-{i:06d},{'MF'[i % 2]},{'ABCD'[i // 7 % 4]},f{i * 2 // 3}" for i in range(100_000))
    (tmp_path / "table.csv").write_text("participant_id,sex,site,family_id\n" + "\n".join(rows) + "\n")
    (tmp_path / "scans").mkdir()
    for i in range(100_000):
        os.close(os.open(tmp_path / f"scans/sub-{i:06d}.nii.gz", os.O_CREAT | os.O_WRONLY))
    measure = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL);"
        "usage = resource.getrusage(resource.RUSAGE_CHILDREN);"
        "print(usage.ru_utime + usage.ru_stime, usage.ru_maxrss)"
    )
    command = [
        sys.executable, ROOT / "sample_data/generate_conversations.py", "--participants", tmp_path / "table.csv",
        "--image_template", "scans/{participant_id}.nii.gz", "--target", "sex", "--stratify", "sex,site",
        "--group_by", "family_id", "--jsonl", "--output_dir", tmp_path / "out",
    ]  # fmt: skip
    done = subprocess.run([sys.executable, "-c", measure, *command], capture_output=True, text=True, check=True)
    processor_seconds, kilobytes = map(float, done.stdout.split())
    assert processor_seconds < 60
    assert kilobytes < 1_000_000
    lines = sum(path.read_bytes().count(b"\n") for path in (tmp_path / "out").glob("*/*.jsonl"))
    assert lines == 100_000
