"""A model of studies is asked as it was trained: each sequence by its name, what is absent in words."""

import csv
import json

import eval as evaluation
import predict
import pytest
from conversation_folder import write_scan
from hypothesis import given
from hypothesis import strategies as st
from loud_model import save_loud_model
from properties import examples
from study_trees import SEQUENCES, STUDY, generate_records, remove_scan, write_studies

from umbrella.answers.own_question import STUDIES, choose_question
from umbrella.answers.own_question import STUDY as ASKED
from umbrella.answers.prediction import make_question_rows
from umbrella.answers.talking.conversation import Conversation
from umbrella.cohort.many.arguments import ManyArguments
from umbrella.cohort.many.kept import describe_state
from umbrella.cohort.many.scans import find_asked_scans
from umbrella.conversations.layout import describe_layout, list_sequences
from umbrella.files.studies import read_named, write_named
from umbrella.options.tool_arguments import PredictArguments
from umbrella.privacy.shared_questions import record_questions
from umbrella.records.trained_questions import TrainedQuestions, load_trained_questions
from umbrella_dataset import load_umbrella

QUESTION = ("--question", "Which sex?")


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """30 subjects; every third has no FLAIR."""
    tree = write_studies(tmp_path_factory.mktemp("asked") / "bids", 30)
    for i in range(3, 31, 3):
        remove_scan(tree, f"sub-{i:02d}", "FLAIR")
    return tree


def load(tree, *flags, split="train"):
    generate_records(tree, *STUDY, *QUESTION, *flags)
    return load_umbrella(str(tree.parent / "out"), split=split)


def name_scans(row, of=slice(None)):
    paths = [scan["path"] for scan in row["images"]][of]
    return write_named({path.rpartition("_")[2].removesuffix(".nii.gz"): path for path in paths})


def test_what_is_asked_is_what_the_generator_would_have_written(tree):
    for row in load(tree).with_format(None).select(range(6)):
        asked = PredictArguments(image=name_scans(row).split(), question="Which sex?", use_cpu=True)
        made = make_question_rows(asked, None, SEQUENCES)[0]
        assert made["conversations"][:-1] == row["conversations"][:-1]
        assert (made["images"], made["modalities"]) == (row["images"], row["modalities"])


def test_the_record_holds_the_question_without_names_and_one_layout(tree, tmp_path):
    found = record_questions(load(tree))
    assert (found.questions, found.layouts, found.sequences) == ({"Which sex?": 24}, {ASKED: 24}, [*SEQUENCES])
    found.save(tmp_path)
    assert load_trained_questions(str(tmp_path)) == found
    drawn = record_questions(load(tree, "--sequence_order", "drawn", "--reference", "any", "--split", ".6,.2,.2"))
    assert (list(drawn.questions), list(drawn.layouts)) == (["Which sex?"], [STUDIES])
    assert sorted(drawn.sequences) == sorted(SEQUENCES)


def test_a_reworded_question_keeps_its_scans_and_their_names(tree):
    for row in load(tree).with_format(None).select(range(6)):
        conversation, question = Conversation.of_row(row)
        assert question.text == "Which sex?"
        items = list(question.reword("Male?").items)
        assert items[:-1] == list(question.items)[:-1] and items[-1]["text"] == "Male?"
        assert describe_layout(conversation.ask(question.reword("Male?"))["conversations"][:-1]) == ASKED
        assert list_sequences(items) == [*SEQUENCES]


def test_a_scan_without_its_name_is_not_asked_of_a_model_of_studies():
    trained = TrainedQuestions(9, {"Which?": 9}, {ASKED: 9}, sequences=[*SEQUENCES])
    with pytest.raises(ValueError, match=r"expected --image T1w=SCAN FLAIR=SCAN T2w=SCAN, .* \(9 of 9\)"):
        choose_question(None, trained, False, "m")
    assert choose_question("Which?", trained, False, "m").told[1].startswith("WARNING: turns: ")
    assert len(choose_question(None, trained, False, "m", is_study=True).told) == 1
    single = TrainedQuestions(9, {"Which?": 9}, {"image text": 9})
    assert choose_question(None, single, False, "m", is_study=True).told[1].startswith("WARNING: turns: ")
    asked = ManyArguments(image="T1w=a PDw=b")
    with pytest.raises(ValueError, match=r"expected sequences of training \(T1w, FLAIR, T2w\), found PDw"):
        asked.choose_sequences(SEQUENCES)
    assert asked.choose_sequences(())[0] == ["T1w", "PDw"]
    assert ManyArguments(image="T2w=a").choose_sequences(SEQUENCES)[0] == [*SEQUENCES]
    assert ManyArguments(image="my scan.nii").choose_sequences(SEQUENCES) == ([], [])
    for words in (
        ["a.nii", "b.nii"],
        ["T1w=a", "T1w=b"],
        ["T1w=", "FLAIR=b"],
        ["T1w=a", "FLAIR=a"],
        ["T1w=a,FLAIR=a"],
    ):
        with pytest.raises(ValueError, match=r"--image: expected .*NAME=SCAN"):
            ManyArguments(image=words)
    for words, name in (
        (["T1w=a", "flair=b"], "flair"),
        (["t1w=a", "my", "b", "FLAIR=b"], "t1w"),
        (["T1w=a", "FLIAR="], "FLIAR"),
    ):
        with pytest.raises(ValueError, match=f"--image: expected the names that BIDS gives .*, found {name}"):
            ManyArguments(image=words)
    assert ManyArguments(image=["T1w=my", "a,b", "scan.nii", "FLAIR=b"]).image == "T1w=my a,b scan.nii FLAIR=b"


