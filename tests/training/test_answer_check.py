"""Answers while a model trains: the same as eval.py's, without a trace in the training; early stopping; the best
checkpoint."""

import json
import random
import re
import sys

import eval as evaluation
import numpy as np
import pytest
import torch
import train
from conversation_folder import write_folder
from forking import run_ranks
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from transformers.integrations import HfDeepSpeedConfig

from umbrella.answers.generation import Answerer
from umbrella.models.loading import load_model, load_processor
from umbrella.options.training_arguments import TrainArguments
from umbrella.rows.transform import ConversationTransform
from umbrella.training.answer_check import AnswerCheck, settle_best_metric
from umbrella_dataset import load_umbrella

SHORT = ("--batch_size", 4, "--learning_rate", "1e-3", "--max_length", 256, "--report_to", "none")
EVERY_STEP = ("--eval_strategy", "steps", "--eval_steps", 1)
SAVED = ("--save_strategy", "steps", "--save_steps", 1, "--save_only_model", "true")


def read_history(folder):
    return json.loads((folder / "trainer_state.json").read_text())["log_history"]


def say(monkeypatch, *answers):
    """Let models of this process answer row i of a batch with the i-th text, and round again."""
    tokenizer = load_processor("tiny").tokenizer

    def generate(self, input_ids, **_):
        texts = [answers[i % len(answers)] for i in range(len(input_ids))]
        tokens = tokenizer(texts, return_tensors="pt", padding=True, padding_side="right")["input_ids"]
        return torch.cat([input_ids, tokens], dim=1)

    monkeypatch.setattr("transformers.LlavaForConditionalGeneration.generate", generate)


def set_labels(data, split, labels, answer="It is {label}."):
    """Give the rows of a split these labels, and answers that state them."""
    for path, label in zip(sorted((data / split).glob("*.json")), labels, strict=True):
        record = json.loads(path.read_text())
        record["metadata"]["subject_label"] = label
        record["conversations"][-1]["content"] = answer.format(label=label)
        path.write_text(json.dumps(record))


def build_check(data, n_rows=64, seed=0, batch_size=4):
    return AnswerCheck(
        load_umbrella(str(data), split="validation"),
        load_processor("tiny"),
        {"max_length": 256},
        n_rows,
        seed,
        batch_size,
    )


@pytest.fixture(scope="module")
def trained(small_data, tmp_path_factory):
    """The folder of a model that has learnt to say one of the labels, of any row."""
    run = tmp_path_factory.mktemp("trained") / "run"
    flags = ("--max_steps", 20, "--eval_strategy", "steps", "--eval_steps", 20, "--learning_rate", "3e-3")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            sys, "argv", ["train", *map(str, ("--json_dir", small_data, "--output_dir", run, *SHORT, *flags))]
        )
        train.main()
    return run


@pytest.mark.slow
def test_accuracy_is_that_of_eval_on_the_same_rows(call, trained, small_data):
    (last,) = [entry for entry in read_history(trained) if "eval_accuracy" in entry]
    switched_off = [part for name in ("controls", "baselines", "report") for part in (f"--{name}", "false")]
    flags = ("--split", "validation", "--max_length", 256, "--bootstrap", 10, *switched_off)
    call(evaluation, "--model_name_or_path", trained, "--json_dir", small_data, *flags)
    metrics = json.loads((trained / "eval_validation/metrics.json").read_text())
    assert metrics["n"] == 8
    assert metrics["unparseable"] < 8  # it answers
    assert last["eval_accuracy"] == metrics["accuracy"]
    assert last["eval_unparseable"] == metrics["unparseable"] / 8


@pytest.mark.slow
def test_training_is_the_same_bit_for_bit_with_and_without_answers(call, small_data, tmp_path):
    for n in (0, 3):
        flags = ("--max_steps", 4, *EVERY_STEP, "--eval_answers", n)
        call(train, "--json_dir", small_data, "--output_dir", str(n), *SHORT, *flags)
        assert any("eval_accuracy" in entry for entry in read_history(tmp_path / str(n))) == (n > 0)
    assert (tmp_path / "0/model.safetensors").read_bytes() == (tmp_path / "3/model.safetensors").read_bytes()


