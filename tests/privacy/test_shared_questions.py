"""What is recorded of the questions of training: wordings that several subjects share, never one's own text."""

import json

import pytest
from conversation_folder import make_record

from umbrella.privacy.shared_questions import PERSONAL, RARER, TOO_FEW, record_questions
from umbrella.records.trained_questions import FILE_NAME, TrainedQuestions, load_trained_questions
from umbrella_dataset import load_umbrella


def write_rows(folder, rows, **fields):
    """(subject, question, label, answer) → the rows of a data folder of no scans."""
    (folder / "train").mkdir(parents=True)
    for number, (subject, question, label, answer) in enumerate(rows):
        record = make_record(f"row_{number}", []) | fields
        record["conversations"][0]["content"][-1]["text"] = question
        record["conversations"][1]["content"][0]["text"] = answer
        record["metadata"] = {"subject_id": subject, "subject_label": label}
        (folder / "train" / f"row_{number}.json").write_text(json.dumps(record))
    return load_umbrella(str(folder), split="train")


def test_wordings_that_subjects_share_are_stored_and_others_are_counted(tmp_path):
    rows = [(f"s{i}", "Male or female?", "male", "It is male.") for i in range(4)]
    rows += [("s0", "Asked of one subject, often?", "female", "It is female.")] * 5
    rows += [(f"s{i}", "Is Mr. John Smith male or female?", "male", "It is male.") for i in range(3)]
    rows += [
        (f"t{number}", f"Wording of {'x' * (number // 3)}?", "female", "It is female.") for number in range(3 * 22)
    ]
    found = record_questions(write_rows(tmp_path, rows))
    assert found.rows == len(rows)
    assert next(iter(found.questions.items())) == ("Male or female?", 4)
    assert len(found.questions) == 20
    assert found.left_out == {TOO_FEW: 5, PERSONAL: 3, RARER: 9}
    assert not any("Smith" in text or "often" in text for text in found.questions)
    assert found.answers == {
        "task": "classification",
        "labels": ["female", "male"],
        "forms": [],
        "answer_template": "It is {label}.",
    }
    found.save(tmp_path)
    assert load_trained_questions(str(tmp_path)) == found
    assert "Smith" not in (tmp_path / FILE_NAME).read_text()


@pytest.mark.parametrize(
    "label, answer, expected",
    [
        (lambda i: f"{i}.5", lambda i: f"{i}.5 years", {"task": "regression", "unit": "years"}),
        (lambda i: "ab"[i % 2], lambda i: f"Nothing of note {i}.", {"task": "text"}),
        (lambda i: f"group{i}", lambda i: f"group{i}", None),
        (lambda i: "ab"[i < 2], lambda i: f"It is {'ab'[i < 2]}.", None),
        (lambda i: "ab"[i < 3], lambda i: f"It is {'ab'[i < 3]}.", {"labels": ["a", "b"]}),
    ],
)
def test_how_answers_are_read_is_stored_where_it_can_be(label, answer, expected, tmp_path):
    rows = [(f"s{i}", "What?", label(i), answer(i)) for i in range(60)]
    found = record_questions(write_rows(tmp_path, rows))
    assert found.answers is None if expected is None else expected.items() <= found.answers.items()
    assert found.answers_told
    found.save(tmp_path)
    assert load_trained_questions(str(tmp_path)) == found


def test_a_subject_that_the_rows_name_by_its_scans_alone_is_one(tmp_path):
    rows = [(None, "Has the patient of bed nine changed?", "ab"[i % 2], f"It is {'ab'[i % 2]}.") for i in range(6)]
    found = record_questions(write_rows(tmp_path, rows, subject_ids=["sub-reference", "sub-1"]))
    assert (found.questions, found.left_out) == ({}, {TOO_FEW: 6})
    assert found.answers is None and "2 of 2 labels are shared by fewer" in found.answers_told


def test_wordings_are_told_apart_by_what_stands_before_the_answer(tmp_path):
    rows = [(f"s{i}", "What?", None, "That.") for i in range(4)]
    found = record_questions(write_rows(tmp_path, rows))
    assert list(found.by_layout.values()) == [{"What?": 4}] and found.by_layout.keys() == found.layouts.keys()
    found.save(tmp_path)
    assert load_trained_questions(str(tmp_path)) == found
    record = json.loads((tmp_path / FILE_NAME).read_text())
    del record["by_layout"]  # as an older run has it
    (tmp_path / FILE_NAME).write_text(json.dumps(record))
    assert load_trained_questions(str(tmp_path)).by_layout == {}


def test_rows_without_labels_are_told(tmp_path):
    found = record_questions(write_rows(tmp_path, [(f"s{i}", "What?", None, "That.") for i in range(3)]))
    assert (found.answers, found.questions) == (None, {"What?": 3})
    assert found.answers_told == "no row has metadata.subject_label, of which labels are told"


@pytest.mark.parametrize(
    "change",
    [
        lambda record: record.update(version=2),
        lambda record: record.pop("questions"),
        lambda record: record.update(questions=[{"text": "a", "rows": "3"}]),
        lambda record: record.update(answers={"task": "classification"}),
        lambda record: record.update(more=1),
    ],
)
def test_a_record_of_another_form_is_named(change, tmp_path):
    TrainedQuestions(3, {"What?": 3}).save(tmp_path)
    record = json.loads((tmp_path / FILE_NAME).read_text())
    change(record)
    (tmp_path / FILE_NAME).write_text(json.dumps(record))
    with pytest.raises(ValueError, match=rf"{FILE_NAME}: expected .* or remove it: then give --question"):
        load_trained_questions(str(tmp_path))


def test_a_model_without_a_record_has_none(tmp_path):
    assert load_trained_questions(str(tmp_path)) is None and load_trained_questions("tiny") is None
