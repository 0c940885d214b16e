"""cross_validate.py: what the folds come to together, and how they are run: once, on after a stop, unmixed."""

import fcntl
import json
import math
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import cross_validate
import eval as evaluation
import numpy as np
import pytest
import train
from page_probe import needs_chromium, probe
from scipy.stats import norm, t
from site_cohort import write_sites
from sklearn.metrics import balanced_accuracy_score

from umbrella.evaluation.folds.commands import choose_gpu
from umbrella.evaluation.folds.plan import PLAN
from umbrella.evaluation.folds.wording import say_group, say_pooled
from umbrella.evaluation.statistics.intervals import wilson
from umbrella.evaluation.statistics.measures import ACCURACY, measure_errors
from umbrella.evaluation.statistics.resampled import corrected_interval

pytestmark = pytest.mark.slow  # each fold is a process

# Stand in for train.py and eval.py where the claim is about starting, stopping and pooling them, not about models.
TRAINS = """
import pathlib, sys, time
flags = dict(zip(sys.argv[1::2], sys.argv[2::2]))
folder = pathlib.Path(flags["--output_dir"])
folder.mkdir(parents=True)
(folder / "config.json").write_text(flags["--seed"])
print("trained with", flags["--learning_rate"])
if pathlib.Path("fail").exists():
    raise SystemExit("no luck")
time.sleep(float(pathlib.Path("seconds").read_text()) if pathlib.Path("seconds").exists() else 0)
"""
EVALUATES = """
import json, pathlib, sys
flags = dict(zip(sys.argv[1:11:2], sys.argv[2:11:2]))
labels = sys.argv[-2:]
assert pathlib.Path(flags["--model_name_or_path"], "config.json").is_file() and labels == ["behind", "front"]
folder, records = pathlib.Path(flags["--output_dir"]), []
folder.mkdir(parents=True)
for line in pathlib.Path(flags["--json_dir"], "test/test.jsonl").read_text().splitlines():
    record = json.loads(line)
    subject, truth = record["subject_ids"][0], record["metadata"]["subject_label"]
    hit = int(subject[4:]) % 4 or "without" in str(folder) and record["metadata"]["site"] != "C"
    said = truth if hit else labels[truth == labels[0]]
    records.append({"task_id": record["task_id"], "subject_id": subject, "prediction": said, "answer": truth,
                    "parsed_label": said, "expected_label": truth, "probabilities": dict.fromkeys(labels, 0.5)})
text = "".join(json.dumps(record) + "\\n" for record in records)
(folder / "predictions.jsonl").write_text(text)
metrics = {"metrics": {"accuracy": {"value": 0.5}}, "leakage": "No subject id is in the training data."}
(folder / "metrics.json").write_text(json.dumps(metrics))
"""


AGREED = {"accuracy": 1.0, "interval": None, "interval_of_these_models": (0.9, 1.0), "n": 40, "n_subjects": 40}
AGREED |= {"n_folds": 5, "n_repeats": 1, "of_folds": {"least": 1.0, "most": 1.0}}


@pytest.fixture(scope="module")
def sites(tmp_path_factory):
    """40 subjects of three sites, all of which have a label."""
    return write_sites(tmp_path_factory.mktemp("sites") / "data", {"A": 16, "B": 12, "C": 12})


@pytest.fixture
def stand_ins(tmp_path, monkeypatch):
    """A folder with stand-ins for the two recipes beside cross_validate.py."""
    (tmp_path / "train.py").write_text(TRAINS)
    (tmp_path / "eval.py").write_text(EVALUATES)
    monkeypatch.setattr(cross_validate, "__file__", str(tmp_path / "cross_validate.py"))
    return tmp_path


@pytest.fixture
def validate(call, sites, stand_ins):
    def validate(*flags, learning_rate="1e-3"):
        given = ("--json_dir", sites, "--output_dir", "folds", "--learning_rate", learning_rate)
        asked = () if "--eval_flags" in flags else ("--eval_flags", "bootstrap=20")
        return call(cross_validate, *given, *asked, *flags)

    return validate


