"""Older conversation files become valid ones, in a new folder, with scan paths that still lead to the scans."""

import json
from pathlib import Path

import pytest
import validate_json_format

from umbrella.validation.migration import convert_record
from umbrella_dataset import FormatError, find_problems, load_umbrella

VERSION_1 = {
    "task_id": "T3_1",
    "task_type": "T3",
    "subject_ids": ["sub-1", "sub-2"],
    "modalities": ["image_sMRI", "image_sMRI"],
    "images": [
        {"path": "images/sub-1.nii.gz", "token": "<image_sMRI>", "modality": "sMRI", "scanner": "A"},
        {"path": "images/sub-2.nii.gz", "token": "<image_sMRI>", "modality": "sMRI"},
    ],
    "conversation": [
        {"role": "human", "content": [{"type": "text", "text": "A male: <image_sMRI>"}, {"type": "image_sMRI"}]},
        {"role": "gpt", "content": [{"type": "text", "text": "Seen."}]},
        {"role": "human", "content": [{"type": "image_sMRI"}, {"type": "text", "text": "And this?"}]},
        {"role": "gpt", "content": [{"type": "text", "text": "Female."}]},
    ],
    "metadata": {
        "subject_id": 2,
        "subject_sex": "female",
        "reference_sex": "male",
        "comparison_type": "different_sex",
        "age": 31,
    },
    "site": "B",
}
LLAVA = [
    {
        "id": 7,
        "image": "sub-01/anat/x.nii.gz",
        "conversations": [{"from": "human", "value": "<image>\nDescribe it."}, {"from": "gpt", "value": "A brain."}],
    },
    {
        "id": 7,
        "image": ["a.nii.gz", "/scans/b.nii.gz"],
        "conversations": [{"from": "human", "value": "Is <image> like <image>?"}, {"from": "gpt", "value": "No."}],
    },
    {
        "image": "c.nii.gz",
        "conversations": [{"from": "human", "value": "No placeholder."}, {"from": "gpt", "value": "First, then."}],
    },
    {"id": "t", "conversations": [{"from": "human", "value": "Hello"}, {"from": "gpt", "value": "Hi"}]},
]


def _image(path, modality="sMRI"):
    return {"type": "image", "modality": modality, "image_path": path}


def _text(text):
    return {"type": "text", "text": text}


@pytest.fixture
def old(tmp_path, monkeypatch):
    """An old data folder old/ with version 1 in train/ and a LLaVA list beside it."""
    monkeypatch.chdir(tmp_path)
    Path("old/train").mkdir(parents=True)
    Path("old/train/one.json").write_text(json.dumps(VERSION_1), encoding="utf-8")
    Path("old/llava.json").write_text(json.dumps(LLAVA), encoding="utf-8")
    return tmp_path


def test_version_1_is_converted_field_by_field():
    assert convert_record(VERSION_1, "x", "x_0", "sMRI") == {
        "task_id": "T3_1",
        "task_type": "T3",
        "subject_ids": ["sub-1", "sub-2"],
        "modalities": ["sMRI", "sMRI"],
        "images": [
            {"path": "images/sub-1.nii.gz", "token": "<image>", "modality": "sMRI"},
            {"path": "images/sub-2.nii.gz", "token": "<image>", "modality": "sMRI"},
        ],
        "conversations": [
            {"role": "user", "content": [_text("A male:"), _image("images/sub-1.nii.gz")]},
            {"role": "assistant", "content": [_text("Seen.")]},
            {"role": "user", "content": [_image("images/sub-2.nii.gz"), _text("And this?")]},
            {"role": "assistant", "content": [_text("Female.")]},
        ],
        "metadata": {
            "subject_id": "2",
            "subject_label": "female",
            "reference_label": "male",
            "comparison_type": "different",
            "age": 31,
            "migrated": [{"place": "images[0]", "scanner": "A"}],
        },
        "site": "B",
    }


def test_tokens_in_version_1_texts_stand_for_scans_where_there_are_no_image_items():
    talk = [{"role": "human", "content": "Look: <image_fMRI> Well?"}, {"role": "gpt", "content": "Yes."}]
    images = [{"path": "f.nii.gz", "token": "<image_fMRI>"}]
    new = convert_record({"task_id": "a", "images": images, "conversation": talk}, "x", "x_0", "sMRI")
    assert new["modalities"] == ["fMRI"]
    assert new["conversations"][0]["content"] == [_text("Look:"), _image("f.nii.gz", "fMRI"), _text("Well?")]


