"""Several cohorts become one data set in which nobody and nothing is taken for another."""

import json
import os

import pytest
from conversation_folder import make_record, write_folder
from datasets import Dataset, DatasetDict

from umbrella.options.arguments import DataArguments
from umbrella.records.training_data import TrainingData, read_training_data, subjects_of
from umbrella.rows.cohort_labels import are_other_words
from umbrella.rows.cohort_names import cohorts_of
from umbrella.rows.loading import load_splits
from umbrella.rows.mixing import join_cohorts
from umbrella_dataset import FEATURES, FormatError, load_umbrella, to_row


def make(change=None, **splits):
    """Split → the subjects of its conversations, each with a scan, which need not be there."""
    made = {}
    for split, subjects in splits.items():
        records = [make_record(f"row_{n}", [f"{subject}.nii"]) for n, subject in enumerate(subjects)]
        for subject, record in zip(subjects, records, strict=True):
            record["subject_ids"] = [subject]
            record["metadata"]["subject_id"] = subject
            if change is not None:
                change(record)
        rows = [to_row(record, f"{split}/rows.jsonl:{n}", f"/{id(made)}") for n, record in enumerate(records, 1)]
        made[split] = Dataset.from_list(rows, features=FEATURES)
    return DatasetDict(made)


def label(word):
    return lambda record: record["metadata"].update(subject_label=word)


@pytest.mark.slow
def test_rows_are_named_for_their_cohort_and_are_else_what_they_were(tmp_path, capsys):
    write_folder(tmp_path / "A", {"train": [1, 2], "test": [1]})
    write_folder(tmp_path / "Köln ß", {"train": [0]})
    arguments = DataArguments(json_dir=[str(tmp_path / "A"), str(tmp_path / "Köln ß")])
    splits = load_splits(arguments)
    train = splits["train"]
    assert train["task_id"] == ["A/train_0", "A/train_1", "Köln ß/train_0"]
    assert train["source"][2] == "Köln ß: train/train_0.json"
    assert [json.loads(entry["extra"]) for entry in train["metadata"]] == [
        {"cohort": name, "age": 45} for name in ("A", "A", "Köln ß")
    ]
    assert cohorts_of(train, ["Köln ß", "A"]).tolist() == [1, 1, 0]
    assert cohorts_of(train.select([2, 0]), ["Köln ß", "A"]).tolist() == [0, 1]
    alone = load_umbrella(tmp_path / "A", split="train")
    for name in set(alone.column_names) - {"task_id", "source", "metadata"}:
        assert train[name][:2] == alone[name], name
    assert len(train.cache_files) == 2  # the other columns lie on disk as before
    notes = arguments.cohort_notes
    assert notes[-1] == "cohort Köln ß has no split test"
    assert capsys.readouterr().out == "".join(f"note: {note}\n" for note in notes)
    load_splits(arguments)
    assert (capsys.readouterr().out, arguments.cohort_notes) == ("", notes)


def test_a_cohort_of_the_rows_own_stands_under_another_name():
    def state(record):
        record["metadata"] |= {"cohort": "wave 2", "note": 'a "cohort": b', "deep": {"cohort": 1}}

    splits, notes = join_cohorts({"A": make(state, train=["a1"]), "B": make(train=["b1"])}, None)
    extra = [json.loads(entry["extra"]) for entry in splits["train"]["metadata"]]
    deep = {"note": 'a "cohort": b', "deep": {"cohort": 1}}
    assert extra == [{"cohort": "A", "age": 45, "cohort_in_folder": "wave 2"} | deep, {"cohort": "B", "age": 45}]
    assert notes == ["rows have a metadata.cohort of their own: it stands in metadata.cohort_in_folder now"]


def test_one_id_in_two_cohorts_is_said_and_may_be_two_people():
    cohorts = {"A": make(train=["s1", "s2"]), "B": make(train=["s2", "s3"])}
    splits, notes = join_cohorts(cohorts, None)
    assert subjects_of(splits["train"]) == {"s1", "s2", "s3"}
    assert notes == [
        "1 subject ids are in more than one cohort, as 's2': taken for the same people (others: --same_ids different)"
    ]
    splits, notes = join_cohorts(cohorts, "different")
    assert subjects_of(splits["train"]) == {"s1", "A/s2", "B/s2", "s3"}
    assert splits["train"]["subject_ids"] == [["s1"], ["A/s2"], ["B/s2"], ["s3"]]
    assert "other people in each" in notes[0]


def test_one_id_in_two_splits_is_refused_and_settled_by_the_flag_that_the_sentence_names():
    cohorts = {
        "A": make(train=["s1", "s2"], test=["s4"]),
        "B": make(train=["s3"], validation=["s5"], test=["s2"]),
    }
    with pytest.raises(
        ValueError, match=r"found 1 ids in other splits of another cohort, as 's2'\. .* --same_ids diff"
    ):
        join_cohorts(cohorts, None)
    splits, _ = join_cohorts(cohorts, "different")
    assert subjects_of(splits["train"]) == {"s1", "A/s2", "s3"}
    assert subjects_of(splits["test"]) == {"s4", "B/s2"}
    splits, notes = join_cohorts(cohorts, "same")
    assert splits["train"]["task_id"] == ["A/row_0", "B/row_0"]
    assert subjects_of(splits["test"]) == {"s4", "s2"}
    assert notes[1] == "left out: 1 rows of 1 people who are in a later split too"


