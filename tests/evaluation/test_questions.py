"""From a split's rows to how its answers are read and scored, before training and before evaluation."""

import json

import pytest
from datasets import Dataset

from umbrella.answers.generation import Answer
from umbrella.answers.selection import keep_task
from umbrella.evaluation.questions import Classification, FreeText, Regression, find_question
from umbrella.options.arguments import EvalArguments
from umbrella.training.answer_check import check_answers


def make_split(labels, answers="It is {}.", references=None, **extra):
    answers = [answers.format(label) for label in labels] if isinstance(answers, str) else answers
    return Dataset.from_list(
        [
            {
                "task_id": f"{i}",
                "source": f"test/{i}.json",
                "metadata": {"subject_id": f"s{i}", "subject_label": label, "extra": json.dumps(extra)},
                "conversations": [{"role": "assistant", "content": [{"type": "text", "text": answer}]}],
            }
            for i, (label, answer) in enumerate(zip(labels, answers, strict=True))
        ]
    )


def predict(question, rows, texts):
    """Predictions of a model that says these texts."""
    likelihoods = [0.0] * len(question.candidates())
    return [
        question.to_prediction(row, Answer(row["task_id"], text, likelihoods), "prompt")
        for row, text in zip(rows, texts, strict=True)
    ]


def accuracy(true, texts, **options):
    rows = make_split(true)
    question = find_question(rows, EvalArguments(**options))
    return question.summarize(predict(question, rows, texts), [f"s{i}" for i in range(len(rows))], 20, 0)["accuracy"]


def test_letter_case_between_labels_and_answers_costs_nothing():
    assert accuracy(["Male", "male", "Female"], ["male", "It is MALE", "female."]) == 1.0
    assert accuracy(["Male", "male", "Female"], ["male"] * 3, labels=["MALE", "FEMALE"]) == pytest.approx(2 / 3)


@pytest.mark.parametrize("labels", [[], ["male", ""], ["male", " ", "female"], ["male", "\0"]])
def test_an_empty_label_among_those_asked_for_is_refused(labels):
    with pytest.raises(ValueError, match="--labels: expected labels with commas between them, found"):
        find_question(make_split(["male", "female"]), EvalArguments(labels=labels))


def test_grades_are_classes_and_the_decimal_sign_of_the_answers_is_followed(capsys):
    assert isinstance(find_question(make_split(["grade 2", "grade 3"]), EvalArguments()), Classification)
    rows = make_split(["23,5", "41"], "Das Alter ist {} Jahre.")
    question = find_question(rows, EvalArguments())
    assert isinstance(question, Regression)
    records = predict(question, rows, ["23,5", "1.041 Jahre"])
    assert [(r["parsed_number"], r["expected_number"]) for r in records] == [(23.5, 23.5), (1041.0, 41.0)]
    printed = capsys.readouterr().out
    assert "subject_label: 2 values, all numbers → regression; eval.py --task classification for classes" in printed
    assert (
        'decimal sign ",", thousands sign ".": told from 1 of 2, as "23,5"; eval.py --decimal_sign for another'
        in printed
    )
    assert "own answers: 2 of 2 answers state their subject_label" in printed
    summary = question.summarize(records, ["a", "b"], 20, 0)
    assert any("decimal sign" in sentence for sentence in summary["told_from"])


def test_the_stored_unit_is_that_of_the_numbers_unless_a_flag_states_one():
    rows = make_split(["3", "4"], target_type="numeric", unit="years")
    assert find_question(rows, EvalArguments()).to_dict()["unit"] == "years"
    assert find_question(rows, EvalArguments(unit="months")).to_dict()["unit"] == "months"
    (record, _) = predict(find_question(rows, EvalArguments()), rows, ["36 months", "4"])
    assert (record["parsed_number"], record["expected_number"]) == (3.0, 3.0)


def test_labels_that_no_answer_states_end_with_counts_examples_and_remedies_that_work(capsys):
    rows = make_split(["M", "F"], ["The subject is male.", "The subject is female."])
    with pytest.raises(ValueError) as error:
        find_question(rows, EvalArguments())
    sentence = str(error.value)
    assert "0 of 2 answers state their subject_label" in sentence
    assert "test/0.json: nothing can be read in 'The subject is male.', whose label is 'M'" in sentence
    assert "--task text" in sentence and "--task classification" in sentence
    assert isinstance(find_question(rows, EvalArguments(task="text")), FreeText)
    assert find_question(rows, EvalArguments(task="classification")).labels == ["F", "M"]
    assert "WARNING: own answers: 0 of 2 answers" in capsys.readouterr().out


