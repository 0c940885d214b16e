"""The main job: conversations in, a trained and evaluated model out; on real scans, and to its figures."""

import importlib.util
import json
from pathlib import Path

import eval as evaluation
import generate_longitudinal_change_conversations as generator
import numpy as np
import pytest
import sample_folder
import train
from forking import launch_forked
from launching import BIN, ROOT, find_free_port
from sample_folder import write_sample_folder

from umbrella.cohort.questions.writer import Phrasings


def package_folder(name):
    return Path(importlib.util.find_spec(name).submodule_search_locations[0])


def make_conversation(task_id, label, scans):
    """One exchange a scan; `scans` is [(path, modality)]."""
    turns = []
    for path, modality in scans:
        turns += [
            {
                "role": "user",
                "content": [
                    {"type": "image", "modality": modality, "image_path": str(path)},
                    {"type": "text", "text": "Is this head or function?"},
                ],
            },
            {"role": "assistant", "content": [{"type": "text", "text": f"This is {label}."}]},
        ]
    return {
        "task_id": task_id,
        "task_type": "T1",
        "subject_ids": [task_id] * len(scans),
        "modalities": [modality for _, modality in scans],
        "images": [{"path": str(path), "token": "<image>", "modality": modality} for path, modality in scans],
        "conversations": turns,
        "metadata": {"subject_id": task_id, "subject_label": label},
    }


@pytest.mark.slow
def test_real_scans_are_built_trained_on_and_evaluated(call, tmp_path):
    mni152 = package_folder("nilearn") / "datasets/data/mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz"
    nibabel_data = package_folder("nibabel") / "tests/data"
    anatomical, functional = nibabel_data / "anatomical.nii", nibabel_data / "functional.nii"
    for split in ("train", "test"):
        rows = [
            make_conversation(f"{split}-mni152", "head", [(mni152, "sMRI")]),
            make_conversation(f"{split}-anatomical", "head", [(anatomical, "sMRI")]),
            make_conversation(f"{split}-functional", "function", [(functional, "fMRI")]),
            make_conversation(f"{split}-both", "function", [(anatomical, "sMRI"), (functional, "fMRI")]),
        ]
        (tmp_path / "data" / split).mkdir(parents=True)
        (tmp_path / "data" / split / "real.jsonl").write_text("\n".join(map(json.dumps, rows)))
    flags = ("--max_steps", 2, "--batch_size", 2, "--learning_rate", "1e-3", "--view", "triplanar")
    call(train, "--json_dir", "data", "--output_dir", "run", *flags)
    history = json.loads((tmp_path / "run/trainer_state.json").read_text())["log_history"]
    assert history[-1]["step"] == 2
    call(evaluation, "--model_name_or_path", "run", "--json_dir", "data", "--split", "test", "--bootstrap", 20)
    predictions = [json.loads(line) for line in (tmp_path / "run/eval/predictions.jsonl").read_text().splitlines()]
    assert [line["task_id"] for line in predictions] == [
        f"test-{name}" for name in ("mni152", "anatomical", "functional", "both")
    ]
    assert json.loads((tmp_path / "run/eval/metrics.json").read_text())["n"] == 4


def get_flags(data, tmp_path):
    """For train.py: a generator's default data, a cache beside the run, no evaluation on the way."""
    folders = ("--json_dir", data, "--volume_cache", tmp_path / "cache", "--output_dir", tmp_path / "run")
    return (*folders, "--eval_strategy", "no", "--report_to", "none")


def evaluate(call, data, tmp_path):
    """metrics.json of the run on the split `test`, the controls on half of its rows."""
    flags = ("--json_dir", data, "--volume_cache", "cache", "--controls_n", 100)
    flags += ("--bootstrap", 20, "--baselines", "false", "--report", "false")
    call(evaluation, "--model_name_or_path", "run", "--split", "test", *flags)
    return json.loads((tmp_path / "run/eval/metrics.json").read_text())