def test_the_held_out_rows_are_pooled_each_subject_once_a_repeat(validate, tmp_path):
    """One subject in four is wrong."""
    out = validate("--repeats", 2, "--jobs", 2)
    metrics = json.loads((tmp_path / "folds/metrics.json").read_text())
    pooled = metrics["pooled"]
    assert (pooled["accuracy"], pooled["n"], pooled["n_subjects"]) == (0.75, 40, 40)
    assert (pooled["n_folds"], pooled["n_repeats"], pooled["of_repeats"]) == (5, 2, [0.75, 0.75])
    lines = [json.loads(line) for line in (tmp_path / "folds/predictions.jsonl").read_text().splitlines()]
    for repeat in (1, 2):
        assert sorted(line["subject_id"] for line in lines if line["repeat"] == repeat) == [
            f"sub-{i:03d}" for i in range(40)
        ]
    truths, said = ([line[name] for line in lines] for name in ("expected_label", "parsed_label"))
    balanced = pooled["metrics"]["balanced_accuracy"]["value"]
    assert balanced == pytest.approx(balanced_accuracy_score(truths, said))
    by_fold = [entry["accuracy"] for entry in metrics["folds"]]
    half = t.ppf(0.975, 9) * math.sqrt((1 / 10 + 8 / 32) * np.var(by_fold, ddof=1))
    assert pooled["interval"] == pytest.approx([0.75 - half, min(1, 0.75 + half)])
    low, high = pooled["interval_of_these_models"]
    assert (low, high) == pytest.approx(wilson(0.75, 40), abs=0.01)  # 80 answers, but 40 subjects
    assert "each subject once in each of 2 repeats: 75.0 % (40 rows of 40 subjects, 5 folds)" in out
    assert "Always answering the commonest label in training would get" in out
    seeds = {name: (tmp_path / f"folds/{name}/model/config.json").read_text() for name in
             ("repeat_1_fold_1", "repeat_1_fold_5", "repeat_2_fold_1")}  # fmt: skip
    assert list(seeds.values()) == ["42", "42", "43"]  # the Trainer's default, and the next


def test_a_site_that_is_left_out_stands_beside_the_same_rows_with_others_of_it_in_training(validate, tmp_path):
    """Where a site is left out all are right but those of C, of whom one in four is wrong, as in random folds."""
    out = validate("--by", "site", "--drop_models", "true")
    groups = {group["group"]: group for group in json.loads((tmp_path / "folds/metrics.json").read_text())["groups"]}
    assert [groups[name]["accuracy"] for name in "ABC"] == [1.0, 1.0, 0.75]
    assert [groups[name]["beside"]["accuracy"] for name in "ABC"] == [0.75, 0.75, 0.75]
    assert groups["A"]["beside"]["paired"]["difference"] == 0.25
    assert groups["C"]["beside"]["paired"]["difference"] == 0
    tests = [groups[name]["beside"]["paired"] for name in "ABC"]  # one family: the strictest of Holm's steps is 3
    assert [test["n_tests"] for test in tests] == [3] * 3
    assert min(test["p_holm"] for test in tests) == 3 * min(test["p"] for test in tests) and "over 3 tests p" in out
    assert "Site 'C' left out: accuracy 75.0 % (95 % interval" in out
    assert "Difference in accuracy +25.0 points, 95 % interval" in out
    page = (tmp_path / "folds/report.html").read_text(encoding="utf-8")
    assert "Each site left out" in page and "another seed may differ" in page
    assert not list((tmp_path / "folds").glob("*/model"))


def test_without_random_folds_the_cost_of_a_site_is_said_not_to_be_known(validate):
    out = validate("--by", "site", "--folds", 0)
    assert out.count("What leaving it out costs is not known") == 3


