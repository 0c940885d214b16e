"""eval.py --uncertainty: the validation split is asked once, and anew when it is another one."""

import json

import eval as evaluation
import pytest
import torch

from umbrella.models.loading import load_processor
from umbrella.records.run import fingerprint
from umbrella_dataset import load_umbrella

FAST = ("--max_length", 256, "--max_new_tokens", 6, "--bootstrap", 10, "--baselines", "false", "--controls", "false")
FITTED = ("--uncertainty", "true", "--conformal_level", 0.6)


def lines_of(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def change_text(folder):
    path = min(folder.glob("*.json"))
    record = json.loads(path.read_text())
    record["conversations"][0]["content"][0]["text"] += " Look well."
    path.write_text(json.dumps(record))


@pytest.mark.slow
def test_answers_to_the_validation_split_are_kept_and_not_those_to_another_one(call, data, tmp_path, monkeypatch):
    out = tmp_path / "out"
    flags = ("--model_name_or_path", "tiny", "--json_dir", data, "--output_dir", out, *FAST, "--report", "false")
    call(evaluation, *flags)
    first = (out / "predictions.jsonl").read_bytes()
    printed = call(evaluation, *flags, *FITTED, "--uncertainty_n", 5, "--abstain_at", 0.5)
    assert (
        out / "predictions.jsonl"
    ).read_bytes() == first  # a finished evaluation is asked the validation rows alone
    held = lines_of(out / "predictions_validation.jsonl")
    assert len(held) == 5 and {"log_likelihoods", "expected_label"} <= held[0].keys()
    whole = json.loads((out / "settings_validation.json").read_text())
    assert whole == {"split": "validation", "data": fingerprint(load_umbrella(str(data), split="validation"))}
    entry = json.loads((out / "metrics.json").read_text())["evidence"]["uncertainty"]
    assert entry["validation"]["n"] == 5 and entry["abstention"]["most_risk"] == 0.5
    assert all(sentence in printed for sentence in entry["sentences"])

    change_text(data / "validation")
    with monkeypatch.context() as patch, pytest.raises(SystemExit) as end:
        patch.setattr("umbrella.answers.generation.Answerer._ask", lambda *_: pytest.fail("asked again"))
        call(evaluation, *flags, *FITTED)
    assert f"Remove {out / 'predictions_validation.jsonl'}, and it is asked anew" in str(end.value)
    (out / "predictions_validation.jsonl").unlink()
    call(evaluation, *flags, *FITTED)
    assert (out / "predictions.jsonl").read_bytes() == first
    again = lines_of(out / "predictions_validation.jsonl")
    assert len(again) == 8 and "Look well." in again[0]["prompt"]


@pytest.mark.slow
def test_numbers_have_intervals_on_the_page(call, data, tmp_path, monkeypatch):
    """Two years too high for each of 8 rows; of validation, each of its own subject, one more each time."""
    for split in ("test", "validation"):
        for i, path in enumerate(sorted((data / split).glob("*.json"))):
            record = json.loads(path.read_text())
            record["metadata"] |= {"subject_label": str(40 + i), "subject_id": f"{split}-{i}"}
            record["conversations"][-1]["content"] = [{"type": "text", "text": f"{40 + i} years"}]
            path.write_text(json.dumps(record))
    tokenizer = load_processor("tiny").tokenizer
    said = iter([f"{42 + i} years" for i in range(8)] + [f"{40 + 2 * i} years" for i in range(8)])

    def generate(self, input_ids, **_):
        tokens = tokenizer([next(said) for _ in input_ids], return_tensors="pt", padding=True)["input_ids"]
        return torch.cat([input_ids, tokens], dim=1)

    monkeypatch.setattr("transformers.LlavaForConditionalGeneration.generate", generate)
    flags = ("--json_dir", data, "--output_dir", "out", *FAST, *FITTED, "--unit", "years")
    call(evaluation, "--model_name_or_path", "tiny", *flags)
    intervals = json.loads((tmp_path / "out/metrics.json").read_text())["evidence"]["uncertainty"]["intervals"]
    assert intervals["half_width"] == 5.0  # of errors 0 to 7, the ceil(9 × 0.6)-th smallest
    assert intervals["coverage"]["value"] == 1.0 and intervals["n_subjects"] == 8
    for page in ("report.html", "report_public.html"):
        text = (tmp_path / "out" / page).read_text(encoding="utf-8")
        assert "Intervals of ± 5 years about the answer" in text and "Truths within intervals" in text
