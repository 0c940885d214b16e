"""What is told of very many rows at once is what one would tell of them one by one."""

import hashlib
import json
import os
import random
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from datasets import Dataset, Features, Value, load_from_disk

from umbrella.answers.labelled_answer import LabelledAnswer
from umbrella.answers.labelled_rows import find_labelled, read_kinds, read_labelled
from umbrella.conversations.layout import describe_layout, drop_names, list_sequences
from umbrella.conversations.turns import join_texts
from umbrella.files import arrow_tables
from umbrella.files.arrow_json import to_json
from umbrella.files.arrow_tables import read_tables
from umbrella.privacy.shared_questions import FEWEST_SUBJECTS, record_questions
from umbrella.records.run import fingerprint
from umbrella.records.training_data import count_without_subject, modalities_of, subjects_of
from umbrella.rows.scan_list import Place, list_scans
from umbrella_dataset import FEATURES

WORDS = [
    "female",
    "male",
    'a "quoted" word',
    "back\\slash",
    "zwei\nZeilen",
    "größer",
    "脳\U0001d4b3",
    "\x00\x7f\u2028",
    "T1w:",
    "FLAIR: not available.\n",
    " ",
    "",
]
EXTRAS = [
    "{}",
    None,
    '{"unit": "years", "target_type": "numeric"}',
    '{"target\\u005ftype": "categorical"}',
    '{"age": 4}',
]
PATHS = ["/x/a.nii", "/x/b.nii", "b.nii", "/x/c/", "/x/d/.", "/x/e/..", "/", "ü.nii"]


def draw_row(rng, number, paths):
    """A row as the format has them, of words and names that come again in other rows."""
    image = {"type": "image", "text": None, "modality": "sMRI", "image_path": rng.choice(paths)}
    turns = [
        {
            "role": role,
            "content": [
                image
                if role == "user" and rng.random() < 0.4
                else {"type": "text", "text": rng.choice(WORDS), "modality": None, "image_path": None}
                for _ in range(rng.choice([1, 1, 2, 3]))
            ],
        }
        for role in (["system"] if rng.random() < 0.2 else []) + ["user", "assistant"] * rng.choice([1, 1, 2])
    ]
    named = {name: rng.choice([None, "", "sub-1", "sub-2", "sub-3"]) for name in ("subject_id", "reference_id")}
    labels = {
        "subject_label": rng.choice([None, "female", "male", "größer"]),
        "reference_label": rng.choice([None, "male"]),
    }
    scans = [(rng.choice(paths), rng.choice(["sMRI", "fMRI"])) for _ in range(rng.choice([0, 1, 1, 3]))]
    return {
        "task_id": f"row {number} {rng.choice(WORDS)}",
        "task_type": "t",
        "subject_ids": rng.choice([[], ["sub-1"], ["sub-4", "sub-2"], [""]]),
        "modalities": [modality for _, modality in scans],
        "images": [{"path": path, "token": "<image>", "modality": modality} for path, modality in scans],
        "conversations": turns,
        "metadata": {**named, **labels, "comparison_type": None, "task": "a\tb", "extra": rng.choice(EXTRAS)},
        "source": f"train/x.jsonl:{number}",
        "length": rng.randrange(5000),
    }


def draw_rows(n, seed=0, paths=tuple(PATHS)):
    rng = random.Random(seed)
    return Dataset.from_list([draw_row(rng, i, paths) for i in range(n)], features=FEATURES)


@pytest.fixture(scope="module", params=["in memory", "chosen", "in files", "with a format"])
def rows(request, tmp_path_factory):
    """The same kind of rows, held in every way in which `datasets` holds them."""
    drawn = draw_rows(250)
    if request.param == "chosen":
        return drawn.shuffle(seed=1).select(range(200))
    if request.param == "with a format":
        return drawn.with_transform(lambda batch: {"nothing": [0] * len(batch["source"])})
    if request.param == "in files":
        folder = tmp_path_factory.mktemp("rows")
        drawn.save_to_disk(folder)
        return load_from_disk(folder)
    return drawn


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch):
    """Many borders between what is read at once."""
    monkeypatch.setattr(arrow_tables, "ROWS_AT_ONCE", 64)
    monkeypatch.setattr(arrow_tables, "ROWS_MAPPED", 150)


def plain(rows):
    return rows.with_format(None).to_list()


def fingerprint_one_by_one(rows):
    """As every version computed it that wrote checkpoints."""
    digest = hashlib.sha256()
    for row in plain(rows):
        turns = [[t["role"], [[item["type"], item["text"]] for item in t["content"]]] for t in row["conversations"]]
        scans = [[Path(scan["path"]).name, size_of(scan)] for scan in row["images"]]
        digest.update(json.dumps([row["task_id"], turns, row["metadata"], scans], sort_keys=True).encode())
    return digest.hexdigest()


def size_of(scan):
    if scan.get("bytes"):
        return len(scan["bytes"])
    return os.path.getsize(scan["path"]) if os.path.exists(scan["path"]) else None


def test_tables_hold_all_rows_in_their_order(rows):
    tables = list(read_tables(rows, ["source", "length"]))
    assert [line for table in tables for line in table.to_pylist()] == [
        {"source": row["source"], "length": row["length"]} for row in plain(rows)
    ]
    assert max(map(len, tables)) <= 64 and all(column.num_chunks == 1 for table in tables for column in table.columns)


