"""Repeatability: which rows are repeats, what their answers come to, and what is said where nothing can be known."""

import json

import eval as evaluation
import numpy as np
import pytest
from datasets import Dataset

from umbrella.answers.reading import LabelReading, NumberReading
from umbrella.evaluation.evidence import repeats as kinds
from umbrella.evaluation.evidence.repeatability import CHANGED, UNREAD, summarize_repeats
from umbrella.evaluation.evidence.repeats import find_repeats
from umbrella.evaluation.questions import Classification, FreeText, Regression
from umbrella.evaluation.results import subjects_of_rows
from umbrella.report.repeatability_section import describe_repeatability

SEX = Classification(LabelReading(("female", "male")), "This is a {label} subject.")
AGE = Regression(NumberReading("years"))


def make_row(task_id, subject, session=None, *, scan=None, question="Male or female?", name="subject_session", **more):
    reference = more.pop("reference", None)
    kind = more.pop("comparison_type", None)
    extra = more | ({} if session is None else {name: session})
    path = scan or f"/scans/{subject}_{session or task_id}.nii.gz"
    items = [{"type": "image", "text": None}, {"type": "text", "text": question}]
    return {
        "task_id": task_id,
        "task_type": "T1" if reference is None else "T3",
        "images": [{"path": path, "token": "<image>", "modality": "sMRI"}],
        "conversations": [
            {"role": "user", "content": items},
            {"role": "assistant", "content": [{"type": "text", "text": "-"}]},
        ],
        "metadata": {
            "subject_id": subject,
            "reference_id": reference,
            "comparison_type": kind,
            "task": "sex",
            "extra": json.dumps(extra),
        },
    }


def make_sessions(*sessions, subjects=("a", "b", "c"), **more):
    return [make_row(f"{s}{i}", s, session, **more) for s in subjects for i, session in enumerate(sessions)]


def find(rows, pairs=None):
    return find_repeats(Dataset.from_list(rows), pairs)


def summarize(rows, records, question, pairs=None):
    rows = Dataset.from_list(rows)
    return summarize_repeats(find_repeats(rows, pairs), records, subjects_of_rows(rows), question, 200)


def label(said, true="male"):
    return {"parsed_label": said, "expected_label": true}


def age(said, true=40.0):
    return {"parsed_number": said, "expected_number": true}


@pytest.mark.parametrize("name", kinds.SESSION_NAMES)
def test_sessions_are_found_by_any_of_their_names_and_put_in_order_of_their_numbers(name):
    found = find(make_sessions("10", "2", name=name))
    assert found.sets == [(1, 0), (3, 2), (5, 4)] and found.found_by == f"metadata.{name}" and not found.left_out


def test_each_question_is_compared_with_the_same_question():
    """Of one wording and reference where there is one, else of the same kind, which is counted."""
    rows = [
        make_row("0", "a", "1", question="A?", reference="r", comparison_type="same"),
        make_row("1", "a", "1", question="B?", reference="s", comparison_type="same"),
        make_row("2", "a", "1", question="A?", reference="t", comparison_type="different"),
        make_row("3", "a", "2", question="B?", reference="s", comparison_type="same"),
        make_row("4", "a", "2", question="A?", reference="r", comparison_type="same"),
        make_row("5", "a", "2", question="A?", reference="u", comparison_type="different"),
        make_row("6", "a", "2", question="C?", reference="v", comparison_type="different"),
    ]
    found = find(rows)
    assert found.sets == [(0, 4), (1, 3), (2, 5)]
    assert found.is_reworded == [False, False, True] and found.left_out == {kinds.UNMATCHED: 1}


def test_what_is_no_repeat_is_left_out_and_counted():
    rows = [
        *make_sessions("1", "2", subjects=("a",)),
        *make_sessions("1", "2", "3", subjects=("b",)),
        make_row("c", "c", "1"),
        make_row("d", "d"),
        *make_sessions("1", "2", subjects=("e",), scan="/scans/one_scan.nii.gz"),
        *make_sessions("2", "3", subjects=("f",), reference="f"),
    ]
    found = find(rows)
    assert found.sets == [(0, 1), (2, 3)]
    counts = {kinds.LATER: 1, kinds.ONE_SESSION: 1, kinds.NO_SESSION: 1, kinds.SAME_SCANS: 2, kinds.CHANGE: 2}
    assert found.left_out == counts