def test_a_label_that_reads_as_another_is_refused_before_the_model_is_loaded():
    rows = make_split(["lesion", "no lesion"], ["There is no lesion.", "There is no no lesion."])
    with pytest.raises(ValueError, match=r"'lesion', which reads as 'no lesion' in 'There is no lesion\."):
        find_question(rows, EvalArguments(task="classification"))
    with pytest.raises(ValueError, match="'female', which cannot be read in 'It is not female'"):
        find_question(make_split(["male", "female"]), EvalArguments(answer_template="It is not {label}"))


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        (make_split(["male", "female"]), "train: own answers: 2 of 2 answers state their subject_label"),
        (
            make_split(["M", "F"], ["male", "female"]),
            "train: WARNING: eval.py will look for what most of these answers",
        ),
        (
            make_split(["male"] * 3),
            "train: WARNING: all 3 rows have the subject_label 'male': there is nothing to tell",
        ),
        (make_split(["45,5", "44"]), 'train: numbers: decimal sign ",", thousands sign "."'),
        (make_split([None, None], "A report."), ""),
    ],
)
def test_before_training_it_is_said_whether_answers_state_their_labels(rows, told, capsys):
    check_answers({"train": rows}, n_answers=64)
    assert told in (printed := capsys.readouterr().out)
    assert bool(printed) == bool(told)


def test_before_training_labels_that_contradict_one_another_are_an_error_and_the_way_out_works(capsys):
    rows = make_split(["lesion", "no lesion"], "There is no {}.")
    with pytest.raises(ValueError, match=r"which reads as 'no lesion'.* --eval_answers 0"):
        check_answers({"train": rows}, n_answers=64)
    check_answers({"train": rows}, n_answers=0)
    assert capsys.readouterr().out == ""


def test_few_rows_take_the_wording_of_all_splits(capsys):
    """With one row a label no wording is used with every label; in training each is."""
    test = make_split(["male", "female"], ["He: male.", "A female head."])
    assert find_question(test, EvalArguments()).answer_template == "{label}"
    assert (
        "WARNING: probabilities are of the answer '{label}', which no row's own answer has" in capsys.readouterr().out
    )
    train = make_split(["male", "female"] * 4, ["He: male.", "He: female."] * 3 + ["A male head.", "A female head."])
    assert find_question(test, EvalArguments(), {"train": train, "test": test}).answer_template == "He: {label}."
    assert "probabilities" not in capsys.readouterr().out


def test_labels_alone_are_the_wording_where_answers_say_no_more(capsys):
    assert find_question(make_split(["male", "female"], "{}"), EvalArguments()).answer_template == "{label}"
    assert "probabilities" not in capsys.readouterr().out


MIXED = Dataset.from_list(
    [*make_split(["45.5", "44"], target_type="numeric"), *make_split(["m", "f"], target_type="categorical")]
)


def test_rows_of_two_kinds_are_trained_with_a_warning_and_no_answer_check(capsys):
    check_answers({"train": MIXED}, n_answers=64)
    assert "train: WARNING: metadata.target_type: categorical in 2 rows, numeric in 2 rows" in capsys.readouterr().out


def test_rows_of_two_kinds_are_evaluated_apart_by_the_flags_that_the_error_names():
    with pytest.raises(ValueError, match=r"eval.py --task classification and eval.py --task regression keep the rows"):
        find_question(MIXED, EvalArguments())
    for task, labels, reading in (
        ("classification", ["m", "f"], Classification),
        ("regression", ["45.5", "44"], Regression),
    ):
        rows = keep_task(MIXED, task)
        assert [entry["subject_label"] for entry in rows["metadata"]] == labels
        assert isinstance(find_question(rows, EvalArguments(task=task)), reading)
    assert len(keep_task(make_split(["1", "2"], target_type="numeric"), "classification")) == 2


@pytest.mark.parametrize(
    ("flags", "labels"),
    [
        ({"task": "regression", "labels": ["45", "44.5"]}, ["45", "44.5"]),
        ({"answer_template": "It is {label}"}, ["45", "44.5"]),
        ({"unit": "years"}, ["male", "female"]),
        ({"decimal_sign": ","}, ["male", "female"]),
        ({"task": "text", "labels": ["male", "female"]}, ["male", "female"]),
        ({"task": "text", "answer_template": "It is {label}"}, ["male", "female"]),
    ],
)
def test_a_flag_that_the_task_does_not_read_is_refused(flags, labels):
    with pytest.raises(ValueError, match=f"--{list(flags)[-1]}: expected a task that reads it, .*, found .*Leave it"):
        find_question(make_split(labels), EvalArguments(**flags))