def test_the_fingerprint_is_that_of_older_checkpoints(rows):
    assert fingerprint(rows) == fingerprint_one_by_one(rows)


def test_the_fingerprint_knows_sizes_of_files_and_of_bytes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("b.nii").write_bytes(b"12345")
    rows = draw_rows(40, paths=("b.nii", str(tmp_path / "b.nii"), "gone.nii", "a\0b"))
    before = fingerprint(rows)
    assert before == fingerprint_one_by_one(rows)
    Path("b.nii").write_bytes(b"123456")
    assert fingerprint(rows) == fingerprint_one_by_one(rows) != before
    features = Features({**FEATURES, "images": [{**FEATURES["images"][0], "bytes": Value("binary")}]})
    held = [
        {**row, "images": [{**scan, "bytes": [None, b"", b"abc"][i % 3]} for scan in row["images"]]}
        for i, row in enumerate(rows.to_list())
    ]
    with_bytes = Dataset.from_list(held, features=features)
    assert fingerprint(with_bytes) == fingerprint_one_by_one(with_bytes)


def test_subjects_modalities_and_nameless_rows_are_counted_as_one_by_one(rows):
    listed = plain(rows)
    named = {one for row in listed for one in row["subject_ids"]}
    named |= {row["metadata"][name] for row in listed for name in ("subject_id", "reference_id")}
    assert subjects_of(rows) == named - {None}
    assert modalities_of(rows) == {one for row in listed for one in row["modalities"]}
    assert count_without_subject(rows) == sum(
        not row["subject_ids"] and row["metadata"]["subject_id"] is None for row in listed
    )


@pytest.mark.parametrize("seed", range(4))
def test_every_scan_is_listed_once_where_it_is_first_named(seed):
    splits = {"train": draw_rows(40, seed, ("", "a", "b", "c")), "validation": draw_rows(20, seed + 1, ("b", "d"))}
    places = {}
    for split, rows in splits.items():
        for index, row in enumerate(rows):
            for number, scan in enumerate(row["images"]):
                place = Place(split, index, number)
                places.setdefault((scan["path"] or place, scan["modality"]), place)
    found = list_scans(splits)
    assert list(found) == list(places.values())
    assert list(found[1::3]) == list(places.values())[1::3]
    named = [splits[place.split][place.row]["images"][place.number] for place in found]
    assert list(found.name_all()) == [(scan["path"], scan["modality"]) for scan in named]


def test_labelled_rows_are_read_as_one_by_one(rows):
    expected, kinds, first = [], [], {}
    for row in plain(rows):
        metadata = {**json.loads(row["metadata"]["extra"] or "{}"), **row["metadata"]}
        answer = join_texts(row["conversations"][-1]["content"])
        labelled = LabelledAnswer.of_metadata(row["source"], answer, metadata)
        kinds.append(labelled.kind)
        if row["metadata"]["subject_label"] is not None:
            expected.append(labelled)
            first.setdefault(replace(labelled, source=""), labelled)
    assert read_kinds(rows) == kinds
    assert read_labelled(rows) == [first[replace(row, source="")] for row in expected]
    sources = rows.with_format(None)["source"]
    assert [sources[i] for i in find_labelled(rows)] == [row.source for row in expected]


def test_questions_are_counted_as_one_by_one(rows):
    counts, subjects, layouts, pairs = Counter(), defaultdict(set), Counter(), Counter()
    sequences = Counter()
    for row in plain(rows):
        asked = row["conversations"][:-1]
        items = asked[-1]["content"] if asked else []
        question, layout = join_texts(drop_names(items)), describe_layout(asked)
        sequences[tuple(list_sequences(items))] += 1
        who = row["metadata"]["subject_id"] or next(reversed(row["subject_ids"]), None)
        subjects[question].add(who or tuple(scan["path"] for scan in row["images"]))
        counts[question] += 1
        layouts[layout] += 1
        pairs[layout, question] += 1
    found = record_questions(rows)
    shared = {question: n for question, n in counts.items() if len(subjects[question]) >= FEWEST_SUBJECTS}
    assert found.questions and found.questions.items() <= shared.items()
    assert found.left_out["shared by fewer than 3 subjects"] == sum(counts.values()) - sum(shared.values())
    assert sequences[tuple(found.sequences)] == max(n for names, n in sequences.items() if names)
    assert any("study" in layout for layout in found.layouts)
    assert list(found.layouts.items()) == [(name, n) for name, n in layouts.most_common(20) if n >= FEWEST_SUBJECTS]
    for layout, questions in found.by_layout.items():
        expected = {text: pairs[layout, text] for text in found.questions}
        assert questions == {text: n for text, n in expected.items() if n >= FEWEST_SUBJECTS}


def test_texts_of_arrow_values_are_those_of_json():
    rng = random.Random(0)

    def draw():
        inner = {"y": rng.choice([None, *WORDS]), "x": rng.choice([True, False, None])}
        listed = [rng.choice([None, inner]) for _ in range(rng.randrange(3))]
        return {
            "b": rng.choice([None, *WORDS]),
            "a": rng.choice([None, 0, -7]),
            "ü": rng.choice([None, listed]),
            "f": rng.choice([None, 0.1, -1e300]),
            "n": None,
        }

    array = pa.array([rng.choice([None, draw(), draw()]) for _ in range(500)])
    for part in (array, array[3:400], array[:0]):
        assert to_json(part).to_pylist() == [json.dumps(value, sort_keys=True) for value in part.to_pylist()]