def test_rows_that_show_no_scan_are_said_to_show_none():
    """And a row that shows one is no repeat of one that shows none."""
    rows = make_sessions("1", "2")
    for row in rows[:3]:
        row["images"] = []
        row["conversations"][0]["content"] = row["conversations"][0]["content"][1:]
    schema = Dataset.from_list(make_sessions("1")).features
    found = find_repeats(Dataset.from_list(rows, features=schema), None)
    assert found.sets == [(4, 5)] and found.left_out == {kinds.NO_SCANS: 4}
    none = find_repeats(Dataset.from_list(rows[:2], features=schema), None)
    said = summarize_repeats(none, [label("male")] * 2, ["a", "a"], SEX, 200)["sentences"]
    assert "2 rows that show no scan" in said[1] and "the same scan" not in " ".join(said)


def test_one_scan_under_two_names_is_no_repeat(tmp_path):
    (tmp_path / "scan.nii").write_bytes(b"")
    (tmp_path / "link.nii").symlink_to("scan.nii")
    names = [str(tmp_path / name) for name in ("scan.nii", "link.nii")]
    found = find([make_row(str(i), "a", str(i), scan=name) for i, name in enumerate(names)])
    assert found.sets == [] and found.left_out == {kinds.SAME_SCANS: 2}


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (make_sessions(None), "no row states its session (subject_session or session or session_id"),
        (make_sessions("1"), "no two rows can be compared as repeats"),
    ],
)
def test_where_no_subject_has_two_sessions_it_is_said(rows, words):
    entry = summarize(rows, [label("male")] * len(rows), SEX)
    assert "Repeatability cannot be known" in entry["sentences"][0] and words in entry["sentences"][0]
    assert entry["n"] == 0 and json.loads(json.dumps(entry, allow_nan=False)) == entry
    assert describe_repeatability(entry, None).shown["chart"] is None


def write_table(folder, text, name="pairs.tsv"):
    path = folder / name
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize(
    ("name", "text", "sets"),
    [
        ("pairs.tsv", "task_id_1\ttask_id_2\na2\ta0\n\nb0\tb1\n", [(2, 0), (3, 4)]),
        ("pairs.csv", "\ufefftask_id_1,task_id_2,task_id_3\nb0,b1,b2\n", [(3, 4, 5)]),
        ("pairs.csv", "subject_id;session_1;session_2\nb;M12;M6\na;M0;M12\n", [(0, 2), (5, 4)]),
    ],
)
def test_a_table_names_the_rows_or_the_sessions_in_their_order(tmp_path, name, text, sets):
    rows = make_sessions("M0", "M6", "M12", subjects=("a", "b"))
    found = find(rows, write_table(tmp_path, text, name))
    assert found.sets == sets and found.left_out == {kinds.NOT_NAMED: 6 - sum(map(len, sets))}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "found nothing"),
        ("a\tb\n", "found a, b. Name the columns so"),
        ("task_id_1\n", "found task_id_1"),
        ("task_id_1\ttask_id_2\n", "found the first line alone"),
        ("task_id_1\ttask_id_2\na0\t\n", "pairs.tsv:2: expected 2 cells, none of them empty, found 1 filled of 2"),
        ("task_id_1\ttask_id_2\na0\tzz\n", "pairs.tsv:2: expected task_ids of the evaluated rows, found 'zz'"),
        ("task_id_1\ttask_id_2\na0\tb0\n", "expected rows of one subject, found 'a' and 'b'"),
        ("task_id_1\ttask_id_2\na0\ta1\nb0\ta1\n", "pairs.tsv:3: expected each row once, found 'a1' again"),
        ("subject_id\tsession_1\tsession_2\na\t1\t9\n", "found no row of 'a' at '9'"),
        ("subject_id\tsession_1\tsession_2\na\t1\t1\n", "expected each subject and session once"),
        ('task_id_1\ttask_id_2\n"a0\ta1\n', "expected a table, found unexpected end of data"),
    ],
)
def test_a_table_that_does_not_fit_is_refused_by_its_line(tmp_path, text, expected):
    with pytest.raises(ValueError) as error:
        find(make_sessions("1", "2"), write_table(tmp_path, text))
    assert expected in str(error.value) and "--pairs" in str(error.value)


def test_a_table_of_sessions_needs_rows_that_state_them_and_a_file_must_be_there(tmp_path):
    table = write_table(tmp_path, "subject_id\tsession_1\tsession_2\na\t1\t2\n")
    with pytest.raises(ValueError, match="Name rows instead: columns task_id_1, task_id_2"):
        find(make_sessions(None), table)
    for path, found in ((tmp_path / "no.tsv", "found no such file"), (tmp_path / "x.xlsx", "ends in .tsv or .csv")):
        with pytest.raises(ValueError, match=found):
            find(make_sessions("1", "2"), str(path))