@pytest.mark.slow
def test_a_call_leaves_modes_and_random_states_as_they_were(small_data):
    check, model = build_check(small_data, n_rows=2), load_model("tiny", seed=0).train()
    model.model.vision_tower.eval()  # a frozen part
    modes = [module.training for module in model.modules()]
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    assert set(check(model)) == {"accuracy", "unparseable"}
    assert [module.training for module in model.modules()] == modes
    assert (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()) == before


@pytest.mark.slow
def test_the_sample_is_drawn_by_the_seed_and_the_batch_changes_no_answer(small_data, trained):
    def ask(**options):
        check = build_check(small_data, n_rows=5, **options)
        return list(check.rows["task_id"]), check._ask(model)

    model = load_model(str(trained))
    ids, texts = ask(batch_size=1)
    assert (ids, texts) == ask(batch_size=4)
    assert len(ids) == len(set(ids)) == 5
    assert ids != ask(seed=1)[0]
    assert all(texts)


def test_every_process_is_given_as_many_batches(small_data, monkeypatch):
    """5 rows, 2 a batch, 2 processes: two rounds, in which both call the model."""
    check, asked = build_check(small_data, n_rows=5, batch_size=2), []

    class TwoProcesses:
        num_processes, process_index = 2, 0

    def answer(self, rows, title):
        asked.extend(rows["task_id"])
        return iter(())

    monkeypatch.setattr("umbrella.training.answer_check.PartialState", TwoProcesses)
    monkeypatch.setattr(Answerer, "answer", answer)
    check._ask(load_model("tiny", seed=0))
    ids = list(check.rows["task_id"])
    assert asked == [*ids, *ids[:3]]


def test_numbers_give_their_mean_absolute_error_and_what_is_unparseable_the_largest(data, monkeypatch):
    set_labels(data, "validation", ["20", "30", "40", "50", "60", "70", "80", "90"], "I see {label} years.")
    check = build_check(data, batch_size=8)
    assert (check.task.name, check.metrics) == ("regression", ("mae", "unparseable"))
    say(monkeypatch, "It is 30.", "It is 30.", "No idea.", "It is 50.", "60", "70", "80", "90")
    # Errors 10 and 0, then 50: from 40 the farthest of the true numbers is 90.
    assert check(load_model("tiny", seed=0)) == {"mae": 60 / 8, "unparseable": 1 / 8}