def test_llava_values_become_items_in_their_order():
    contents = [convert_record(record, "x", "x_0", "dMRI")["conversations"][0]["content"] for record in LLAVA]
    assert contents == [
        [_image("sub-01/anat/x.nii.gz", "dMRI"), _text("Describe it.")],
        [_text("Is"), _image("a.nii.gz", "dMRI"), _text("like"), _image("/scans/b.nii.gz", "dMRI"), _text("?")],
        [_image("c.nii.gz", "dMRI"), _text("No placeholder.")],
        [_text("Hello")],
    ]


def test_llava_records_get_ids_and_subjects():
    new = [convert_record(record, "x", "x_0", "sMRI") for record in LLAVA]
    assert [record["task_id"] for record in new] == ["7", "7", "x_0", "t"]
    assert [record["subject_ids"] for record in new] == [["sub-01"], ["a", "b"], ["c"], []]


def test_the_new_format_stays_as_it_is():
    new = convert_record(VERSION_1, "x", "x_0", "sMRI")
    assert find_problems(new) == []
    assert convert_record(new, "x", "x_0", "sMRI") == new


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({**LLAVA[0], "image": ["a.nii.gz", "b.nii.gz"]}, "x: expected 2 placeholders, one an image, found 1"),
        ({"id": 1}, "x: conversations: expected a list of turns, found None"),
        ({**VERSION_1, "images": [{}, {}]}, "x: images: expected the path of every scan, found None"),
        ("text", "x: expected a JSON object, found a str"),
        ({"conversation": [{"from": "human"}]}, "x: conversations: expected a text or a list of items, found None"),
    ],
)
def test_what_cannot_be_converted_is_an_error_that_names_its_source(record, message):
    with pytest.raises(FormatError, match=message):
        convert_record(record, "x", "x_0", "sMRI")


def test_migrated_data_passes_the_validator_and_loads_with_paths_to_the_old_scans(old, capsys):
    assert validate_json_format.main(["old", "old/llava.json", "--migrate", "new/data", "--split", "test"]) == 0
    assert "5 conversations converted into new/data" in capsys.readouterr().out
    rows = load_umbrella("new/data", cache_dir=str(old / "cache"))
    assert rows["test"]["task_id"][:] == ["7", "7_2", "llava_2", "t"]
    paths = [image["path"] for split in ("train", "test") for row in rows[split] for image in row["images"]]
    names = ("images/sub-1.nii.gz", "images/sub-2.nii.gz", "sub-01/anat/x.nii.gz", "a.nii.gz", None, "c.nii.gz")
    assert paths == [f"{old}/old/{name}" if name else "/scans/b.nii.gz" for name in names]


def test_with_image_root_the_paths_stay(old):
    Path("scans").mkdir()
    arguments = ["old/train", "--migrate", "new", "--image_root", "scans"]
    assert validate_json_format.main(arguments) == 0
    record = json.loads(Path("new/train/one.json").read_text(encoding="utf-8"))
    assert record["images"][0]["path"] == "images/sub-1.nii.gz"


def test_samples_stay_samples(old):
    Path("old/samples").mkdir()
    Path("old/samples/one.json").write_text(json.dumps(VERSION_1), encoding="utf-8")
    assert validate_json_format.main(["old", "--migrate", "new"]) == 0
    assert sorted(str(path) for path in Path("new").rglob("*.json")) == ["new/samples/one.json", "new/train/one.json"]


def test_the_originals_are_not_touched(old):
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in Path("old").rglob("*.json")}
    validate_json_format.main(["old", "old/llava.json", "--migrate", "new"])
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in Path("old").rglob("*.json")} == before


def test_a_folder_in_use_is_refused_and_a_failure_leaves_nothing(old, capsys):
    assert validate_json_format.main(["old", "--migrate", "old"]) == 1
    assert "expected a new or empty folder to migrate into, found one in use" in capsys.readouterr().out
    Path("old/train/two.json").write_text('{"conversation": 3}', encoding="utf-8")
    assert validate_json_format.main(["old", "--migrate", "new"]) == 1
    assert "two.json: conversations: expected a list of turns, found 3" in capsys.readouterr().out
    assert sorted(path.name for path in old.iterdir()) == ["old"]