def test_labels_that_repeat_are_counted_with_kappa_and_the_unreadable_as_an_answer():
    rows = make_sessions("1", "2", subjects=[f"s{i}" for i in range(8)])
    said = [("male", "male")] * 3 + [("female", "female")] * 2 + [("male", "female"), (None, None), (None, "male")]
    entry = summarize(rows, [label(answer) for pair in said for answer in pair], SEX)
    assert entry["alike"]["value"] == 6 / 8 and entry["alike"]["interval"][0] < 6 / 8 < entry["alike"]["interval"][1]
    assert entry["kappa"]["value"] == pytest.approx((0.75 - 24 / 64) / (1 - 24 / 64)) and entry["n_unread"] == 3
    assert entry["kappa"]["interval"][0] < entry["kappa"]["value"] < entry["kappa"]["interval"][1]
    assert entry["counts"] == [[2, 0, 0], [1, 3, 0], [0, 1, 1]] and entry["labels"][-1] == "unreadable"
    assert (entry["all_right"], entry["all_wrong"]) == (3 / 8, 3 / 8)
    first, second, third = entry["sentences"]
    assert entry["limits"] == [first]  # for the model's card
    assert "says the same in 75.0 %" in first and "8 questions at two sessions of 8 subjects" in first
    assert "3 of 16 answers are unreadable" in second and "At all sessions right: 37.5 %" in third
    section = describe_repeatability(entry, None)
    assert section.shown["labels"] == ["female", "male", "unreadable"] and section.shown["counts"] == entry["counts"]


def test_a_true_label_that_changes_is_no_repeat():
    rows = make_sessions("1", "2")
    records = [label("male"), label("male", "female"), *[label("male")] * 2, *[label("female")] * 2]
    entry = summarize(rows, records, SEX)
    assert entry["n"] == 2 and entry["left_out"] == {CHANGED: 2} and "a real change" in entry["sentences"][-1]


def test_kappa_of_one_and_the_same_answer_is_said_to_be_undefined():
    entry = summarize(make_sessions("1", "2"), [label("male")] * 6, SEX)
    assert (
        entry["limits"] == []
        and entry["kappa"] is None
        and entry["alike"]["value"] == 1
        and entry["alike"]["interval"][0] < 0.6
    )
    assert "Cohen's κ is not defined" in entry["sentences"][1]


def test_perfect_agreement_has_no_interval_of_kappa_and_three_sessions_are_said():
    rows = make_sessions("1", "2", "3", subjects="abcd")
    entry = summarize(rows, [label(said) for said in ("male", "female", "male", "female") for _ in range(3)], SEX)
    assert entry["kappa"] == {"value": 1.0, "interval": None} and entry["n_sessions"] == 3
    assert (
        "at 3 sessions" in entry["sentences"][0]
        and "mean over pairs of sessions, is 1.00 (no interval)" in (entry["sentences"][1])
    )


def test_numbers_have_icc_repeatability_and_limits():
    draw = np.random.default_rng(0)
    true = draw.uniform(20, 80, 30)
    said = true[:, None] + draw.normal(0, 3, (30, 2)) + [0, 1]
    rows = make_sessions("1", "2", subjects=[f"s{i}" for i in range(30)])
    entry = summarize(rows, [age(x, t) for pair, t in zip(said, true, strict=True) for x in pair], AGE)
    assert 0.9 < entry["icc"]["value"] < 1 and entry["icc"]["interval"][0] < entry["icc"]["value"]
    assert entry["repeatability"]["value"] == pytest.approx(8.3, abs=2.5)
    assert entry["bias"]["value"] == pytest.approx((said[:, 1] - said[:, 0]).mean())
    assert [len(entry[name]["interval"]) for name in ("icc", "repeatability", "bias", "low", "high")] == [2] * 5
    assert entry["n_changed"] == 0 and "years in 95 % of cases" in entry["sentences"][0]
    section = describe_repeatability(entry, None)
    assert section.shown["chart"].count("<use") >= 30 and "limits of agreement" in section.shown["text"]


