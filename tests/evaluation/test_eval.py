"""eval.py: the same answers whatever the batch, the processes or the interruptions; refusals; cheats caught."""

import itertools
import json
import math
import re

import eval as evaluation
import pytest
import torch
import train
from forking import run_ranks
from sample_folder import write_sample_folder

from umbrella.answers.answer_template import find_answer_template
from umbrella.answers.scoring import answer_log_likelihoods, last_answer_mask
from umbrella.conversations.encoder import IGNORE_INDEX
from umbrella.evaluation.statistics.notation import number
from umbrella.models.loading import load_model, load_processor
from umbrella.records.training_data import TrainingData, subjects_of
from umbrella_dataset import load_umbrella

FAST = ("--max_length", 256, "--max_new_tokens", 6, "--bootstrap", 10, "--baselines", "false", "--report", "false")


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    """An untrained model's folder."""
    folder = tmp_path_factory.mktemp("model")
    load_model("tiny", seed=3).save_pretrained(folder)
    load_processor("tiny").save_pretrained(folder)
    return folder


def read_lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def evaluate_into(call, output_dir, model, data, *flags):
    call(evaluation, "--model_name_or_path", model, "--json_dir", data, "--output_dir", output_dir, *FAST, *flags)
    return read_lines(output_dir / "predictions.jsonl")


@pytest.mark.slow
def test_batches_of_1_and_8_give_the_same_answers_in_the_rows_order(call, tiny_model, small_data, tmp_path):
    alone = evaluate_into(call, tmp_path / "1", tiny_model, small_data, "--batch_size", 1, "--controls_n", 2)
    together = evaluate_into(call, tmp_path / "8", tiny_model, small_data, "--batch_size", 8, "--controls_n", 2)
    assert [line["task_id"] for line in alone] == load_umbrella(str(small_data), split="test")["task_id"]
    for one, other in zip(alone, together, strict=True):
        assert one["prediction"] == other["prediction"]
        assert one["probabilities"] == pytest.approx(other["probabilities"], abs=1e-4)
        assert sum(one["probabilities"].values()) == pytest.approx(1)
    for name in ("metrics.json", "controls.jsonl"):
        assert (tmp_path / "1" / name).exists()
    metrics = json.loads((tmp_path / "1/metrics.json").read_text())
    assert {"accuracy", "n", "unparseable", "accuracy_scans_shuffled"} <= set(metrics)


