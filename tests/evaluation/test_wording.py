"""Wording: which phrasings a question has, from the data or a file, and what comes of asking in all of them."""

import json
from types import SimpleNamespace

import pytest
from datasets import DatasetDict
from generate_sex_comparison_conversations import PHRASINGS

from umbrella.answers.generation import Answer
from umbrella.answers.reading import LabelReading
from umbrella.evaluation.evidence.phrasings import (
    MOST_PHRASINGS,
    fill_phrasings,
    find_phrasings,
    find_question_text,
    replace_question,
)
from umbrella.evaluation.evidence.wording import gather_wording, judge_wording
from umbrella.evaluation.questions import Classification
from umbrella.evaluation.statistics.measures import ACCURACY
from umbrella_dataset import load_umbrella


@pytest.fixture(scope="module")
def splits(small_data):
    return DatasetDict({name: load_umbrella(str(small_data), split=name) for name in ("train", "validation", "test")})


def reword(rows, to_text, **metadata):
    """The rows with other questions, and with other metadata of each label."""

    def change(row):
        turns = replace_question(row["conversations"], to_text(row))
        return {"conversations": turns, "metadata": row["metadata"] | metadata}

    return rows.with_format(None).map(change, load_from_cache_file=False, keep_in_memory=True)


# ------------------------------------------------------------------------------------------------ the data's own


def test_the_phrasings_are_those_in_which_rows_of_both_labels_ask(splits):
    found = find_phrasings(splits["test"], splits)
    assert {text for texts in found.by_row for text in texts} == set(PHRASINGS.question)
    assert all(set(texts) == set(PHRASINGS.question) for texts in found.by_row)
    assert "the 4 in which rows of the same task ask" in found.evidence and "(24 rows" in found.evidence


def test_a_text_that_says_something_of_its_row_is_no_phrasing(splits):
    def say_reference(row):
        return f"The first was {row['metadata']['reference_label']}. And this one?"

    told = DatasetDict({name: reword(rows, say_reference) for name, rows in splits.items()})
    found = find_phrasings(told["test"], told)
    assert not any(found.by_row) and "cannot be told" in found.evidence and "no two texts" in found.evidence


@pytest.mark.parametrize(
    ("to_text", "said"),
    [(lambda row: "Male or female?", "found one text alone"), (lambda row: row["task_id"], "for nearly each row")],
)
def test_where_the_phrasings_cannot_be_known_a_sentence_says_so(to_text, said, splits):
    told = DatasetDict({name: reword(rows, to_text) for name, rows in splits.items()})
    asked = SimpleNamespace(wording=True, phrasings=None, robustness_n=9, seed=0)
    asker = SimpleNamespace(question=Classification(LabelReading(("female", "male")), "{label}"))
    entry = gather_wording(asker, asked, told["test"], [{}] * 8, told)
    assert entry["phrasings"] == [] and len(entry["sentences"]) == 1 and said in entry["sentences"][0]
    assert "(phrasings)" in entry["sentences"][0] and MOST_PHRASINGS < 24


# ------------------------------------------------------------------------------------------------ a user's file


def write(tmp_path, text):
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    "text",
    [
        "- Is it {labels}?\n- 'The first is {reference_value}: is this {labels}?'",
        "question: [\"Is it {labels}?\", 'The first is {reference_value}: is this {labels}?']",
        "task: mine\ncomparison:\n  introduction: [x]\n  question:\n    - Is it {labels}?\n"
        "    - 'The first is {reference_value}: is this {labels}?'\nsingle: {question: [a, b]}",
    ],
)
def test_a_users_phrasings_are_filled_in_for_each_row(text, splits, tmp_path):
    rows = splits["test"]
    found = fill_phrasings(write(tmp_path, text), rows, ["female", "male"])
    for texts, entry in zip(found.by_row, rows["metadata"], strict=True):
        assert list(texts.values()) == [
            "Is it female or male?",
            f"The first is {entry['reference_label']}: is this female or male?",
        ]
    assert found.evidence == "Phrasings: the 2 of mine.yaml (phrasings)."


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- Only one?", "two or more different questions"),
        ("answer: [a, b]", "found the keys answer"),
        ("just words", "found str"),
        ("- Is it {value}?\n- Or?", r"expected the fields labels, .*found \{value\}"),
        ("- Is it {labels\n- Or?", "mine.yaml: expected {fields}"),
        ("- In {unit}?\n- Or?", r"expected a value for \{unit\} in each row, found none in .*Word it without"),
    ],
)
def test_a_file_of_another_form_is_refused_by_name(text, said, splits, tmp_path):
    with pytest.raises(ValueError, match=said) as caught:
        fill_phrasings(write(tmp_path, text), splits["test"], ["female", "male"])
    assert "mine.yaml" in str(caught.value)