def test_several_rows_of_a_subject_count_as_one_subject():
    """The same answers ten times tell no more: the interval is not narrower by √10."""
    draw = np.random.default_rng(1)
    said = draw.uniform(20, 80, (12, 1)) + draw.normal(0, 4, (12, 2))
    subjects = [f"s{i}" for i in range(12)]
    once = summarize(make_sessions("1", "2", subjects=subjects), [age(x) for pair in said for x in pair], AGE)
    rows = [make_row(f"{s}{i}{n}", s, str(i), question=f"{n}?") for s in subjects for i in range(2) for n in range(10)]
    tenfold = summarize(rows, [age(x) for pair in said for x in pair for _ in range(10)], AGE)
    assert (tenfold["n"], tenfold["n_subjects"]) == (120, 12)
    for name in ("repeatability", "icc", "bias"):
        narrow, wide = (np.ptp(entry[name]["interval"]) for entry in (tenfold, once))
        assert 0.6 * wide < narrow < 1.6 * wide, name


def test_a_true_number_that_changes_is_taken_off_and_an_unread_one_left_out():
    rows = make_sessions("1", "2", subjects="abcd")
    records = [age(30, 30), age(32, 32), age(50, 50), age(53, 53), age(70, 70), age(70, 70), age(None), age(20)]
    entry = summarize(rows, records, AGE)
    assert entry["n"] == 3 and entry["left_out"] == {UNREAD: 2}
    assert entry["repeatability"]["value"] == 0 and entry["icc"] == {"value": 1.0, "interval": None}
    assert entry["n_changed"] == 2 and "by up to 3 years: the change is taken off" in " ".join(entry["sentences"])


@pytest.mark.parametrize(
    ("rows", "records", "words"),
    [
        (make_sessions("1", "2", subjects="a"), [age(30), age(35)], "there is one question only"),
        (make_sessions("1", "2"), [age(40)] * 6, "all answers are the same number"),
        (make_sessions("1", "2"), [age(None)] * 6, "no two rows can be compared"),
    ],
)
def test_numbers_of_which_nothing_can_be_said_say_so(rows, records, words):
    entry = summarize(rows, records, AGE)
    assert words in " ".join(entry["sentences"])
    assert json.loads(json.dumps(entry, allow_nan=False)) is not None
    describe_repeatability(entry, None)


def test_texts_are_the_same_or_not():
    texts = ["a", "a", "b", "b ", "c", "c"]
    entry = summarize(make_sessions("1", "2"), [{"prediction": text, "answer": "a"} for text in texts], FreeText())
    assert entry["alike"]["value"] == pytest.approx(2 / 3)
    assert "the same text to the letter in 66.7 %" in entry["sentences"][0]


def make_two_sessions(data):
    """The four subjects of the test split become two, each with two sessions, as the cohort builder names them."""
    split, new = data / "test", {}
    records = {path: json.loads(path.read_text()) for path in sorted(split.glob("*.json"))}
    of_label = {}
    for record in records.values():
        metadata = record["metadata"]
        known = of_label.setdefault(metadata["subject_label"], [])
        if metadata["subject_id"] not in known:
            known.append(metadata["subject_id"])
    for subjects in of_label.values():
        new |= {subject: (f"{subjects[0]}_twice", str(number)) for number, subject in enumerate(subjects, 1)}
    for path, record in records.items():
        metadata = record["metadata"]
        metadata["subject_id"], metadata["subject_session"] = new[metadata["subject_id"]]
        path.write_text(json.dumps(record))


@pytest.mark.slow
def test_an_evaluation_says_how_far_answers_repeat_and_refuses_a_wrong_table_at_once(call, data, tmp_path):
    make_two_sessions(data)
    flags = ("--model_name_or_path", "tiny", "--json_dir", data, "--output_dir", tmp_path / "out", "--max_length", 256)
    fast = ("--max_new_tokens", 4, "--bootstrap", 20, "--baselines", "false", "--controls", "false")
    printed = call(evaluation, *flags, *fast)
    entry = json.loads((tmp_path / "out/metrics.json").read_text())["evidence"]["repeatability"]
    assert (entry["n"], entry["n_subjects"], entry["n_sessions"]) == (4, 2, 2)
    assert entry["found_by"] == "metadata.subject_session" and all(said in printed for said in entry["sentences"])
    for page in ("report.html", "report_public.html"):
        assert '<section id="repeatability">' in (tmp_path / "out" / page).read_text(encoding="utf-8")
    with pytest.raises(SystemExit, match="expected task_ids of the evaluated rows, found 'x'"):
        call(evaluation, *flags, "--pairs", write_table(tmp_path, "task_id_1\ttask_id_2\nx\ty\n"))