@examples(40)
@given(st.dictionaries(st.sampled_from(SEQUENCES), st.text("ab c,/.", min_size=1).filter(str.strip), min_size=1))
def test_scans_that_are_written_with_their_names_are_read_again(scans):
    stripped = {scan.strip(" ,"): name for name, scan in scans.items() if scan.strip(" ,")}  # each once
    stripped = {name: scan for scan, name in stripped.items()}
    assert read_named(write_named(stripped)) == stripped
    assert read_named("".join(scans.values())) == {}


def test_visits_of_a_tree_and_rows_of_a_table_are_asked_about_as_studies(tree):
    out = {"output": "answers.csv", "modalities_of_visit": [*SEQUENCES]}
    found = find_asked_scans(ManyArguments(**out, bids_dir=str(tree)))
    assert len(found.rows) == 30
    assert [list(read_named(row.image)) for row in found.rows[:3]] == [[*SEQUENCES]] * 2 + [["T1w", "T2w"]]
    template = [f"{name}={{participant_id}}/anat/{{participant_id}}_{name}.nii.gz" for name in SEQUENCES]
    table = find_asked_scans(ManyArguments(**out, table=str(tree / "participants.tsv"), image_template=template))
    assert [row.image for row in table.rows] == [row.image for row in found.rows]
    few = ManyArguments(**out, table=str(tree / "participants.tsv"), image_template=template[:2])
    with pytest.raises(ValueError, match="expected T1w=PATH FLAIR=PATH T2w=PATH"):
        find_asked_scans(few)


def test_a_study_whose_one_file_changed_is_asked_again(tmp_path):
    scans = {name: str(tmp_path / f"{name}.nii") for name in SEQUENCES}
    for place, path in enumerate(scans.values()):
        write_scan(path, place)
    before = describe_state(write_named(scans))
    write_scan(scans["T2w"], 7)
    after = describe_state(write_named(scans))
    assert before != after == describe_state(write_named(scans))
    (tmp_path / "FLAIR.nii").unlink()
    assert describe_state(write_named(scans)) is None


@pytest.mark.slow
def test_a_study_is_evaluated_by_its_sequences_and_predicted_as_evaluated(call, tmp_path):
    tree = write_studies(tmp_path / "bids", 8)
    for seed, path in enumerate(sorted(tree.rglob("*.nii.gz"))):
        write_scan(path, seed)
    remove_scan(tree, "sub-01", "FLAIR")
    rows = load(tree, "--split", "0.25,0,0.75", split="test")
    save_loud_model(tmp_path / "run", view="coronal")
    record_questions(rows).save(tmp_path / "run")
    flags = ("--model_name_or_path", "run", "--max_new_tokens", 8)
    fast = ("--baselines", "false", "--bootstrap", 10, "--robustness", "false", "--output_dir", "eval")
    call(evaluation, *flags, "--json_dir", "out", *fast)
    metrics = json.loads((tmp_path / "eval/metrics.json").read_text())
    page = (tmp_path / "eval/report.html").read_text()
    for name in SEQUENCES:
        assert {f"{name}_swapped", f"without_{name}"} <= set(metrics["controls"])
        sentence = metrics["verdicts"][f"sequence {name}"]["sentence"]
        assert f"the {name}" in sentence and sentence.split(":")[0] in page
        assert metrics["controls"][f"without_{name}"]["title"] in page
    lines = (tmp_path / "eval/predictions.jsonl").read_text().splitlines()
    expected = {json.loads(line)["subject_id"]: json.loads(line)["prediction"] for line in lines}
    call(predict, *flags, "--bids_dir", "bids", "--output", "answers.csv")
    with open(tmp_path / "answers.csv", newline="") as file:
        answers = {row["participant_id"]: row["answer"] for row in csv.DictReader(file)}
    assert len(set(answers.values())) > 1  # else any answer would do
    assert {subject: answers[subject] for subject in expected} == expected
    for row in rows.select(range(2)):
        words = name_scans(row).split()
        assert call(predict, *flags, "--image", *words) == f"{expected[row['metadata']['subject_id']]}\n"