@pytest.mark.slow
def test_quickstart_on_two_processes_learns_sex_and_falls_to_chance_with_other_scans(call, default_run, tmp_path):
    data = default_run("sex_comparison")[0]
    accelerate = [BIN / "accelerate", "launch", "--config_file", "ds_configs/accelerate_zero2.yaml"]
    accelerate += ["--main_process_port", find_free_port()]
    train_quickstart = ["recipes/train.py", "recipes/configs/quickstart.yaml", *get_flags(data, tmp_path)]
    out = launch_forked([*accelerate, *train_quickstart], ROOT)
    assert out.count("world size: 2") == 2
    metrics = evaluate(call, data, tmp_path)
    assert metrics["n"] == 200
    assert metrics["accuracy"] >= 0.95
    assert 0.35 <= metrics["accuracy_scans_shuffled"] <= 0.65


def write_longitudinal(folder, n_train, n_test):
    """So many subjects of the generator's training and test split, two rows each: all 900 heads take a minute."""
    records, scans = {"validation": []}, []
    for split, first_number, n_subjects in (("train", 1, n_train), ("test", 201, n_test)):
        records[split], of_split = generator.plan_split(split, first_number, n_subjects, seed=0)
        scans += of_split
    write_sample_folder(folder, records, scans)
    (folder / "validation").rmdir()
    return folder


def check_longitudinal(call, data, tmp_path, *flags):
    """Train by the recipe and hold the model to the recipe's figures; returns metrics.json."""
    call(train, ROOT / "recipes/configs/longitudinal.yaml", *get_flags(data, tmp_path), *flags)
    metrics = evaluate(call, data, tmp_path)
    assert metrics["accuracy"] >= 0.90
    assert metrics["accuracy_reference_reversed"] <= 0.15
    return metrics


@pytest.mark.nightly
@pytest.mark.nightly
def test_longitudinal_recipe_uses_the_first_scan(call, tmp_path):
    data = write_longitudinal(tmp_path / "data", 100, 30)
    assert check_longitudinal(call, data, tmp_path)["n"] == 60


def draw_ball(anatomy, acquisition, *_):
    """A ball in a shell, the brighter the larger the head's ventricles, and a little noise: int16 (28, 32, 20)."""
    x, y, z = np.ogrid[-1:1:28j, -1:1:32j, -1:1:20j]
    radius = np.sqrt(x**2 + y**2 + z**2)
    image = np.where(radius < 0.75, 8000 * anatomy.ventricle_size, np.where(radius < 0.95, 1000, 0))
    return (image + np.random.default_rng(acquisition.noise_seed).integers(0, 60, image.shape)).astype(np.int16)


def step_sizes(_, n_subjects):
    """Five sizes, equally far from each other: who sees the second scan alone is right in five rows of six at most."""
    first = np.resize([1 / 16, 2 / 16, 3 / 16], n_subjects)
    return np.stack([first, first + 1 / 16, first - 1 / 16], axis=1)


@pytest.mark.slow
def test_longitudinal_recipe_uses_the_first_of_two_plain_scans(call, tmp_path, monkeypatch):
    """In all its epochs, of few rows: balls and one wording are learned in a tenth of the time that heads take."""
    monkeypatch.setattr(sample_folder, "make_scan", draw_ball)
    monkeypatch.setattr(generator, "draw_sizes", step_sizes)
    wording = Phrasings(("First.",), ("Noted.",), ("Grown or shrunk?",), ("{subject_label}",))
    monkeypatch.setattr(generator, "PHRASINGS", wording)
    data = write_longitudinal(tmp_path / "data", 6, 12)
    fewer = ("--per_device_train_batch_size", 4, "--dataloader_num_workers", 0)
    metrics = check_longitudinal(call, data, tmp_path, *fewer)
    assert (metrics["n"], metrics["controls"]["reference_reversed"]["n"]) == (24, 8)