def test_what_is_done_is_not_run_again_and_a_changed_recipe_is_refused(validate, tmp_path, sites):
    out = validate("--fold", 2)
    assert "repeat 1 fold 2: done" in out and "--collect true" in out
    with pytest.raises(SystemExit, match="found 1; missing: repeat 1 fold 1, repeat 1 fold 3"):
        validate("--collect", "true")
    with pytest.raises(SystemExit, match=r"plan\.json: expected folds of the same recipe as now, 2e-3; found 1e-3"):
        validate(learning_rate="2e-3")
    with pytest.raises(SystemExit, match="expected folds of the same folds as now, 4; found None"):
        validate("--folds", 4)
    before = (tmp_path / "folds/repeat_1_fold_2/model/config.json").stat().st_mtime_ns
    assert "repeat 1 fold 2: done before, accuracy 0.500" in validate()
    assert (tmp_path / "folds/repeat_1_fold_2/model/config.json").stat().st_mtime_ns == before
    record = sites / "train" / "sub-000.json"
    text = record.read_text()
    record.write_text(text.replace("Is the cyst", "Is that cyst"))
    try:
        with pytest.raises(SystemExit, match=r"plan\.json: expected folds of the same data as now"):
            validate("--collect", "true")
    finally:
        record.write_text(text)
    validate("--collect", "true")


def test_a_failed_run_is_shown_with_the_end_of_its_log_and_gone_on_from(validate, tmp_path):
    (tmp_path / "fail").touch()
    with pytest.raises(SystemExit, match=r"(?s)repeat 1 fold 1: expected train.py to end well.*no luck"):
        validate()
    assert not (tmp_path / "folds/repeat_1_fold_2").exists()  # nothing more was started
    (tmp_path / "fail").unlink()
    assert "75.0 % (40 rows" in validate()


def test_other_folders_and_flags_are_refused(validate, call, tmp_path, monkeypatch):
    with pytest.raises(SystemExit, match="expected 1 to 5, the folds that there are, found 6"):
        validate("--fold", 6)
    (tmp_path / "folds").mkdir()
    (tmp_path / "folds" / "thesis.tex").touch()
    with pytest.raises(SystemExit, match=f"expected a new or empty folder, or one with {PLAN}, found thesis.tex"):
        validate()
    with pytest.raises(SystemExit, match="--eval_flags: expected split to be left out"):
        validate("--eval_flags", "split=test")
    with pytest.raises(SystemExit):  # said by eval.py's own parser
        validate("--eval_flags", "contrels=false")
    with pytest.raises(SystemExit, match="--dataset_name: expected --json_dir FOLDER"):
        call(cross_validate, "--dataset_name", "me/heads", "--output_dir", "folds")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(SystemExit, match="--launcher: expected what starts several processes"):
        validate()
    monkeypatch.delenv("WORLD_SIZE")
    with pytest.raises(SystemExit, match="--check_batch: expected it to be left out"):
        validate("--check_batch", "true")