def test_numbers_need_scikit_learn_and_say_so_before_training(data, monkeypatch):
    set_labels(data, "validation", [str(20 + i) for i in range(8)])
    monkeypatch.setattr("umbrella.training.answer_check.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"--eval_answers: expected the package sklearn.*\[eval\].* --eval_answers 0"):
        build_check(data)


def test_labels_give_the_share_of_right_answers(data, monkeypatch):
    set_labels(data, "validation", ["male", "female"] * 4)
    check = build_check(data, batch_size=8)
    say(monkeypatch, "It is male.", "Certainly male.", "male or female", "It is not female.")
    assert check(load_model("tiny", seed=0)) == {"accuracy": 0.25, "unparseable": 0.5}


@pytest.mark.parametrize(
    "labels, answer", [(["male", "female"] * 4, "The scan is unremarkable."), (["male"] * 8, "male")]
)
def test_reports_and_a_single_label_are_not_scored(data, labels, answer):
    set_labels(data, "validation", labels, answer)
    check = build_check(data)
    assert check.metrics == ()
    assert check(load_model("tiny", seed=0)) == {}


def test_where_the_vision_tower_is_spread_a_batch_without_scans_runs_it_too(tmp_path):
    rows = load_umbrella(str(write_folder(tmp_path, {"validation": [0, 0, 1, 0]})), split="validation")
    prompts = ConversationTransform(load_processor("tiny"), add_generation_prompt=True, max_length=256)
    model, runs = load_model("tiny", seed=0), []
    model.model.vision_tower.register_forward_hook(lambda *_: runs.append(1))

    def ask():
        runs.clear()
        answers = [answer for batch in Answerer(model, prompts, prompts, 2, 8).answer(rows, None) for answer in batch]
        return [(answer.task_id, answer.text) for answer in answers], len(runs)

    alone, n_runs = ask()
    assert (len(alone), n_runs) == (4, 1)
    deepspeed = HfDeepSpeedConfig({"zero_optimization": {"stage": 3}})
    assert ask() == (alone, 2)
    del deepspeed  # and with it transformers' memory of it


@pytest.mark.slow
def test_early_stopping_stops_and_the_best_checkpoint_is_in_the_folder(call, small_data, tmp_path, monkeypatch):
    """Accuracies of the evaluations: 0, 1/2, 1, 1, 1. The third is the best, two more without a better one end it."""
    rounds = iter([0.0, 0.5, 1.0, 1.0, 1.0])
    monkeypatch.setattr(AnswerCheck, "__call__", lambda self, model: {"accuracy": next(rounds), "unparseable": 0.0})
    flags = ("--max_steps", 50, *EVERY_STEP, *SAVED, "--early_stopping_patience", 2)
    call(train, "--json_dir", small_data, "--output_dir", "run", *SHORT, *flags)
    state = json.loads((tmp_path / "run/trainer_state.json").read_text())
    assert (state["global_step"], state["best_global_step"], state["best_metric"]) == (5, 3, 1.0)
    weights = [
        (tmp_path / "run" / name / "model.safetensors").read_bytes() for name in ("checkpoint-3", "checkpoint-5", "")
    ]
    assert weights[0] == weights[2] != weights[1]


@pytest.mark.slow
def test_a_model_that_gets_no_better_is_stopped(call, small_data, tmp_path):
    flags = ("--max_steps", 50, *EVERY_STEP, *SAVED, "--early_stopping_patience", 2)
    flags += ("--metric_for_best_model", "loss", "--greater_is_better", "true")  # it falls
    call(train, "--json_dir", small_data, "--output_dir", "run", *SHORT, *flags, "--eval_answers", 0)
    state = json.loads((tmp_path / "run/trainer_state.json").read_text())
    assert state["global_step"] == 3
    assert state["best_metric"] == next(log["eval_loss"] for log in state["log_history"] if "eval_loss" in log)


@pytest.mark.slow
def test_a_resumed_run_goes_on_counting(call, small_data, tmp_path, monkeypatch):
    """The best evaluation is the first. The third without a better one is that of step 4."""
    rounds = iter([0.5, 0.25, 0.25, 0.25, 0.25, 0.25])
    monkeypatch.setattr(AnswerCheck, "__call__", lambda self, model: {"accuracy": next(rounds), "unparseable": 0.0})
    flags = (*EVERY_STEP, "--save_strategy", "steps", "--save_steps", 1, "--early_stopping_patience", 3)
    for more in (("--max_steps", 2), ("--max_steps", 50, "--resume_from_checkpoint", "true")):
        call(train, "--json_dir", small_data, "--output_dir", "run", *SHORT, *flags, *more)
    assert json.loads((tmp_path / "run/trainer_state.json").read_text())["global_step"] == 4


def settle(metrics, **options):
    args = TrainArguments(output_dir="run", report_to="none", eval_strategy="steps", save_strategy="steps", **options)
    args.eval_steps = args.save_steps
    args = settle_best_metric(args, metrics)
    return args.metric_for_best_model, args.greater_is_better


LABELS, NUMBERS = ("accuracy", "unparseable"), ("mae", "unparseable")
BEST = {"load_best_model_at_end": True, "eval_steps": 500}


@pytest.mark.parametrize(
    "metrics, options, expected",
    [
        (LABELS, BEST, ("accuracy", True)),
        (NUMBERS, BEST, ("mae", False)),
        ((), BEST, ("loss", False)),
        (LABELS, BEST | {"metric_for_best_model": "loss"}, ("loss", False)),
        (LABELS, BEST | {"metric_for_best_model": "eval_unparseable"}, ("eval_unparseable", False)),
        (NUMBERS, BEST | {"metric_for_best_model": "mae"}, ("mae", False)),
        (NUMBERS, BEST | {"metric_for_best_model": "mae", "greater_is_better": True}, ("mae", True)),
        (LABELS, {"early_stopping_patience": 1, "eval_steps": 500}, ("accuracy", True)),
        (LABELS, {}, (None, None)),
        (LABELS, {"lr_scheduler_type": "reduce_lr_on_plateau"}, ("loss", False)),
    ],
)
def test_the_metric_of_the_best_checkpoint_suits_the_task(metrics, options, expected):
    assert settle(metrics, **options) == expected


def test_a_best_checkpoint_alone_is_saved_by_the_metric_of_the_task():
    args = TrainArguments(output_dir="run", report_to="none", eval_strategy="epoch", save_strategy="best")
    args = settle_best_metric(args, LABELS)
    assert (args.metric_for_best_model, args.greater_is_better) == ("accuracy", True)


BAD_FLAGS = {
    "metric": (
        (*EVERY_STEP, *SAVED, "--load_best_model_at_end", "true", "--metric_for_best_model", "f1"),
        r"--metric_for_best_model f1: expected one of accuracy, unparseable, loss, which .* found another",
    ),
    "patience": (("--early_stopping_patience", 0, *EVERY_STEP), r"expected at least 1, found 0"),
    "answers": (("--eval_answers", -1), r"--eval_answers: expected at least 0, found -1"),
    "no evaluation": (
        ("--early_stopping_patience", 2),
        r"--early_stopping_patience: expected --eval_strategy steps or epoch, found no",
    ),
    "other steps": (
        ("--eval_strategy", "steps", "--eval_steps", 3, "--save_steps", 4, "--early_stopping_patience", 2),
        r"requires the saving steps to be a round multiple of the evaluation steps, but found 4",
    ),
    "other strategies": (
        ("--eval_strategy", "epoch", "--save_steps", 4, "--early_stopping_patience", 2),
        r"expected the same --eval_strategy and --save_strategy, .* found epoch and steps: what",
    ),
}


@pytest.mark.parametrize("case", BAD_FLAGS)
def test_flags_that_do_not_fit_end_with_a_sentence_before_training(case, call, small_data, tmp_path, capsys):
    flags, message = BAD_FLAGS[case]
    with pytest.raises(SystemExit) as end:
        call(train, "--json_dir", small_data, "--output_dir", "run", *SHORT, *flags)
    printed = f"{end.value} {capsys.readouterr().err}"
    assert re.search(message, printed)
    assert "Traceback" not in printed
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_answers_are_in_the_event_file_of_tensorboard(call, small_data, tmp_path):
    flags = ("--max_steps", 2, *EVERY_STEP, "--report_to", "tensorboard", "--logging_dir", "logs", "--eval_answers", 2)
    call(train, "--json_dir", small_data, "--output_dir", "run", *SHORT, *flags)
    events = EventAccumulator(str(tmp_path / "logs"))
    events.Reload()
    history = [entry for entry in read_history(tmp_path / "run") if "eval_accuracy" in entry]
    for name in ("loss", "accuracy", "unparseable"):
        assert [event.step for event in events.Scalars(f"eval/{name}")] == [1, 2]
        values = [event.value for event in events.Scalars(f"eval/{name}")]
        assert values == pytest.approx([entry[f"eval_{name}"] for entry in history])


@pytest.mark.slow
def test_two_processes_answer_as_one_does(small_data, trained, tmp_path):
    """8 rows, 3 a batch: three batches, and a fourth so that each process has two. Next to nothing is learnt."""
    flags = ["--json_dir", small_data, "--model_name_or_path", trained, "--output_dir", "run", *SHORT, *EVERY_STEP]
    flags += ["--max_steps", 1, "--learning_rate", "1e-9", "--per_device_eval_batch_size", 3, "--use_cpu", "true"]
    run_ranks([train.__file__, *flags], tmp_path)
    two, one = (next(e for e in read_history(run) if "eval_loss" in e) for run in (tmp_path / "run", trained))
    for name in ("eval_accuracy", "eval_unparseable"):
        assert two[name] == one[name]
