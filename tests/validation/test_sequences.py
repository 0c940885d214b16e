"""What the metadata say of a study's sequences is what its conversation shows, or a problem, and then not used."""

import json
from itertools import permutations

import pytest

from umbrella.rows.scan_places import read_suffixes
from umbrella.validation.sequences import find_record_problems
from umbrella_dataset import find_problems

SEQUENCES = ("T1w", "FLAIR", "bold")
MODALITIES = ("sMRI", "sMRI", "fMRI")


def make_record(words, **metadata):
    """A scan of each sequence, behind that word."""
    images, items = [], []
    for name, modality, word in zip(SEQUENCES, MODALITIES, words, strict=True):
        images.append({"path": f"{name}.nii", "token": "<image>", "modality": modality})
        items += [{"type": "text", "text": word}] if word else []
        items.append({"type": "image", "modality": modality, "image_path": f"{name}.nii"})
    items.append({"type": "text", "text": "Which?"})
    turns = [{"role": "user", "content": items}, {"role": "assistant", "content": [{"type": "text", "text": "This."}]}]
    record = {"task_id": "a", "task_type": "T1", "subject_ids": ["s"], "modalities": list(MODALITIES)}
    return record | {"images": images, "conversations": turns, "metadata": {"subject_id": "s", **metadata}}


def read(record):
    assert find_problems(record) == []
    row = record | {"metadata": {"extra": json.dumps(record["metadata"])}}
    return read_suffixes(row), [problem.field for problem in find_record_problems(record)]


NAMED = [f"{name}:" for name in SEQUENCES]


@pytest.mark.parametrize(
    "words", [NAMED, ["", "", ""], ["First:", "T1w", "then"], ["sMRI:", "sMRI:", "fMRI:"], ["", *NAMED[1:]]]
)
def test_sequences_that_no_text_contradicts_are_read(words):
    assert read(make_record(words, suffixes=list(SEQUENCES), absent=["T2w"])) == (list(SEQUENCES), [])
    assert read(make_record(words)) == (None, [])


@pytest.mark.parametrize(
    "suffixes",
    [
        *(list(order) for order in permutations(SEQUENCES) if order != SEQUENCES),
        ["T1w", "FLAIR"],
        [*SEQUENCES, "T2w"],
        [name.lower() for name in SEQUENCES],
        ["T1w", "FLAIR", ""],
        ["T1w", "FLAIR", 3],
        "T1w FLAIR bold",
        {"T1w": 1, "FLAIR": 2, "bold": 3},
        [],
        0,
    ],
)
def test_sequences_that_are_not_those_of_the_scans_are_a_problem_and_are_not_used(suffixes):
    assert read(make_record(NAMED, suffixes=suffixes)) == (None, ["metadata.suffixes"])


def test_one_scan_under_two_names_is_a_problem():
    record = make_record(NAMED, suffixes=list(SEQUENCES))
    record["images"][1]["path"] = record["conversations"][0]["content"][3]["image_path"] = "T1w.nii"
    assert [str(problem) for problem in find_record_problems(record)] == [
        "images: expected a scan of its own for each sequence, found T1w.nii as FLAIR and T1w"
    ]


@pytest.mark.parametrize("absent", ["T2w", [1], {"T2w": True}])
def test_what_is_absent_is_a_list_of_names(absent):
    assert read(make_record(NAMED, suffixes=list(SEQUENCES), absent=absent))[1] == ["metadata.absent"]