def test_a_reference_counts_as_its_row_does():
    cohorts = {
        "A": make(train=["s1"]),
        "B": make(lambda record: record["metadata"].update(reference_id="s1"), test=["s2"]),
    }
    with pytest.raises(ValueError, match=r"found 1 ids in other splits of another cohort, as 's1'"):
        join_cohorts(cohorts, None)
    assert join_cohorts(cohorts, "different")[0]["test"][0]["metadata"]["reference_id"] == "B/s1"


def test_a_scan_in_two_splits_is_refused_whatever_its_subjects_are_called():
    def share(record):
        record["images"][0]["path"] = record["conversations"][0]["content"][0]["image_path"] = "/scans/x.nii"

    a, b, c = make(share, train=["s1"]), make(share, test=["t1"]), make(share, train=["s1"])
    with pytest.raises(
        FormatError, match=r"each scan in one split, found 1 scans in train of A and in test of B, as /"
    ):
        join_cohorts({"A": a, "B": b}, None)
    join_cohorts({"A": a, "C": c}, None)
    with pytest.raises(
        FormatError, match=r"expected other people, found 1 scans in train of A and in train of C, .*or"
    ):
        join_cohorts({"A": a, "C": c}, "different")


def test_a_scan_is_known_by_any_name_of_its_file(tmp_path):
    """A link to a file or a folder, a second name of the file."""
    store, scan = tmp_path / "store", tmp_path / "store" / "x.nii"
    store.mkdir()
    scan.write_bytes(b"a scan")
    names = [tmp_path / "link.nii", tmp_path / "folder" / "x.nii", tmp_path / "hard.nii"]
    names[0].symlink_to(scan)
    names[1].parent.symlink_to(store)
    os.link(scan, names[2])
    (tmp_path / "copy.nii").write_bytes(b"a scan")

    def cohort(path, **splits):
        return make(lambda record: record["images"][0].update(path=str(path)), **splits)

    for name in names:
        with pytest.raises(FormatError, match=f"as {scan}, which is the file {name}. Take"):
            join_cohorts({"A": cohort(scan, train=["s1"]), "B": cohort(name, test=["t1"])}, None)
    join_cohorts({"A": cohort(scan, train=["s1"]), "B": cohort(tmp_path / "copy.nii", test=["t1"])}, None)


def test_other_words_for_labels_are_said():
    cohorts = {"A": make(label("female"), train=["a"]), "B": make(label("F"), train=["b"])}
    (note,) = join_cohorts(cohorts, None)[1]
    assert note.startswith(
        "labels of T3 differ: only A has 'female', only B 'F'. Each word counts as a label of its own"
    )
    assert join_cohorts(cohorts | {"B": make(label("female"), train=["b"])}, None)[1] == []
    assert join_cohorts(cohorts | {"B": make(label(None), train=["b"])}, None)[1] == [
        "labels of T3: A states them, B none: its rows have no label to be scored by"
    ]


@pytest.mark.parametrize(
    ("one", "two", "expected"),
    [
        ({"male", "female"}, {"male", "Female"}, True),
        ({"male", "female"}, {"M", "F"}, True),
        ({"male", "female"}, {"M", "female"}, True),
        ({"AD", "CN"}, {"CN", "MCI"}, True),  # which of them are one thing cannot be known
        ({"AD", "CN", "MCI"}, {"CN", "MCI"}, False),
        ({"male", "Male"}, {"male"}, False),
        ({"45", "50 years"}, {"31,5"}, False),
        ({"45"}, {"old"}, True),
        ({f"report {n}" for n in range(60)}, {"other"}, False),
    ],
)
def test_which_words_may_be_the_same_things(one, two, expected):
    assert are_other_words(one, two) is expected


def test_an_empty_cohort_and_one_whose_rows_are_all_filtered_out_are_named(tmp_path):
    write_folder(tmp_path / "A", {"train": [0]})
    (tmp_path / "B").mkdir()
    folders = [str(tmp_path / "B"), str(tmp_path / "A")]
    with pytest.raises(
        FormatError, match=r"cohort B: .*B: expected a folder train, validation or test in it, found no"
    ):
        load_splits(DataArguments(json_dir=folders))
    with pytest.raises(FormatError, match=r"cohort A: train: expected at least one row, found none with task_types"):
        load_splits(DataArguments(json_dir=[folders[1], folders[0]], task_types=["T9"]))


def test_what_a_model_has_seen_is_found_under_any_name_of_its_cohort(tmp_path):
    """An id that is two people's is recorded as NAME/id, and is looked for as itself where the cohort has another
    name, or none."""
    cohorts = {"A": make(train=["s1", "s2"]), "B": make(train=["s2"], test=["s1"])}
    splits, _ = join_cohorts(cohorts, "different")
    record = TrainingData().add_rows(splits["train"])
    record.save(tmp_path)
    seen = read_training_data(tmp_path)
    assert seen.find_overlap({"A/s1", "A/s2", "B/s2"}) == ["A/s1", "A/s2", "B/s2"]
    assert seen.find_overlap(subjects_of(splits["test"])) == []  # B/s1: A's s1 alone was trained on
    assert seen.find_overlap({"s1", "s2", "s3"}) == ["s1", "s2"]  # A or B by itself
    assert seen.find_overlap({"first/s1", "first/s3"}) == ["first/s1"]
    assert seen.count_comparable() == 3
    assert record.add_rows(splits["train"]) is record
