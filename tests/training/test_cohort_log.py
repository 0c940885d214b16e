"""The loss and the shares of each of several cohorts, beside a training loss that is what it would be without."""

import json
from dataclasses import replace

import eval as evaluation
import pytest
import torch
import train
from accelerate import Accelerator
from conversation_folder import make_record, write_scan
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny_trainer import build_trainer, trainer_parts

from umbrella.models.loading import load_model, load_processor
from umbrella.options.data.cohort_flags import CohortPlace
from umbrella.records.run import read_run_record
from umbrella.rows.batches.cohorts import Cohorts
from umbrella.rows.cohort_names import cohort_of
from umbrella.rows.collator import ConversationCollator, without_names
from umbrella.rows.mixing import join_cohorts
from umbrella.rows.transform import ConversationTransform
from umbrella.training.batches.cohort_log import CohortLog, describe_cohorts
from umbrella.training.batches.token_loss import sum_rows, supervised_loss
from umbrella.training.checkpoints import read_marker
from umbrella_dataset import load_umbrella

LENGTHS = {"A": 0, "B": 9, "C": 4}  # more sentences of an answer
SIZES = {"A": 6, "B": 4, "C": 2}
PLACES = [CohortPlace("A", "A", 0.5), CohortPlace("B", "B", 0.25), CohortPlace("C", "C", 0.25)]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Three cohorts, train and validation, of different subjects and with answers of different length."""
    root = tmp_path_factory.mktemp("cohorts")
    for name, size in SIZES.items():
        for split in ("train", "validation"):
            (root / name / split).mkdir(parents=True)
            for number in range(size):
                record = make_record(f"row_{number}", ["scan.nii"])
                record["subject_ids"] = [f"{name} {split} {number}"]
                record["metadata"]["subject_id"] = record["subject_ids"][0]
                label = record["metadata"]["subject_label"] = ("female", "male")[number % 2]
                text = f"{'Look. ' * LENGTHS[name]}The subject is {label}."
                record["conversations"][-1]["content"][0]["text"] = text
                (root / name / split / f"{number}.json").write_text(json.dumps(record))
        write_scan(root / name / "scan.nii", size)
    return root


@pytest.fixture(scope="module")
def splits(folders):
    splits, said = join_cohorts({name: load_umbrella(folders / name) for name in SIZES}, None)
    assert said == []
    splits.set_transform(ConversationTransform(load_processor("tiny")))
    return splits


def build(splits, output_dir, **options):
    parts = trainer_parts()
    cohorts = Cohorts.of(splits["train"], PLACES)
    provenance = replace(parts["provenance"], cohorts=cohorts)
    options = {"logging_steps": 1, "per_device_eval_batch_size": 5, "seed": 1} | options
    return build_trainer(splits["train"], output_dir, splits["validation"], provenance=provenance, **options)


def measure_losses(rows):
    """Cohort → the mean loss of its rows' supervised tokens, by the model's own loss of each row alone."""
    model, collate, sums = load_model("tiny", seed=0), ConversationCollator(load_processor("tiny")), {}
    for row in rows:
        with torch.no_grad():
            loss = model(**collate([row])).loss.item()
        n = sum(label != -100 for label in row["labels"][1:])
        total, tokens = sums.get(cohort_of(row["task_id"]), (0, 0))
        sums[cohort_of(row["task_id"])] = total + n * loss, tokens + n
    return {name: total / tokens for name, (total, tokens) in sums.items()}


@pytest.mark.parametrize("trains", [True, False])
def test_blank_rows_are_of_no_cohort(trains):
    log = CohortLog(["a", "b"], Accelerator(cpu=True))
    batch = {"attention_mask": torch.ones(3, 4), "labels": torch.full((3, 4), 5)}
    log.add(["a/1", None, "b/1"], batch, torch.tensor([3.0, 100.0, 9.0]), trains=trains)
    found = log.take() if trains else log.take_evaluation()
    assert (found["loss_a"], found["loss_b"]) == (1.0, 3.0)
    assert not trains or found["loss_share_a"] == 0.25


def test_the_loss_that_is_trained_is_the_same_to_its_last_bit(splits):
    processor = load_processor("tiny")
    examples = [splits["train"][index] for index in (0, 7, 11)]
    batch = without_names(ConversationCollator(processor, keep_metadata=True)(examples))
    found, gradients = [], []
    for watch in (None, found.append):
        model = load_model("tiny", seed=0).train()
        loss, outputs = supervised_loss(model, batch, 17, True, 0.1, watch)
        loss.backward()
        gradients.append([loss.detach(), *(value.grad for value in model.parameters() if value.grad is not None)])
    assert all(torch.equal(one, other) for one, other in zip(*gradients, strict=True))
    assert found[0].sum().item() == pytest.approx(17 * loss.item(), rel=1e-5)
    assert not found[0].requires_grad
    labels = torch.tensor([[-100, -100]])
    assert sum_rows(outputs.logits[:1, :2], labels).tolist() == [0.0]


@pytest.mark.slow
def test_each_cohorts_loss_is_that_of_its_rows_alone(splits, tmp_path):
    trainer = build(splits, tmp_path, max_steps=1)
    evaluated, expected = trainer.evaluate(), measure_losses(splits["validation"])
    for name, loss in expected.items():
        assert evaluated[f"eval_loss_{name}"] == pytest.approx(loss, rel=1e-5)
    assert len(set(map("{:.3f}".format, expected.values()))) == 3  # they differ: none is taken for another
    trainer.train()
    (first, *_), seen = trainer.state.log_history, [name for batch in trainer.seen for name in batch]
    rows = [row for row in splits["train"] if row["task_id"] in seen]
    for name, loss in measure_losses(rows).items():
        assert first[f"loss_{name}"] == pytest.approx(loss, rel=1e-5)


@pytest.mark.slow
def test_shares_are_those_of_the_weights_and_add_up(splits, tmp_path):
    trainer = build(splits, tmp_path, num_train_epochs=2)
    trainer.train()
    assert len(trainer.seen) == 12
    for epoch in (trainer.seen[:6], trainer.seen[6:]):
        names = [cohort_of(name) for batch in epoch for name in batch]
        assert {name: names.count(name) for name in SIZES} == {"A": 6, "B": 3, "C": 3}
    measured = trainer.cohort_log.measure()
    for kind in ("row", "token", "loss"):
        assert sum(measured[f"{kind}_share_{name}"] for name in SIZES) == pytest.approx(1)
    assert [measured[f"row_share_{name}"] for name in SIZES] == [0.5, 0.25, 0.25]
    lengths = {cohort_of(row["task_id"]): len(row["input_ids"]) for row in splits["train"]}
    tokens = {name: share * lengths[name] for name, share in zip(SIZES, (2, 1, 1), strict=True)}
    for name, n in tokens.items():
        assert measured[f"token_share_{name}"] == pytest.approx(n / sum(tokens.values()))
    for entry in trainer.state.log_history[:-1]:  # a step's loss is the mean over all of its tokens
        shares = {name: entry.get(f"loss_share_{name}") for name in SIZES if f"loss_{name}" in entry}
        assert sum(shares.values()) == pytest.approx(1)
    table = describe_cohorts([*SIZES], measured)
    assert table[0].startswith("cohort A  50.0% of the rows, ")
    assert describe_cohorts((), {}) == []


FLAGS = ("--batch_size", 2, "--learning_rate", "1e-3", "--max_length", 256, "--logging_steps", 1, "--eval_answers", 0)
FLAGS += (
    "--max_steps",
    2,
    "--save_steps",
    1,
    "--eval_strategy",
    "steps",
    "--eval_steps",
    1,
    "--report_to",
    "tensorboard",
)


@pytest.mark.slow
def test_a_run_logs_records_and_holds_its_weights(call, folders, tmp_path):
    data = ["--json_dir", *(folders / name for name in SIZES)]
    out = call(
        train, *data, "--cohort_weights", 0.5, 0.25, 0.25, "--output_dir", "run", "--logging_dir", "logs", *FLAGS
    )
    assert "cohorts: rows an epoch: A 6 (50.0%), B 3 (25.0%), C 3 (25.0%)\n" in out
    assert "\ncohort C  no row yet\n" in out  # in two steps
    events = EventAccumulator(str(tmp_path / "logs"))
    events.Reload()
    tags = set(events.Tags()["scalars"])
    assert {f"eval/loss_{name}" for name in SIZES} <= tags
    assert tags & {f"train/loss_{name}" for name in SIZES}
    assert tags & {f"train/token_share_{name}" for name in SIZES}
    (start,) = read_run_record(tmp_path / "run")
    assert start["cohorts"]["B"] == {"weight": 0.25, "splits_sha256": None, "rows": {"train": 4, "validation": 4}}
    assert [place["name"] for place in start["arguments"]["cohort_places"]] == ["A", "B", "C"]
    assert read_marker(tmp_path / "run/checkpoint-1")["cohort_weights"] == {"A": 0.5, "B": 0.25, "C": 0.25}
    asked = ("--model_name_or_path", "run", "--split", "validation", "--controls", "false", "--baselines", "false")
    call(evaluation, *data, *asked, "--bootstrap", 10, "--max_new_tokens", 2, "--use_cpu", "true")
    metrics = json.loads((tmp_path / "run/eval_validation/metrics.json").read_text())
    groups = metrics["by"]["cohort"]
    assert {name: group["n"] for name, group in groups.items()} == SIZES
    lines = (tmp_path / "run/eval_validation/predictions.jsonl").read_text().splitlines()
    for name, group in groups.items():
        own = [record for record in map(json.loads, lines) if record["task_id"].startswith(f"{name}/")]
        right = [record["parsed_label"] == record["expected_label"] for record in own]
        assert (group["accuracy"], group["n_subjects"]) == (sum(right) / len(own), len(own))
    assert any("By cohort, " in sentence for sentence in metrics["evidence"]["group_gaps"]["sentences"])
    resumed = ("--output_dir", "run", "--resume_from_checkpoint", "run/checkpoint-1", *FLAGS)
    with pytest.raises(
        SystemExit, match=r"checkpoint-1: --cohort_weights: expected \{'A': 0.5, .*found \{'A': 0.25, "
    ):
        call(train, *data, "--cohort_weights", 0.25, 0.5, 0.25, *resumed)
    with pytest.raises(SystemExit, match=r"--cohort_weights: expected \{'A': 0.5, .*found \{\}"):
        call(train, *data, *resumed)


@pytest.mark.slow
def test_a_cohort_without_training_rows_is_refused_before_anything_is_read(call, folders, tmp_path):
    (tmp_path / "D/test").mkdir(parents=True)
    record = make_record("row", [])
    (tmp_path / "D/test/row.json").write_text(json.dumps(record))
    with pytest.raises(SystemExit, match=r"cohort D: expected training rows, found none: it has no split train"):
        call(train, "--json_dir", folders / "A", "D", "--output_dir", "run", *FLAGS)