@pytest.mark.slow
def test_a_stopped_run_goes_on_after_its_last_whole_line(call, tiny_model, small_data, tmp_path, monkeypatch):
    whole = evaluate_into(call, tmp_path / "a", tiny_model, small_data, "--batch_size", 2)
    text = (tmp_path / "a/predictions.jsonl").read_bytes()
    cut = text[: text.index(b"\n", len(text) // 2) + 30]  # some lines and a piece of the next
    (tmp_path / "a/predictions.jsonl").write_bytes(cut)
    (tmp_path / "a/controls.jsonl").unlink()
    resumed = evaluate_into(call, tmp_path / "a", tiny_model, small_data, "--batch_size", 2)
    assert (tmp_path / "a/predictions.jsonl").read_bytes()[: len(cut) - 30] == cut[:-30]
    assert [line["task_id"] for line in resumed] == [line["task_id"] for line in whole]
    assert [line["prediction"] for line in resumed] == [line["prediction"] for line in whole]
    # Nothing is left to do: the model is not asked again.
    monkeypatch.setattr("umbrella.answers.generation.Answerer._ask", lambda *_: pytest.fail("asked again"))
    evaluate_into(call, tmp_path / "a", tiny_model, small_data)


@pytest.mark.slow
def test_two_processes_write_what_one_writes(call, tiny_model, small_data, tmp_path):
    one = evaluate_into(call, tmp_path / "one", tiny_model, small_data, "--batch_size", 3, "--controls", "false")
    flags = ["--model_name_or_path", tiny_model, "--json_dir", small_data, "--output_dir", tmp_path / "two"]
    flags += [*FAST, "--batch_size", 3, "--controls", "false", "--use_cpu", "true"]
    run_ranks([evaluation.__file__, *flags], tmp_path)
    two = read_lines(tmp_path / "two/predictions.jsonl")
    assert [(a["task_id"], a["prediction"]) for a in one] == [(b["task_id"], b["prediction"]) for b in two]


def tell_the_answer(data):
    """Write each row's true label into its question."""
    for path in (data / "test").glob("*.json"):
        record = json.loads(path.read_text())
        for item in record["conversations"][-2]["content"]:
            if item["type"] == "text":
                item["text"] += f" The chart says {record['metadata']['subject_label']}."
        path.write_text(json.dumps(record))


@pytest.mark.slow
def test_a_model_that_reads_the_answer_from_the_text_is_caught(call, data, tmp_path, monkeypatch):
    """It is right in every row whatever is exchanged; of 4 subjects the sentences say that more would show why."""
    tell_the_answer(data)
    tokenizer = load_processor("tiny").tokenizer

    def cheat(self, input_ids, **_):
        prompts = tokenizer.batch_decode(input_ids)
        answers = [f"This subject is {prompt.split('The chart says ')[1].split('.')[0]}." for prompt in prompts]
        tokens = tokenizer(answers, return_tensors="pt", padding=True)["input_ids"]
        return torch.cat([input_ids, tokens], dim=1)

    monkeypatch.setattr("transformers.LlavaForConditionalGeneration.generate", cheat)
    evaluate_into(call, tmp_path / "out", "tiny", data)
    metrics = json.loads((tmp_path / "out/metrics.json").read_text())
    assert (metrics["accuracy"], metrics["accuracy_scans_shuffled"], metrics["accuracy_text_only"]) == (1.0, 1.0, 1.0)
    assert {verdict["verdict"] for verdict in metrics["verdicts"].values()} == {"cannot tell"}
    sentence = metrics["verdicts"]["text"]["sentence"]
    assert "the accuracy is 100.0 %" in sentence and "(8 rows of 4 subjects, p = 1.000" in sentence
    assert re.search(r"About \d+ subjects instead of 4 would", sentence)


@pytest.fixture
def refusal(call, tmp_path):
    """Call eval.py; the sentence it ends with."""

    def refusal(*flags):
        with pytest.raises(SystemExit) as end:
            call(evaluation, "--output_dir", tmp_path / "out", *FAST, "--controls", "false", *flags)
        return str(end.value)

    return refusal


def change_metadata(folder, **changes):
    for path in folder.glob("*.json"):
        record = json.loads(path.read_text())
        record["metadata"].update(changes)
        path.write_text(json.dumps(record))


@pytest.mark.slow
def test_subjects_of_the_training_data_are_refused_references_included(call, refusal, tiny_model, data, tmp_path):
    """Only a reference of a test row was trained on: refused all the same, unless told otherwise."""
    model = tmp_path / "run"
    load_model("tiny").save_pretrained(model)
    load_processor("tiny").save_pretrained(model)
    rows = load_umbrella(str(data), split="test")
    reference = rows[0]["metadata"]["reference_id"]
    trained = load_umbrella(str(data), split="train").map(
        lambda row: {"subject_ids": [*row["subject_ids"], reference]}
    )
    TrainingData().add_rows(trained).save(model)
    assert reference not in (model / "training_data.json").read_text()
    sentence = refusal("--model_name_or_path", model, "--json_dir", data)
    assert f"found 1 of 4 in its training data, the first '{reference}'" in sentence
    flags = ("--model_name_or_path", model, "--json_dir", data, "--output_dir", tmp_path / "out", *FAST)
    call(evaluation, *flags, "--controls", "false", "--allow_subject_overlap", "true")
    assert "WARNING: 1 of 4" in json.loads((tmp_path / "out/metrics.json").read_text())["leakage"]
    TrainingData().add_rows(load_umbrella(str(data), split="train")).save(model)
    call(evaluation, *flags, "--controls", "false")
    assert json.loads((tmp_path / "out/metrics.json").read_text())["leakage"].startswith("No subject id")


def test_subjects_are_all_that_a_row_names_wherever_it_names_them(data):
    rows = load_umbrella(str(data), split="test").select([0])
    rows = rows.map(lambda row: {"subject_ids": ["x"], "metadata": {**row["metadata"], "reference_id": "y"}})
    assert subjects_of(rows) == {"x", "y", rows[0]["metadata"]["subject_id"]}


@pytest.mark.slow
def test_a_trained_model_is_not_evaluated_on_its_own_training_split(call, refusal, small_data, tmp_path):
    steps = ("--max_steps", 1, "--batch_size", 2, "--max_length", 256, "--report_to", "none")
    call(train, "--json_dir", small_data, "--output_dir", "run", *steps)
    model = ("--model_name_or_path", tmp_path / "run", "--json_dir", small_data)
    assert "found 4 of 4 in its training data" in refusal(*model, "--split", "train")
    call(evaluation, *model, "--output_dir", "out", *FAST, "--controls", "false")
    assert json.loads((tmp_path / "out/metrics.json").read_text())["leakage"].startswith("No subject id")


def test_a_modality_that_the_checkpoint_was_not_trained_on_is_refused(refusal, data, tmp_path):
    rows = load_umbrella(str(data), split="train")
    model = tmp_path / "run"
    model.mkdir()
    TrainingData().add_rows(rows.map(lambda row: {"modalities": ["fMRI"] * len(row["modalities"])})).save(model)
    sentence = refusal("--model_name_or_path", model, "--json_dir", data)
    assert "expected scans of fMRI" in sentence and "found sMRI" in sentence


@pytest.mark.slow
def test_bad_input_ends_with_one_sentence(refusal, tiny_model, data, tmp_path):
    model = ("--model_name_or_path", tiny_model, "--json_dir", data)
    assert (
        "expected a split 'holdout' in the data, found only train, validation, test. Choose one of them with"
        in refusal(*model, "--split", "holdout")
    )
    assert "T9" in refusal(*model, "--task_types", "T9")
    assert "'female', the label of 4 rows, is not among them" in refusal(*model, "--labels", "male,other")
    change_metadata(data / "validation", subject_label="male")
    assert "found only 'male'" in refusal(*model, "--split", "validation")
    change_metadata(data / "test", subject_label=None)
    sentence = refusal(*model)
    assert "metadata.subject_label" in sentence and "--task text" in sentence


@pytest.mark.slow
def test_predictions_of_another_split_in_the_folder_are_refused(call, refusal, tiny_model, data, tmp_path):
    flags = ("--model_name_or_path", tiny_model, "--json_dir", data)
    evaluate_into(call, tmp_path / "out", tiny_model, data, "--controls", "false")
    sentence = refusal(*flags, "--split", "validation")
    assert "expected predictions for split 'validation', found those for 'test'" in sentence
    evaluate_into(call, tmp_path / "out", tiny_model, data, "--split", "validation", "--overwrite", "--controls", "0")
    first = read_lines(tmp_path / "out/predictions.jsonl")[0]["task_id"]
    assert first.startswith("sex_comparison_validation")


@pytest.mark.slow
def test_one_class_alone_says_that_auroc_is_undefined(call, tiny_model, data, tmp_path):
    change_metadata(data / "test", subject_label="male")
    evaluate_into(call, tmp_path / "out", tiny_model, data, "--labels", "female,male", "--controls", "false")
    text = (tmp_path / "out/metrics.json").read_text()
    assert json.loads(text)["undefined"]["auroc"] == "needs rows of each label; none has 'female'"
    assert "NaN" not in text


def test_answer_template_is_the_commonest_wording_that_all_labels_share():
    answers = ["It is male.", "It is female.", "Male!", "Female!", "Male!", "Answer: male"]
    expected = ["male", "female", "male", "female", "male", "male"]
    assert find_answer_template(answers, expected) == "{label}!"
    assert find_answer_template(["he", "she"], ["male", "female"]) == "{label}"


def test_log_likelihood_is_that_of_the_last_answer_alone():
    """Two turns are supervised; uniform logits over 5 tokens give each of the last turn's 2 tokens log(1/5)."""
    gap = IGNORE_INDEX
    labels = torch.tensor([[gap, 1, 2, gap, gap, 3, 4, gap], [gap, gap, 1, gap, 2, 3, 4, gap]])
    assert last_answer_mask(labels).nonzero().tolist() == [[0, 5], [0, 6], [1, 4], [1, 5], [1, 6]]
    found = answer_log_likelihoods(torch.zeros(2, 8, 5), labels)
    assert found.tolist() == pytest.approx([2 * math.log(1 / 5), 3 * math.log(1 / 5)])


def rewrite_answers(folder, label_of, text_of):
    """Other labels and answers for every conversation of a split; both get the row's number."""
    for i, path in enumerate(sorted(folder.glob("*.json"))):
        record = json.loads(path.read_text())
        record["metadata"]["subject_label"] = label_of(i)
        record["conversations"][-1]["content"] = [{"type": "text", "text": text_of(i)}]
        path.write_text(json.dumps(record))


def answer_with(monkeypatch, texts):
    """A model that says these texts, row after row, whatever it is shown."""
    tokenizer = load_processor("tiny").tokenizer
    said = itertools.cycle(texts)

    def generate(self, input_ids, **_):
        answers = [next(said) for _ in input_ids]
        return torch.cat([input_ids, tokenizer(answers, return_tensors="pt", padding=True)["input_ids"]], dim=1)

    monkeypatch.setattr("transformers.LlavaForConditionalGeneration.generate", generate)


@pytest.mark.slow
def test_numbers_are_read_with_their_unit_and_judged_by_their_error(call, data, tmp_path, monkeypatch):
    """Ages 40 to 47; the answers are two years too high, and one is no number."""
    for split in ("train", "test"):
        rewrite_answers(data / split, lambda i: str(40 + i), lambda i: f"{40 + i} years")
    answer_with(monkeypatch, [*(f"The subject is {42 + i} years old." for i in range(7)), "I cannot tell."])
    flags = ("--unit", "years", "--report", "true", "--baselines", "true", "--by", "comparison_type")
    out = call(evaluation, "--model_name_or_path", "tiny", "--json_dir", data, "--output_dir", "out", *FAST, *flags)
    metrics = json.loads((tmp_path / "out/metrics.json").read_text())
    assert (metrics["n"], metrics["unparseable"]) == (8, 1)
    assert metrics["metrics"]["mae"]["value"] == pytest.approx((7 * 2 + 7) / 8)  # unread: as far off as 40 from 47
    low, high = metrics["metrics"]["mae"]["interval"]
    assert re.search(rf"^mae +2\.625  \(95 % interval {low:.3f} to {high:.3f}\)$", out, re.M)
    control = metrics["controls"]["scans_shuffled"]
    assert f"mae_scans_shuffled               {control['mae']:.3f}  (95 % interval" in out
    assert metrics["verdicts"]["text"]["sentence"] in out
    page = (tmp_path / "out/report.html").read_text()
    assert "always 43.5, the mean in training" in page  # the training rows have the same ages
    assert number(control["mae"]) in page and "Mean absolute error by comparison type" in page
    assert page.count('class="wrong"') == 1  # the answer without a number, among the furthest
    assert 'class="right"' not in page


@pytest.mark.slow
def test_free_text_is_compared_with_the_rows_own_answer(call, data, tmp_path, monkeypatch):
    rewrite_answers(data / "test", lambda i: None, lambda i: "The ventricles are wide.")
    answer_with(monkeypatch, ["The ventricles are wide.", "The ventricles are narrow."])
    evaluate_into(call, tmp_path / "out", "tiny", data, "--task", "text", "--report", "true")
    metrics = json.loads((tmp_path / "out/metrics.json").read_text())["metrics"]
    assert metrics["exact_match"]["value"] == 0.5
    assert metrics["rouge_l"]["value"] == pytest.approx((1 + 3 / 4) / 2)
    assert "ROUGE-L" in (tmp_path / "out/report.html").read_text()


@pytest.mark.slow
def test_rows_without_a_label_are_left_out_and_counted(call, tiny_model, data, tmp_path):
    first = sorted((data / "test").glob("*.json"))[0]
    record = json.loads(first.read_text())
    record["metadata"]["subject_label"] = None
    first.write_text(json.dumps(record))
    assert len(evaluate_into(call, tmp_path / "out", tiny_model, data, "--controls", "false")) == 7
    selection = json.loads((tmp_path / "out/metrics.json").read_text())["selection"]
    assert selection == {"found": 8, "used": 7, "excluded": {"no metadata.subject_label": 1}}


@pytest.mark.slow
def test_of_two_tasks_over_the_same_scans_each_is_evaluated_alone_simple_models_too(
    call, refusal, tiny_model, data, tmp_path
):
    for i, path in enumerate(sorted(data.glob("t*/*.json"))):
        record = json.loads(path.read_text())
        record["metadata"]["target_type"] = "numeric" if i % 2 else "categorical"
        if i % 2:
            record["metadata"]["subject_label"] = f"{40 + i}.5"
            record["conversations"][-1]["content"] = [{"type": "text", "text": f"The age is {40 + i}.5 years."}]
        path.write_text(json.dumps(record))
    sentence = refusal("--model_name_or_path", tiny_model, "--json_dir", data)
    assert "eval.py --task classification and eval.py --task regression" in sentence
    flags = ("--baselines", "true", "--controls", "false")
    for task, models in (("classification", {"majority", "linear"}), ("regression", {"mean", "linear"})):
        evaluate_into(call, tmp_path / task, tiny_model, data, "--task", task, *flags)
        metrics = json.loads((tmp_path / task / "metrics.json").read_text())
        left_out = f"another metadata.target_type than that of {task}"
        assert metrics["selection"] == {"found": 8, "used": 4, "excluded": {left_out: 4}}
        assert (metrics["n"], metrics["baselines"]["n_train"]) == (4, 4)
        assert set(metrics["baselines"]["models"]) == models


@pytest.mark.slow
def test_each_evaluation_is_counted_and_a_repetition_of_its_answers_is_not(call, data, tmp_path):
    model = tmp_path / "run"
    load_model("tiny").save_pretrained(model)
    load_processor("tiny").save_pretrained(model)
    counts = []
    for name, flags in (("a", ()), ("a", ()), ("b", ()), ("v", ("--split", "validation"))):
        evaluate_into(call, tmp_path / name, model, data, "--controls", "false", *flags)
        counts.append(json.loads((tmp_path / name / "metrics.json").read_text())["evaluations_of_this_split"]["count"])
    assert counts == [1, 1, 2, 1]


@pytest.fixture(scope="module")
def longitudinal(tmp_path_factory):
    """24 rows to evaluate on: have the ventricles grown since the first scan?"""
    import generate_longitudinal_change_conversations as generator

    folder = tmp_path_factory.mktemp("longitudinal") / "data"
    records, scans = generator.plan_split("test", 25, 12, 0)
    write_sample_folder(folder, {"train": [], "validation": [], "test": records}, scans)
    for empty in ("train", "validation", "samples"):
        (folder / empty).rmdir()
    return folder


def ventricle_size(image):
    """The share of dark pixels inside the brain of an axial view (3, 64, 64)."""
    brain = image[0, 16:48, 20:44]
    return (brain < brain.quantile(0.9) * 0.5).float().mean().item()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("looks_at", "sentence"),
    [
        ("both", "Too few rows to tell whether the model uses the reference scan, though it reacts to it: "),
        ("the last", "Too few rows to tell whether the model uses the reference scan: exchanging it changes 0.0 % "),
    ],
)
def test_a_model_that_ignores_the_reference_is_told_from_one_that_compares(
    looks_at, sentence, call, longitudinal, tmp_path, monkeypatch
):
    """Both measure ventricles; one against the first scan, one against the middle of the range, and the second is
    right far more often than chance. The accuracy alone would pass it. For verdicts 12 subjects are too few (see
    test_control_scores.py for 100), but not to tell that the scans add to the text."""
    tokenizer = load_processor("tiny").tokenizer

    def measure(self, input_ids, pixel_values=None, **_):
        sizes = [0.0] * 2 * len(input_ids) if pixel_values is None else [ventricle_size(i) for i in pixel_values]
        grown = [
            second > (first if looks_at == "both" else 0.355)
            for first, second in zip(sizes[::2], sizes[1::2], strict=True)
        ]
        answers = ["They have grown." if more else "They have shrunk." for more in grown]
        return torch.cat([input_ids, tokenizer(answers, return_tensors="pt", padding=True)["input_ids"]], dim=1)

    monkeypatch.setattr("transformers.LlavaForConditionalGeneration.generate", measure)
    evaluate_into(call, tmp_path / "out", "tiny", longitudinal)
    metrics = json.loads((tmp_path / "out/metrics.json").read_text())
    assert metrics["accuracy"] >= (1.0 if looks_at == "both" else 0.6)
    assert metrics["n_reversed"] >= 6
    assert (metrics["accuracy_reference_reversed"] <= 0.15) == (looks_at == "both")
    assert metrics["verdicts"]["text"]["verdict"] == "needs scans"
    assert metrics["verdicts"]["reference"]["sentence"].startswith(sentence)
