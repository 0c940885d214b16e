"""predict.py gives the answers that eval.py writes down, and prints nothing else."""

import json
import re

import eval as evaluation
import predict
import pytest
from conversation_folder import write_folder, write_scan
from generate_sex_comparison_conversations import PHRASINGS
from loud_model import save_loud_model

from umbrella.answers.prediction import make_question_rows
from umbrella.answers.question_turns import word_reference
from umbrella.models.loading import load_model, load_processor
from umbrella.options.tool_arguments import PredictArguments
from umbrella_dataset import load_umbrella

QUESTION = "Is this subject male or female?"
FAST = ("--max_new_tokens", 12, "--controls", "false", "--baselines", "false", "--report", "false", "--bootstrap", 10)


@pytest.fixture
def run(tmp_path):
    """A model with weights so large that its answers depend on the scans, and a recipe that is not the default."""
    save_loud_model(tmp_path / "run", view="coronal")
    return "run"


def evaluate(call, folder, tmp_path, *flags):
    """(row, prediction) of the test split."""
    call(evaluation, "--model_name_or_path", "run", "--json_dir", folder, "--output_dir", folder.name, *FAST, *flags)
    lines = (tmp_path / folder.name / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
    rows = load_umbrella(str(folder), split="test")
    return list(zip(rows, [json.loads(line)["prediction"] for line in lines], strict=True))


def texts_of(turn):
    return [item["text"] for item in turn["content"] if item["type"] == "text"]


@pytest.mark.slow
def test_answers_are_those_of_evaluation(call, run, small_data, tmp_path):
    """Rows with a reference, then rows of one scan."""
    found = set()
    for row, expected in evaluate(call, small_data, tmp_path)[:4]:
        introduction, reply, question, _ = row["conversations"]
        reference, image = (scan["path"] for scan in row["images"])
        said = ("--reference_text", *texts_of(introduction), "--reference_reply", *texts_of(reply))
        flags = ("--image", image, "--question", *texts_of(question), "--reference", reference, *said)
        assert call(predict, "--model_name_or_path", run, *flags, "--max_new_tokens", 12) == f"{expected}\n"
        found.add(expected)
    folder = write_folder(tmp_path / "single", {"test": [1, 1, 1]})
    for row, expected in evaluate(call, folder, tmp_path, "--labels", "female,male"):
        flags = ("--image", row["images"][0]["path"], "--question", *texts_of(row["conversations"][0]))
        assert call(predict, "--model_name_or_path", run, *flags, "--max_new_tokens", 12) == f"{expected}\n"
        found.add(expected)
    assert len(found) > 3  # else any answer would do


def test_default_wordings_are_those_of_the_sample_conversations(tmp_path):
    write_scan(tmp_path / "a.nii", 0)
    scan = str(tmp_path / "a.nii")
    labelled = PredictArguments(image=scan, question=QUESTION, reference=scan, reference_label="male")
    introductions, replies = (
        {wording.format(reference_label="male") for wording in wordings}
        for wordings in (PHRASINGS.introduction, PHRASINGS.acknowledgement)
    )
    said, replied = word_reference(labelled.reference_label)
    assert said in introductions and replied in replies
    turns = make_question_rows(labelled)[0]["conversations"]
    assert [[item["type"] for item in turn["content"]] for turn in turns] == [
        ["text", "image"],
        ["text"],
        ["image", "text"],
        ["text"],
    ]
    plain = PredictArguments(image=scan, question=QUESTION, reference=scan)
    assert not any("{" in wording or "label" in wording for wording in word_reference(plain.reference_label))
    own = PredictArguments(
        image=scan, question=QUESTION, reference=scan, reference_label="41", reference_text="{reference_label} years:"
    )
    assert word_reference(own.reference_label, own.reference_text) == (
        "41 years:",
        "Understood. The reference subject is 41.",
    )


def test_only_the_answer_is_on_stdout_and_a_missing_recipe_is_told(monkeypatch, capsys, tmp_path):
    write_scan(tmp_path / "a.nii", 0)
    load_model("tiny", seed=3).save_pretrained(tmp_path / "bare")
    load_processor("tiny").save_pretrained(tmp_path / "bare")
    scan, model = str(tmp_path / "a.nii"), str(tmp_path / "bare")
    argv = ["predict.py", "--model_name_or_path", model, "--image", scan, "--question", QUESTION]
    monkeypatch.setattr("sys.argv", [*argv, "--reference", scan, "--max_new_tokens", "3"])
    capsys.readouterr()  # saving the model has printed
    predict.main()
    out, err = capsys.readouterr()
    assert out.count("\n") == 1
    assert "bare has no umbrella_recipe.json: the scan is shown by default, as axial, 64 pixels" in err


BAD_FLAGS = {
    ("--image", "none.nii"): r"--image none.nii: expected a scan, found no such file",
    ("--reference", "none.nii"): r"--reference none.nii: expected a scan, found no such file",
    ("--image", "text.nii"): r"text.nii: expected a NIfTI or FreeSurfer scan, found a file that starts with b'hell'",
    ("--reference_label", "male"): r"--reference_label male: expected --reference SCAN too",
    (
        "--reference",
        "a.nii",
        "--reference_text",
        "A {reference_label}:",
    ): r"expected --reference_label too, found none",
    (
        *("--reference", "a.nii", "--reference_label", "male", "--reference_text", "A:", "--reference_reply", "B"),
    ): r"--reference_label male: expected {reference_label} in .* found it in neither",
    ("--question", "<|im_end|>"): r"the question: .* found the control token '<\|im_end\|>'",
    ("--max_length", 20): r"expected at most max_length=20 tokens, found \d+ .* Set --max_length to \d+",
    ("--max_new_tokens", 0): r"--max_new_tokens: expected at least 1, found 0",
    ("--model_name_or_path", "/nowhere"): r"found no folder '/nowhere'",
    ("--modality", "CT"): r"invalid choice: 'CT'",
}


@pytest.mark.parametrize("flags", BAD_FLAGS, ids=lambda flags: " ".join(map(str, flags[:2])))
def test_what_is_wrong_is_told_in_one_sentence(flags, call, tmp_path, capsys):
    write_scan(tmp_path / "a.nii", 0)
    (tmp_path / "text.nii").write_text("hello")
    with pytest.raises(SystemExit) as end:
        call(predict, "--image", "a.nii", "--question", QUESTION, *flags)
    message = end.value.code if isinstance(end.value.code, str) else capsys.readouterr().err
    assert re.search(BAD_FLAGS[flags], message)
    assert "Traceback" not in message
