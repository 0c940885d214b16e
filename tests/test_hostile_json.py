"""Files that are no conversations, or that would cost more than they are worth: one sentence, from both readers."""

import contextlib
import io
import itertools
import json
import os
import socket

import pytest
import validate_json_format
from conversation_folder import make_record
from test_linear_time import FLOOR_S, WORST_RATIO, measure

from umbrella_dataset import (
    MAX_CHARACTERS,
    MAX_PROBLEMS,
    MAX_RECORD_BYTES,
    FormatError,
    find_problems,
    load_umbrella,
    read_records,
)


def _make_folder(folder, **files):
    (folder / "train").mkdir(parents=True)
    (folder / "train" / "good.json").write_text(json.dumps(make_record("good", [])))
    for name, content in files.items():
        (folder / "train" / name.replace("_", ".")).write_text(content)
    return folder


def _refuse(folder) -> str:
    """The loader's sentence, where the validator refuses the folder too."""
    with contextlib.redirect_stdout(io.StringIO()):
        assert validate_json_format.main([str(folder)]) == 1
    with pytest.raises(FormatError) as caught:
        load_umbrella(str(folder), cache_dir=str(folder.parent / "cache"))
    return str(caught.value)


def _with_text(task_id: str, **metadata) -> str:
    record = make_record(task_id, [])
    return json.dumps({**record, "metadata": {**record["metadata"], **metadata}})


@pytest.mark.slow
def test_a_number_that_float64_cannot_hold_is_refused_and_others_stay_json(tmp_path):
    text = _with_text("x", value="NUMBER")
    folder = _make_folder(tmp_path / "bad", x_json=text.replace('"NUMBER"', "-1e999"))
    assert "found the number -1e999, which float64 cannot hold" in _refuse(folder)
    folder = _make_folder(tmp_path / "whole", x_json=text.replace('"NUMBER"', "9" * 400))
    assert "..., which float64 cannot hold" in _refuse(folder)
    folder = _make_folder(tmp_path / "good", x_json=text.replace('"NUMBER"', "[1e308, -0, 123456789012345678901]"))
    rows = load_umbrella(str(folder), "train", cache_dir=str(tmp_path / "cache"))
    assert '"value": [1e+308, 0, 123456789012345678901]' in rows["metadata"][1]["extra"]


@pytest.mark.parametrize(("depth", "is_valid"), [(98, True), (99, False), (984, False), (100_000, False)])
def test_depth_has_one_bound_whoever_calls(tmp_path, depth, is_valid):
    text = _with_text("x", value="DEEP").replace('"DEEP"', "[" * depth + "]" * depth)  # in the record's and metadata's
    (tmp_path / "x.json").write_text(text)
    [(_, record)] = read_records(str(tmp_path / "x.json"))
    assert isinstance(record, dict) == is_valid

    def call_deep(levels):
        return call_deep(levels - 1) if levels else next(read_records(str(tmp_path / "x.json")))[1]

    assert call_deep(500) == record


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"image_path": "a\0b.nii"}, "characters, none of them NUL"),
        ({"image_path": "a" * 5000}, "a path of at most 4096 characters"),
    ],
)
def test_a_path_that_no_file_can_have_is_a_problem(change, expected):
    record = make_record("x", [change["image_path"]])
    fields = [problem.field for problem in find_problems(record) if expected in problem.expected]
    assert fields == ["images[0].path", "conversations[0].content[0].image_path"]


@pytest.mark.parametrize("name", ["x.json", "x.jsonl"])
@pytest.mark.parametrize("kind", ["pipe", "socket", "folder", "loop", "broken link", "device"])
def test_what_is_no_file_is_refused_at_once(tmp_path, monkeypatch, kind, name):
    folder = _make_folder(tmp_path / "data")
    monkeypatch.chdir(folder / "train")  # a socket's path may have 107 characters
    if kind == "pipe":
        os.mkfifo(name)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(name)
    elif kind == "folder":
        os.mkdir(name)
    else:
        os.symlink({"loop": name, "broken link": "nowhere", "device": "/dev/zero"}[kind], name)
    assert name in _refuse(folder)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x_jsonl", "\n \n", "train/x.jsonl: file: expected at least one conversation, found none"),
        ("x_JSON", "{}", "train/x.JSON: expected conversations in .json or .jsonl files, found another ending"),
        ("x_ndjson", "{}", "train/x.ndjson: expected conversations in .json or .jsonl files, found another ending"),
        ("x_json_gz", "{}", "train/x.json.gz: expected conversations in .json or .jsonl files, found another ending"),
        ("x_json", " " * (MAX_RECORD_BYTES + 1), f"expected records of at most {MAX_RECORD_BYTES} bytes"),
        ("x_jsonl", "\n" + " " * (MAX_RECORD_BYTES + 1), f"expected records of at most {MAX_RECORD_BYTES} bytes"),
    ],
)
def test_files_that_would_be_left_out_or_are_too_large_are_refused(tmp_path, name, content, message):
    assert message in _refuse(_make_folder(tmp_path / "data", **{name: content}))


@pytest.mark.parametrize("place", ["file", "folder", "image_root"])
def test_a_path_that_is_no_utf_8_is_refused_in_text_that_can_be_printed(tmp_path, place):
    odd = os.fsdecode(b"x\xff")
    folder = _make_folder(tmp_path / (odd if place == "folder" else "data"))
    if place == "image_root":
        (tmp_path / odd).mkdir()
        with pytest.raises(FormatError, match="expected a path in UTF-8") as caught:
            load_umbrella(str(folder), image_root=str(tmp_path / odd), cache_dir=str(tmp_path / "cache"))
        assert validate_json_format.main([str(folder), "--image_root", str(tmp_path / odd)]) == 1
        assert str(caught.value).encode()
        return
    if place == "file":
        (folder / "train" / f"{odd}.json").write_text("{}")
    assert "x\\udcff" in _refuse(folder)


@pytest.mark.slow
def test_a_list_of_a_million_mistakes_and_a_million_keys_cost_little(tmp_path):
    def find(n):
        assert len(find_problems({**make_record("x", []), "subject_ids": [0] * n})) == MAX_PROBLEMS

    assert measure(find, 10**6, 3) < WORST_RATIO * max(measure(find, 10**6 // 2, 3), FLOOR_S)
    pairs = ",".join(f'"{i}":0' for i in range(300_000))
    folder = _make_folder(tmp_path / "data", x_json=f'{{{pairs},"299999":1}}')
    assert "the key '299999' twice in one object" in _refuse(folder)  # how long it takes: test_linear_time


def test_a_text_that_no_model_reads_is_refused_before_it_is_tokenized():
    record = make_record("x", [])
    record["conversations"][0]["content"][0]["text"] = "a" * (MAX_CHARACTERS // 2)
    assert find_problems(record) == []
    record["conversations"] *= 3
    [problem] = find_problems(record)
    assert problem.expected == f"texts of at most {MAX_CHARACTERS} characters together"


@pytest.mark.parametrize("num_proc", [None, pytest.param(2, marks=pytest.mark.slow)])
def test_no_error_of_the_builder_is_its_own_cause(tmp_path, num_proc):
    folder = _make_folder(tmp_path / "data", x_json="{")
    with pytest.raises(FormatError) as caught:
        load_umbrella(str(folder), cache_dir=str(tmp_path / "cache"), num_proc=num_proc)
    left, seen = [caught.value], []
    while left:
        error = left.pop()
        assert not any(error is other for other in seen), "a circle of causes"
        seen.append(error)
        left += [other for other in {error.__cause__, error.__context__} if other is not None]
    assert len(list(itertools.islice(seen, 100))) < 100