def test_a_file_that_is_not_there_is_named():
    with pytest.raises(ValueError, match=r"--phrasings nowhere\.yaml: expected a YAML file, found none"):
        fill_phrasings("nowhere.yaml", None, [])


# ------------------------------------------------------------------------------------------------ asked in all of them


class TellingAsker:
    """Knows every answer, but says "male" to whoever is asked to decide."""

    question = Classification(LabelReading(("female", "male")), "{label}")

    def answer(self, row):
        decide = "Decide" in find_question_text(row["conversations"])
        return "male" if decide else row["metadata"]["subject_label"]

    def ask_variants(self, variants, rows, name):
        self.n_asked = len(variants)
        whole = [{**rows[variant["row"]], **variant} for variant in variants]
        assert len(set(variants["task_id"])) == len(variants)
        return [self.question.to_control_record(row, Answer(row["task_id"], self.answer(row), [])) for row in whole]


def test_the_worst_phrasing_is_the_one_that_the_model_answers_otherwise(splits):
    rows, asker = splits["test"], TellingAsker()
    truths = [entry["subject_label"] for entry in rows["metadata"]]
    records = [
        {"parsed_label": asker.answer(row), "expected_label": truth, "prediction": asker.answer(row)}
        for row, truth in zip(rows.with_format(None), truths, strict=True)
    ]
    asked = SimpleNamespace(wording=True, phrasings=None, robustness_n=200, seed=0)
    entry = gather_wording(asker, asked, rows, records, splits)
    accuracy = {one["phrasing"]: one["accuracy"] for one in entry["phrasings"]}
    assert accuracy == {text: 0.5 if "Decide" in text else 1.0 for text in PHRASINGS.question}
    assert (entry["agree"], entry["n"], entry["n_subjects"]) == (0.5, 8, 4)
    assert asker.n_asked == 3 * 8  # each row's own phrasing is answered already
    assert "Worst phrasing, by accuracy: “Decide from this scan: male or female?” 50.0 %" in entry["sentences"][2]
    assert entry["limits"] == entry["sentences"][1:2] and "Too few rows" in entry["limits"][0]
    json.dumps(entry)


@pytest.mark.parametrize(
    ("interval", "start"),
    [((0.92, 0.99), "The wording hardly matters"), ((0.5, 0.8), "The wording matters"), ((0.7, 0.95), "Too few rows")],
)
def test_the_wording_matters_where_fewer_than_90_percent_agree(interval, start):
    phrasing = {"phrasing": "Is it?", "accuracy": 0.8, "accuracy_interval": (0.7, 0.9), "changed": 0.2}
    entry = {"agree": 0.9, "agree_interval": interval, "phrasings": [phrasing, phrasing | {"phrasing": "Or?"}]}
    sentences = judge_wording(entry, ACCURACY, "all 9 rows of 9 subjects")
    assert sentences[0].startswith(start)
    assert sentences[1].startswith("No phrasing does worse than another: accuracy “Is it?” 80.0 %")
    assert judge_wording(entry, None, "9 rows")[1].endswith("“Is it?”: in 20.0 % of the rows.")
