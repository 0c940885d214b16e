"""predict.py about many scans: the answers of one at a time, kept as they come, with a reason where there is none."""

import csv
import json
import os
import shutil
import sys

import numpy as np
import predict
import pytest
from conversation_folder import write_scan
from launching import BIN, ROOT, find_free_port, launch
from loud_model import save_loud_model

import umbrella.cohort.many.kept as kept
from umbrella.answers.own_question import COMPARED, SINGLE
from umbrella.records.trained_questions import TrainedQuestions

pytestmark = pytest.mark.slow
QUESTION, TEMPLATE = "Male or female?", "This subject is {label}."
ANSWERS = {"task": "classification", "labels": ["female", "male"], "forms": [], "answer_template": TEMPLATE}
FAST = ("--max_new_tokens", 8)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A model whose answers depend on the scans, with its record, and a folder of five scans and a text."""
    folder = tmp_path_factory.mktemp("many")
    save_loud_model(folder / "run", view="coronal")
    TrainedQuestions(9, {QUESTION: 9}, {SINGLE: 8, COMPARED: 1}, {}, {}, ANSWERS, "by hand").save(folder / "run")
    (folder / "scans").mkdir()
    for seed in range(5):
        write_scan(folder / "scans" / f"{seed}.nii", seed)
    (folder / "scans" / "text.nii").write_text("hello")
    return folder


@pytest.fixture
def place(made, tmp_path):
    """A copy to spoil."""
    return shutil.copytree(made, tmp_path, dirs_exist_ok=True)


def ask(call, *flags, code=3):
    """(rows of the table, what was printed) of a run that ends with the code."""
    with pytest.raises(SystemExit) if code else open(os.devnull) as end:
        call(predict, "--model_name_or_path", "run", "--output", "answers.csv", *FAST, *flags)
    assert not code or end.value.code == code
    with open("answers.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_answers_are_those_of_one_scan_at_a_time_and_a_stopped_run_goes_on(call, place, capsys):
    rows = ask(call, "--folder", "scans", "--batch_size", 3)
    out, err = capsys.readouterr()
    assert "5 of 6 rows answered; they are in answers.csv\n1 row has no answer" in out
    assert f"question: {QUESTION!r}, the most frequent in training (9 of 9 rows)" in err
    assert f"answers: female or male, probabilities of {TEMPLATE!r}" in err
    assert str(place) not in out + err  # no place, and with it nobody's name
    *good, bad = rows
    alone = [call(predict, "--model_name_or_path", "run", "--image", row["image"], *FAST) for row in good[:3]]
    assert [f"{row['answer']}\n" for row in good[:3]] == alone
    assert len(set(alone)) > 1  # else any answer would do
    for row in good:
        assert float(row["probability_female"]) + float(row["probability_male"]) == pytest.approx(1, abs=2e-6)
    assert len({row["probability_male"] for row in good}) > 1
    assert (bad["answer"], bad["label"], bad["probability_male"]) == ("", "", "")
    assert "text.nii: expected a NIfTI or FreeSurfer scan" in bad["error"] and "question" not in bad["error"]

    # Stopped in the middle of a line, with the table not yet written; then a scan that is another one.
    table, kept = (place / "answers.csv").read_bytes(), (place / "answers.kept.jsonl").read_bytes().splitlines(True)
    (place / "answers.csv").unlink()
    (place / "answers.kept.jsonl").write_bytes(b"".join(kept[:2]) + kept[2][:30])
    assert ask(call, "--folder", "scans", "--batch_size", 1) == rows
    assert "5 of 6 rows answered, 2 of them before" in capsys.readouterr().out
    assert (place / "answers.csv").read_bytes() == table
    shutil.copy(place / "scans" / "4.nii", place / "scans" / "0.nii")
    changed = ask(call, "--folder", "scans")
    out, err = capsys.readouterr()
    assert "5 of 6 rows answered, 4 of them before" in out and "1 scan is another file than when" in err
    assert all(changed[0][name] == rows[4][name] for name in ("answer", "label", "probability_male"))
    write_scan(place / "scans" / "text.nii", 7)  # what was refused is asked again
    assert ask(call, "--folder", "scans", code=0)[5]["answer"]


def test_answers_to_something_else_are_not_taken_for_these(call, place, capsys):
    (place / "scans" / "text.nii").unlink()
    ask(call, "--folder", "scans", code=0)
    table = (place / "answers.csv").read_bytes()
    for flags, said in (
        (("--question", "How old?"), "expected answers for question 'How old?', found those for 'Male or female?'"),
        (("--reference", "scans/0.nii"), "expected answers for reference {'sha256'"),
    ):
        with pytest.raises(SystemExit) as end:
            ask(call, "--folder", "scans", *flags, code=None)
        assert said in end.value.code and "--overwrite true" in end.value.code
        assert (place / "answers.csv").read_bytes() == table
    assert "WARNING: question: below 0.75" in capsys.readouterr().err
    (place / "answers.asked.json").unlink()
    with pytest.raises(SystemExit, match=r"answers.csv: expected answers.asked.json beside it"):
        ask(call, "--folder", "scans", code=None)
    labels = ("--labels", "healthy,ill", "--answer_template", "It is {label}")
    rows = ask(call, "--folder", "scans", "--overwrite", "true", *labels, code=0)
    assert list(rows[0])[-3:] == ["probability_healthy", "probability_ill", "error"]


def test_what_is_not_known_stays_empty_and_is_said(call, place, capsys):
    (place / "run" / "umbrella_questions.json").unlink()
    with pytest.raises(SystemExit, match=r'expected --question "TEXT", found none, and no umbrella_questions\.json'):
        ask(call, "--folder", "scans", code=None)
    (place / "t.csv").write_text("id;scan\nA;scans/0.nii\nB;scans/none.nii\n")
    table = ("--table", "t.csv", "--id_column", "id", "--image_column", "scan", "--question", QUESTION)
    rows = ask(call, *table)
    said = capsys.readouterr().err
    assert "the columns label, number and probability stay empty" in said and "--labels male,female" in said
    assert [row["participant_id"] for row in rows] == ["A", "B"] and rows[0]["answer"]
    assert (rows[0]["label"], rows[0]["number"], rows[0]["error"]) == ("", "", "")
    assert rows[1]["error"].startswith("no scan: sMRI: ")
    assert json.loads((place / "answers.asked.json").read_text())["answers"] is None


def test_two_runs_do_not_write_the_same_answers(tmp_path, monkeypatch):
    monkeypatch.setattr(kept, "PATIENCE_S", 0.1)
    first, second = (kept.KeptAnswers(tmp_path / "new" / "answers.csv") for _ in range(2))
    first.open({"question": "a"}, False)
    first.file.append([{"image": "x", "state": None, "answer": "y"}])
    for overwrite in (False, True):
        with pytest.raises(FileExistsError, match=r"answers\.csv: expected no other process that writes these"):
            second.open({"question": "a"}, overwrite)
    assert len(first.file.read()) == 1
    first.close()
    second.close()
    second.open({"question": "b"}, True)
    assert second.file.read() == []


@pytest.mark.nightly
def test_two_processes_answer_as_one(call, place):
    rows = ask(call, "--folder", "scans")
    command = [sys.executable, BIN / "accelerate", "launch", "--cpu", "--num_processes", 2, "--mixed_precision", "no"]
    command += ["--main_process_port", find_free_port(), ROOT / "recipes" / "predict.py"]
    (place / "scans" / "text.nii").unlink()
    flags = ["--model_name_or_path", "run", "--folder", "scans", "--output", "two.csv", "--batch_size", 1, *FAST]
    launch([*command, *flags], place)
    with open(place / "two.csv", encoding="utf-8", newline="") as file:
        two = list(csv.DictReader(file))
    assert [row["answer"] for row in two] == [row["answer"] for row in rows[:-1]]
    both = [np.array([float(row["probability_male"]) for row in some]) for some in (two, rows[:-1])]
    assert np.abs(both[0] - both[1]).max() < 1e-5