def test_sigterm_is_handed_on_and_the_same_command_goes_on(validate, tmp_path):
    """A training that knows no SIGTERM dies of it; one that another process runs is left to that."""
    (tmp_path / "seconds").write_text("60")
    log = tmp_path / "folds/repeat_1_fold_1/train.log"

    def tell_to_end():
        while not log.exists() or not log.read_text():
            time.sleep(0.02)
        (tmp_path / "seconds").unlink()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=tell_to_end).start()
    with pytest.raises(SystemExit) as end:
        validate("--folds", "2")
    assert end.value.code == 75
    with (tmp_path / "folds/repeat_1_fold_1/.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        out = validate("--folds", "2")
        assert "repeat 1 fold 1: another process is running it" in out and "repeat 1 fold 2: done" in out
    assert "75.0 % (40 rows of 40 subjects, 2 folds)" in validate("--folds", "2")


def test_each_run_gets_a_gpu_of_its_own_where_there_are_several():
    assert [choose_gpu(slot, {}, 2, None) for slot in range(3)] == [
        {"CUDA_VISIBLE_DEVICES": gpu} for gpu in ("0", "1", "0")
    ]
    assert choose_gpu(1, {"CUDA_VISIBLE_DEVICES": "4,6"}, 2, None) == {"CUDA_VISIBLE_DEVICES": "6"}
    assert choose_gpu(1, {}, 1, None) == choose_gpu(1, {}, 8, "accelerate launch") == {}


# ------------------------------------------------------------------------------------------------ the interval


def test_no_interval_is_claimed_where_folds_agree_or_are_one():
    assert corrected_interval([0.5], 0.25) is None
    assert "no interval, since all folds came to the same" in "".join(say_pooled(AGREED, ACCURACY))
    assert corrected_interval([0.5, 0.5, 0.5], 0.5) is None
    assert corrected_interval([0.0, 1.0], 1.0, 1.0) == (0.0, 1.0)


def test_answers_that_cannot_be_read_are_told_of_for_numbers_and_for_left_out_groups_too():
    years, unread = measure_errors([20.0, 60.0]), {"unparseable": 3, "unread": 2, "beside": None, "group": "A"}
    said = say_pooled(AGREED | unread | {"mae": 40.0}, years)
    assert "3 of 40 answers could not be read: each counts as the true number farthest from its own." in said
    group = AGREED | unread | {"interval": (0.9, 1.0)}
    assert "2 of 40 answers could not be read: they count as wrong." in say_group("site", group, ACCURACY)
    assert "could not be read" not in say_group("site", group | {"unread": 0}, ACCURACY)


def test_over_new_training_sets_the_corrected_interval_covers_where_that_over_subjects_does_not():
    """Nearest means of 50 features in 100 subjects, 5 folds. What is to be covered is the accuracy that such training
    sets come to on average, which is known for each set of means."""
    draw, n, n_folds, direction = np.random.default_rng(1), 100, 5, np.eye(50)[0] / 2
    sides = np.arange(n) % 2 * 2 - 1

    def train_on(features, labels):
        means = [features[labels == side].mean(axis=0) for side in (1, -1)]
        return means[0] - means[1], -(means[0] + means[1]) @ (means[0] - means[1]) / 2

    def sample(n_subjects):
        labels = np.arange(n_subjects) % 2 * 2 - 1
        return draw.normal(size=(n_subjects, 50)) + labels[:, None] * direction, labels

    fits = [train_on(*sample(80)) for _ in range(1000)]
    truth = np.mean([norm.cdf((w @ direction + side * b) / np.linalg.norm(w)) for w, b in fits for side in (1, -1)])
    covered = {"subjects": 0, "corrected": 0}
    for _ in range(400):
        features, labels = sample(n)
        fold_of = np.concatenate([draw.permutation(n // 2) % n_folds for _ in range(2)]).reshape(2, -1).T.ravel()
        hits = np.zeros(n)
        for fold in range(n_folds):
            w, b = train_on(features[fold_of != fold], labels[fold_of != fold])
            hits[fold_of == fold] = (features[fold_of == fold] @ w + b) * sides[fold_of == fold] > 0
        low, high = wilson(hits.mean(), n)
        covered["subjects"] += low <= truth <= high
        ends = corrected_interval([hits[fold_of == fold].mean() for fold in range(n_folds)], 1 / 4, 1.0)
        covered["corrected"] += ends is not None and ends[0] <= truth <= ends[1]
    assert covered["subjects"] < 0.92 * 400  # 88 % in 1,000 others
    assert covered["corrected"] > 0.93 * 400  # 96 %


# ------------------------------------------------------------------------------------------------ the real runs


@pytest.mark.slow
def test_a_folds_commands_are_flags_of_train_and_eval_and_leave_no_subject_to_both(call, tmp_path, monkeypatch):
    """Two folds of real runs of a few steps, in this process."""
    data = write_sites(tmp_path / "data", {"A": 12, "B": 12}, split=lambda number: ("train", "test")[number % 2])
    started = []

    def run_here(self, one, slot, lock):
        while (step := one.next_step()) is not None:
            command = one.prepare(step)[1:]
            started.append(command)
            with monkeypatch.context() as patch:
                patch.setattr(sys, "argv", command)
                {"train.py": train, "eval.py": evaluation}[Path(command[0]).name].main()
            one.finish(step)
        os.close(lock)
        return True

    monkeypatch.setattr("umbrella.evaluation.folds.running.FoldRunner._start", run_here)
    (tmp_path / "recipe.yaml").write_text(
        "model_name_or_path: tiny\nmax_length: 256\nmax_steps: 3\nreport_to: none\nsave_strategy: 'no'\n"
        "eval_strategy: epoch\neval_answers: 2\nuse_cpu: true\nper_device_train_batch_size: 4\n"
    )
    asked = "controls=false baselines=false max_new_tokens=4 bootstrap=20 site_tell=site"
    flags = ["--output_dir", "folds", "--folds", 2, "--validation", 0.2, "--eval_flags", asked]
    out = call(cross_validate, "recipe.yaml", "--json_dir", data, *flags)
    metrics = json.loads((tmp_path / "folds/metrics.json").read_text())
    assert (metrics["pooled"]["n"], metrics["pooled"]["n_subjects"]) == (24, 24)
    assert metrics["leakage"] == ["No subject id of the evaluated rows, references included, is in the training data."]
    assert [entry["n_validation_subjects"] for entry in metrics["folds"]] == [2, 2]
    assert "24 of 24 answers could not be read" in out
    assert [Path(command[0]).name for command in started] == ["train.py", "eval.py"] * 2
    told = json.loads((tmp_path / "folds/repeat_1_fold_1/eval/metrics.json").read_text())["evidence"]["site_tell"]
    assert sum((told["groups"] | told["left_out"]).values()) == 12
    report = (tmp_path / "folds/repeat_1_fold_1/eval/report.html").read_text(encoding="utf-8")
    assert "Can site be told from the scans?" in report and told["sentences"][0][:40] in report


@needs_chromium
@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 375])
def test_the_page_is_sound_on_a_desk_and_on_a_phone(validate, tmp_path, width):
    validate("--by", "site", "--repeats", 2)
    assert probe(tmp_path / "folds/report.html", width, tmp_path) == ("[]", [])


@pytest.mark.nightly
def test_the_site_with_another_contrast_shows_the_drop(tmp_path):
    """Whole processes: three sites, one of which has T2 where the others have T1."""
    data = write_sites(tmp_path / "data", {"A": 16, "B": 16, "C": 16}, t2=("C",))
    recipe = "--model_name_or_path tiny --max_length 256 --max_steps 100 --batch_size 8 --learning_rate 2e-3 "
    recipe += "--lr_scheduler_type cosine --warmup_steps 10 --save_strategy no --report_to none --by site"
    command = [sys.executable, cross_validate.__file__, "--json_dir", data, "--output_dir", tmp_path / "folds"]
    asked = "controls=false baselines=false max_new_tokens=24"
    subprocess.run([*command, *shlex.split(recipe), "--eval_flags", asked], check=True, timeout=3600)
    groups = json.loads((tmp_path / "folds/metrics.json").read_text())["groups"]
    by_site = {group["group"]: group["beside"]["paired"] for group in groups}
    assert by_site["C"]["outcome"] == "worse" and by_site["C"]["difference"] < -0.3
    assert all(by_site[site]["interval"][1] > -0.1 for site in "AB")


@pytest.mark.nightly
def test_five_folds_of_forty_subjects_pool_each_subject_once(tmp_path):
    data = write_sites(tmp_path / "data", {"A": 20, "B": 20})
    recipe = "--model_name_or_path tiny --max_length 256 --max_steps 100 --batch_size 8 --learning_rate 2e-3 "
    recipe += "--lr_scheduler_type cosine --warmup_steps 10 --save_strategy no --report_to none --folds 5"
    command = [sys.executable, cross_validate.__file__, "--json_dir", data, "--output_dir", tmp_path / "folds"]
    asked = "controls=false baselines=false max_new_tokens=24"
    subprocess.run([*command, *shlex.split(recipe), "--eval_flags", asked], check=True, timeout=3600)
    pooled = json.loads((tmp_path / "folds/metrics.json").read_text())["pooled"]
    assert (pooled["n"], pooled["n_subjects"]) == (40, 40) and pooled["accuracy"] > 0.8
