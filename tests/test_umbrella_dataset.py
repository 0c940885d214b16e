"""The builder on the installed version of `datasets` (3.6 and 5.2), and the loading script. Needs no torch."""

import copy
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import datasets
import pytest

import umbrella_dataset
from umbrella_dataset import FormatError, Problem, find_problems, find_split_files, load_umbrella, read_records, to_row

SCRIPT = Path(umbrella_dataset.__file__)
PATHS = ("images/sub-1.nii.gz", "images/sub-2.nii.gz")
RECORD = {
    "task_id": "a",
    "task_type": "T3",
    "subject_ids": ["sub-1", "sub-2"],
    "modalities": ["sMRI", "fMRI"],
    "images": [
        {"path": PATHS[0], "token": "<image>", "modality": "sMRI"},
        {"path": PATHS[1], "token": "<image>", "modality": "fMRI"},
    ],
    "conversations": [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "A reference."},
                {"type": "image", "modality": "sMRI", "image_path": PATHS[0]},
            ],
        },
        {"role": "assistant", "content": "Seen."},
        {
            "role": "user",
            "content": [
                {"type": "image", "modality": "fMRI", "image_path": PATHS[1]},
                {"type": "text", "text": "Which sex?"},
            ],
        },
        {"role": "assistant", "content": [{"type": "text", "text": "Female."}]},
    ],
    "metadata": {"subject_id": "sub-2", "subject_label": "female", "age": 31.5, "extra": "own"},
    "site": {"name": "A"},
}


def _record(task_id: str = "a", **changes) -> dict:
    return {**copy.deepcopy(RECORD), "task_id": task_id, **changes}


def _write(folder: Path, files: dict[str, list[dict] | dict | str | bytes]) -> str:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, list):
            content = "".join(json.dumps(record) + "\n" for record in content)
        elif isinstance(content, dict):
            content = json.dumps(content)
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return str(folder)


@pytest.fixture
def load(tmp_path):
    """load_umbrella with a cache of the test's own."""

    def load(data_dir, *arguments, **options):
        return load_umbrella(data_dir, *arguments, cache_dir=str(tmp_path / "cache"), **options)

    return load


@pytest.fixture
def data_dir(tmp_path):
    return _write(
        tmp_path / "data",
        {
            "train/b.json": _record("b", task_type="T1"),
            "train/a.jsonl": [_record("a1"), _record("a2")],
            "val/v.json": _record("v"),
            "samples/s.json": "no JSON",
            "train/images/sidecar.json": "not read",
        },
    )


# Rows


def test_a_row_has_all_of_the_record_with_paths_resolved(data_dir, load):
    rows = load(data_dir)
    assert {split: rows[split]["source"][:] for split in rows} == {
        "train": ["train/a.jsonl:1", "train/a.jsonl:2", "train/b.json"],
        "validation": ["val/v.json"],
    }
    assert rows["train"][0] == {
        "task_id": "a1",
        "task_type": "T3",
        "subject_ids": ["sub-1", "sub-2"],
        "modalities": ["sMRI", "fMRI"],
        "images": [
            {"path": f"{data_dir}/images/sub-1.nii.gz", "token": "<image>", "modality": "sMRI"},
            {"path": f"{data_dir}/images/sub-2.nii.gz", "token": "<image>", "modality": "fMRI"},
        ],
        "conversations": [
            {"role": "system", "content": [_text("Be brief.")]},
            {"role": "user", "content": [_text("A reference."), _image("sMRI", f"{data_dir}/images/sub-1.nii.gz")]},
            {"role": "assistant", "content": [_text("Seen.")]},
            {"role": "user", "content": [_image("fMRI", f"{data_dir}/images/sub-2.nii.gz"), _text("Which sex?")]},
            {"role": "assistant", "content": [_text("Female.")]},
        ],
        "metadata": {
            "subject_id": "sub-2",
            "subject_label": "female",
            "reference_id": None,
            "reference_label": None,
            "comparison_type": None,
            "task": None,
            "extra": '{"age": 31.5, "extra": "own", "_record": {"site": {"name": "A"}}}',
        },
        "source": "train/a.jsonl:1",
        "length": 43 // 4 + 2 * 576,
    }


def _text(text):
    return {"type": "text", "text": text, "modality": None, "image_path": None}


def _image(modality, path):
    return {"type": "image", "text": None, "modality": modality, "image_path": path}


def test_to_row_equals_the_row_of_the_table(data_dir, load):
    assert to_row(_record("a1"), "train/a.jsonl:1", data_dir) == load(data_dir, "train")[0]


@pytest.mark.slow
def test_streaming_and_processes_give_the_same_rows(data_dir, load):
    rows = load(data_dir, "train").to_list()
    assert list(load(data_dir, "train", streaming=True)) == rows
    again = load_umbrella(data_dir, "train", num_proc=2, cache_dir=str(Path(data_dir).parent / "other"))
    assert again.to_list() == rows


def test_a_text_only_record_is_a_row(tmp_path, load):
    talk = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi"}]
    record = {
        "task_id": "t",
        "task_type": "T",
        "subject_ids": [],
        "modalities": [],
        "images": [],
        "conversations": talk,
    }
    row = load(_write(tmp_path / "d", {"train/t.json": record}), "train")[0]
    assert (row["images"], row["metadata"]["extra"], row["length"]) == ([], "{}", 1)


def test_more_rows_than_a_table_holds_keep_their_order(tmp_path, load):
    records = [_record(str(index)) for index in range(umbrella_dataset.ROWS_PER_TABLE + 3)]
    data = _write(tmp_path / "d", {"train/x.jsonl": records})
    assert load(data, "train")["task_id"][:] == [str(index) for index in range(len(records))]


@pytest.mark.parametrize(
    ("filters", "kept"),
    [
        ({"task_types": ["T1"]}, ["b"]),
        ({"task_types": "T3"}, ["a1", "a2"]),
        ({"modalities": ["sMRI", "fMRI"]}, ["a1", "a2", "b"]),
    ],
)
def test_filters_keep_the_rows_that_they_name(data_dir, load, filters, kept):
    os.rename(f"{data_dir}/val", f"{data_dir}/not_val")
    assert load(data_dir, "train", **filters)["task_id"][:] == kept


def test_a_filter_that_leaves_no_row_is_an_error(data_dir, load):
    with pytest.raises(
        FormatError, match=r"train: expected at least one row, found none with .*modalities=\['sMRI'\]"
    ):
        load(data_dir, modalities=["sMRI"])
    with pytest.raises(FormatError, match='expected some of sMRI, dMRI, fMRI, found "T1w"'):
        load(data_dir, modalities=["T1w"])


# Cache


def test_edited_added_and_removed_files_are_seen(data_dir, load):
    assert len(load(data_dir, "train")) == 3
    _write(Path(data_dir), {"train/c.json": _record("c")})
    assert load(data_dir, "train")["task_id"][:] == ["a1", "a2", "b", "c"]
    os.remove(f"{data_dir}/train/b.json")
    assert load(data_dir, "train")["task_id"][:] == ["a1", "a2", "c"]
    _write(Path(data_dir), {"train/c.json": _record("d")})  # the same size; only the time differs
    assert load(data_dir, "train")["task_id"][:] == ["a1", "a2", "d"]


@pytest.mark.parametrize("is_renamed", [False, True])
def test_another_file_of_the_same_size_and_time_is_read(data_dir, load, tmp_path, is_renamed):
    """A time that was set back by an editor or a copy, and a file that was put over another."""
    path = Path(data_dir, "train/b.json")
    load(data_dir, "train")
    status = path.stat()
    other = tmp_path / "other" if is_renamed else path
    other.write_text(path.read_text().replace('"b"', '"z"'))
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.replace(path)
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (status.st_size, status.st_mtime_ns)
    assert load(data_dir, "train")["task_id"][:] == ["a1", "a2", "z"]


def test_an_unchanged_folder_is_not_read_again(data_dir, load, monkeypatch):
    load(data_dir, "train")
    monkeypatch.setattr(umbrella_dataset, "read_records", None)
    assert len(load(data_dir, "train")) == 3


@pytest.mark.slow
@pytest.mark.parametrize("num_proc", [None, 2])
def test_an_invalid_file_is_an_error_at_every_load(data_dir, load, num_proc):
    _write(Path(data_dir), {"val/w.json": _record("w", task_type=3)})
    for _ in range(2):
        with pytest.raises(FormatError, match=r"^val/w.json: task_type: expected a non-empty string, found 3\n"):
            load(data_dir, num_proc=num_proc)
    os.remove(f"{data_dir}/val/w.json")
    assert len(load(data_dir, "validation")) == 1


@pytest.mark.slow
@pytest.mark.parametrize("num_proc", [None, 2])
def test_a_task_id_twice_in_a_split_is_an_error(data_dir, load, num_proc):
    _write(Path(data_dir), {"train/z.json": _record("a2")})
    for _ in range(2):
        with pytest.raises(
            FormatError, match=r'z.json: task_id: expected it once in train, found "a2" in train/a.jsonl:2'
        ):
            load(data_dir, num_proc=num_proc)


@pytest.mark.slow
@pytest.mark.parametrize("num_proc", [None, 2])
def test_the_same_conversations_in_two_forms_are_said_once_with_count_and_remedy(tmp_path, load, num_proc):
    records = [_record(f"t{i:03d}") for i in range(70)]
    files = {f"train/{record['task_id']}.json": record for record in records[:60]}
    data_dir = _write(tmp_path / "data", {**files, "train/x.jsonl": records})
    with pytest.raises(FormatError) as error:
        load(data_dir, num_proc=num_proc)
    assert str(error.value) == (
        "train/x.jsonl: task_id: expected each once in train, found 60 that are in train/*.json too, the same "
        'conversations (the first: "t000" in train/t000.json and in train/x.jsonl:1). Keep train/x.jsonl and move '
        "train/*.json out of the folder: all that it holds is in both"
    )
    for name in files:
        os.remove(f"{data_dir}/{name}")
    assert len(load(data_dir, "train")) == 70


@pytest.mark.parametrize(
    "files, message",
    [
        (
            {"a.json": _record("a"), "a (copy).json": _record("a"), "b.json": _record("b"), "b1.json": _record("b")},
            r"^train/\*.json: .* found 2 of train/\*.json, the same .*Delete one file of each two$",
        ),
        (
            {"x.jsonl": [_record("a"), _record("b"), _record("a"), _record("b")]},
            r"^train/x.jsonl: .* found 2 of train/x.jsonl, the same .*jsonl:3\). Delete one line of each two$",
        ),
        (
            {"x.jsonl": [_record("a"), _record("b")], "y.jsonl": [_record("a"), _record("b", site="B")]},
            r"found 2 that are in train/x.jsonl too, 1 of them the same .*Keep the right one of each two, or give",
        ),
        (
            {"x.jsonl": [_record(name) for name in "abc"], "y.jsonl": [_record(name) for name in "bcd"]},
            r"^train/y.jsonl: .*found 2 that are in train/x.jsonl too, the same .*Delete what train/y.jsonl has of tr",
        ),
        (
            {"x.jsonl": [_record("a"), _record("a", site="B")]},
            r"^train/x.jsonl:2: .*Another conversation: give it ano",
        ),
    ],
)
def test_what_comes_twice_is_told_by_its_places_and_whether_it_is_equal(tmp_path, load, files, message):
    with pytest.raises(FormatError, match=message):
        load(_write(tmp_path / "data", {f"train/{name}": content for name, content in files.items()}))


def test_no_file_is_to_be_moved_that_holds_more_than_the_filters_kept(tmp_path, load):
    others = [_record(name, task_type="T1") for name in "cd"]
    both = [_record(name) for name in "ab"]
    data_dir = _write(tmp_path / "data", {"train/x.jsonl": [*both, *others], "train/y.jsonl": [*both, _record("e")]})
    with pytest.raises(FormatError, match=r"Delete what train/y.jsonl has of train/x.jsonl$"):
        load(data_dir, task_types=["T3"])


@pytest.mark.parametrize("twin", ["train/a.json", "train/b.jsonl"])
def test_a_stream_sees_a_file_that_begins_as_another(tmp_path, load, twin):
    data_dir = _write(tmp_path / "data", {"train/x.jsonl": [_record("a"), _record("b")], twin: _record("a")})
    with pytest.raises(FormatError, match=f'^train/x.jsonl: task_id: .* once in train, found "a" in {twin} too'):
        load(data_dir, "train", streaming=True)
    os.remove(f"{data_dir}/{twin}")
    assert [row["task_id"] for row in load(data_dir, "train", streaming=True)] == ["a", "b"]


def test_a_task_id_in_two_splits_is_none_of_the_builders_business(data_dir, load):
    _write(Path(data_dir), {"val/v.json": _record("b")})
    assert load(data_dir)["validation"]["task_id"][:] == ["b"]


# Folders and files


def test_split_files_are_sorted_and_both_kinds(data_dir):
    assert find_split_files(data_dir) == {
        "train": [f"{data_dir}/train/a.jsonl", f"{data_dir}/train/b.json"],
        "validation": [f"{data_dir}/val/v.json"],
    }


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"readme.txt": ""}, "expected a folder train, validation or test in it, found none"),
        ({"train/readme.txt": ""}, "train: expected .json or .jsonl files, found none"),
        ({"val/a.json": "", "valid/a.json": ""}, "expected one folder for validation, found val, valid"),
    ],
)
def test_a_folder_without_data_is_an_error_that_says_what_to_do(tmp_path, files, message):
    with pytest.raises(FormatError, match=message):
        find_split_files(_write(tmp_path, files))


def test_a_missing_folder_is_an_error(load, tmp_path):
    with pytest.raises(FormatError, match="nowhere: expected a data folder, found none"):
        load(str(tmp_path / "nowhere"))
    with pytest.raises(
        FormatError, match=r"a,b: expected a data folder, found none\. Check the path \(several are div"
    ):
        load(str(tmp_path / "a,b"))
    with pytest.raises(FormatError, match='expected data_dir="FOLDER" or data_files='):
        load(None)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "file: expected one JSON object, found an empty file"),
        (b"{", "file: expected one JSON object, found Expecting property name"),
        (b'{"a": NaN}', "found NaN, which is not JSON"),
        (b'{"a": 1, "a": 2}', "found the key 'a' twice in one object"),
        (b'{"a": "\xff"}', "file: expected UTF-8 text, found byte 0xff at 7"),
        (b'{"a": "\\ud800"}', "file: expected whole characters, found the lone surrogate '\\ud800'"),
        (b"[" * 100_000, "file: expected at most 100 lists and objects in one another, found more"),
    ],
)
def test_what_is_not_json_is_a_problem_with_its_reason(tmp_path, content, message):
    _write(tmp_path, {"x.json": content})
    [(line, problem)] = read_records(str(tmp_path / "x.json"))
    assert line is None
    assert isinstance(problem, Problem)
    assert message in str(problem)


def test_lines_are_numbered_and_one_bad_line_does_not_hide_the_next(tmp_path):
    _write(tmp_path, {"x.jsonl": b'\xef\xbb\xbf{"a": "\xe2\x80\xa8"}\n\n{\r\n{"b": 1}'})
    first, second, third = read_records(str(tmp_path / "x.jsonl"))
    assert (first, third) == ((1, {"a": "\u2028"}), (4, {"b": 1}))
    assert (second[0], second[1].kind) == (3, "JSON")


# Rules


def test_a_valid_record_has_no_problem():
    assert find_problems(RECORD) == []
    assert find_problems({**RECORD, "metadata": None}) == []


def _set(record, path, value):
    for key in path[:-1]:
        record = record[key]
    record[path[-1]] = value


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        (["task_id"], None, "task_id: expected a non-empty string, found nothing"),
        (["task_id"], 7, "task_id: expected a non-empty string, found 7"),
        (["task_type"], " ", 'task_type: expected a non-empty string, found " "'),
        (["subject_ids"], "sub-1", 'subject_ids: expected a list, found "sub-1"'),
        (["subject_ids"], [], "subject_ids: expected the subjects of the scans, found an empty list"),
        (["subject_ids", 1], 2, "subject_ids[1]: expected a non-empty string, found 2"),
        (["modalities"], ["sMRI"], "modalities: expected 2 (one for each of images), found 1"),
        (["modalities", 1], "sMRI", 'modalities[1]: expected "fMRI" as in images[1], found "sMRI"'),
        (["images", 0, "token"], "<image_sMRI>", 'images[0].token: expected "<image>", found "<image_sMRI>"'),
        (
            ["images", 0, "note"],
            1,
            'images[0]: expected no key but modality, path, token (metadata takes any), found "note"',
        ),
        (["conversations"], [], "conversations: expected an assistant's turn as the last, found no turn"),
        (
            ["conversations", 1, "role"],
            "human",
            'conversations[1].role: expected one of system, user, assistant, found "human"',
        ),
        (["conversations", 2, "role"], "user", 'conversations[2].role: expected "assistant", found "user"'),
        (
            ["conversations", 2, "content"],
            [],
            "conversations[2].content: expected a string or a non-empty list of items, found an empty list",
        ),
        (["conversations", 4, "content"], " ", "conversations[4].content: expected an assistant's text, found none"),
        (
            ["conversations", 1, "content", 0, "type"],
            "image_sMRI",
            'conversations[1].content[0].type: expected "text" or "image", found "image_sMRI"',
        ),
        (
            ["conversations", 1, "content", 0, "text"],
            "<image>",
            'conversations[1].content[0].text: expected an image item for a scan, no <image>, found "<image>"',
        ),
        (
            ["conversations", 1, "content", 1, "image_path"],
            "x",
            'conversations[1].content[1].image_path: expected "images/sub-1.nii.gz" as in images[0], found "x"',
        ),
        (["metadata"], [], "metadata: expected an object, found a list of 0"),
        (["metadata", "subject_id"], 12, "metadata.subject_id: expected a string (numbers in quotes), found 12"),
        (["metadata", "_record"], 1, "metadata: expected no reserved key _record, found it"),
    ],
)
def test_each_rule_names_field_expected_and_found(path, value, problem):
    record = copy.deepcopy(RECORD)
    _set(record, path, value)
    assert [str(found) for found in find_problems(record)] == [problem]


def test_all_problems_of_a_record_are_found_at_once():
    record = copy.deepcopy(RECORD)
    record["images"][1]["modality"] = "T1w"
    del record["task_id"], record["conversations"][3]["content"][0], record["conversations"][4]
    assert [(problem.kind, problem.field) for problem in find_problems(record)] == [
        ("missing", "task_id"),
        ("modality", "images[1].modality"),
        ("no answer", "conversations"),
        ("modality", "modalities[1]"),
        ("count", "conversations"),
    ]


@pytest.mark.parametrize("record", [[RECORD], {"conversation": []}])
def test_older_formats_are_told_how_to_migrate(record):
    assert "--migrate" in str(find_problems(record)[0])


def test_scans_outside_user_turns_are_a_problem():
    record = copy.deepcopy(RECORD)
    record["conversations"][2]["content"] = [_text("Seen."), record["conversations"][3]["content"].pop(0)]
    assert [problem.field for problem in find_problems(record)] == ["conversations[2].content[1]"]


# image_root


@pytest.fixture
def roots(tmp_path):
    (tmp_path / "root" / "images").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "sub-3.nii.gz").write_bytes(b"")
    (tmp_path / "root" / "linked").symlink_to(tmp_path / "outside")
    (tmp_path / "root" / "images" / "sub-3.nii.gz").symlink_to(tmp_path / "outside" / "sub-3.nii.gz")
    (tmp_path / "root" / "images" / "sub-4.nii.gz").symlink_to("sub-1.nii.gz")
    return tmp_path


def _with_path(path):
    record = copy.deepcopy(RECORD)
    record["images"][0]["path"] = record["conversations"][1]["content"][1]["image_path"] = path
    return record


@pytest.mark.parametrize(
    "path", ["images/sub-1.nii.gz", "images/../images/sub-1.nii.gz", "images/sub-4.nii.gz", "{}/images/sub-1.nii.gz"]
)
def test_a_path_inside_image_root_is_resolved_against_it(roots, path):
    root = str(roots / "root")
    row = to_row(_with_path(path.format(root)), "x", "/data", root)
    assert row["images"][0]["path"] in (f"{root}/././images/sub-1.nii.gz", f"{root}/././images/sub-4.nii.gz")
    assert row["conversations"][1]["content"][1]["image_path"] == row["images"][0]["path"]


@pytest.mark.parametrize(
    "path",
    ["../outside/sub-3.nii.gz", "/outside/sub-3.nii.gz", "linked/sub-3.nii.gz", "images/sub-3.nii.gz", "images/../.."],
)
def test_a_path_that_leaves_image_root_is_an_error(roots, path):
    with pytest.raises(FormatError, match="x: images: expected a path inside image_root"):
        to_row(_with_path(path), "x", "/data", str(roots / "root"))


def test_image_root_is_part_of_the_cache_key_and_must_exist(data_dir, load, tmp_path):
    load(data_dir, "train")
    row = load(data_dir, "train", image_root=str(tmp_path))[0]
    assert row["images"][0]["path"] == f"{tmp_path}/././images/sub-1.nii.gz"
    with pytest.raises(FormatError, match="image_root: expected a folder, found none"):
        load(data_dir, image_root=str(tmp_path / "nowhere"))


# The loading script and single files


def test_single_files_count_paths_from_the_folder_above_their_split(data_dir, load):
    rows = load(None, data_files={"val": [f"{data_dir}/val/v.json"]})["validation"]
    assert (rows[0]["source"], rows[0]["images"][0]["path"]) == ("val/v.json", f"{data_dir}/images/sub-1.nii.gz")


script = pytest.mark.skipif(datasets.__version__ >= "4", reason="loading scripts exist only in datasets<4")


@pytest.mark.slow
@script
@pytest.mark.parametrize("options", [{}, {"streaming": True}, {"num_proc": 2}])
def test_the_loading_script_gives_the_rows_of_load_umbrella(data_dir, load, tmp_path, options):
    found = datasets.load_dataset(
        str(SCRIPT), data_dir=data_dir, split="train", trust_remote_code=True, cache_dir=str(tmp_path / "s"), **options
    )
    assert list(found) == load(data_dir, "train").to_list()


@script
def test_the_loading_script_takes_files_and_reports_the_format_error_itself(data_dir, tmp_path):
    options = {"trust_remote_code": True, "cache_dir": str(tmp_path / "s")}
    rows = datasets.load_dataset(str(SCRIPT), data_files={"train": f"{data_dir}/train/*.json*"}, **options)
    assert rows["train"]["task_id"] == ["a1", "a2", "b"]
    _write(Path(data_dir), {"train/c.json": "[]"})
    with pytest.raises(ValueError, match=r"train/c.json: record: expected one JSON object .*found a list of 0"):
        datasets.load_dataset(str(SCRIPT), data_dir=data_dir, **options)


@script
@pytest.mark.parametrize("options", [{}, {"streaming": True}, {"num_proc": 2}])
def test_the_script_alone_reads_the_sample_data_beside_it_or_says_how_to_make_them(tmp_path, monkeypatch, options):
    folder = tmp_path / "my project"
    (folder / "sample_data").mkdir(parents=True)
    shutil.copy(SCRIPT, folder)
    monkeypatch.chdir(folder)

    def load_script():
        return datasets.load_dataset(
            "./umbrella_dataset.py", trust_remote_code=True, cache_dir=str(tmp_path / "s"), **options
        )

    with pytest.raises(ValueError, match='expected data_dir="FOLDER" or data_files'):
        load_script()
    generator = folder / "sample_data/generate_sex_comparison_conversations.py"
    sample = folder / "sample_data/sex_comparison_conversations"
    generator.write_text("import os\nos.mkdir(os.path.join(os.path.dirname(__file__), 'made'))\n")
    with pytest.raises(ValueError, match="expected the sample data") as error:
        load_script()
    assert str(error.value).startswith(f"{sample}: ")
    command = str(error.value).splitlines()[1].strip()
    assert command == f"python '{generator}'"
    subprocess.run(command.replace("python", sys.executable, 1), shell=True, check=True)
    assert (folder / "sample_data/made").is_dir()
    _write(sample, {"train/a.jsonl": [_record("a")], "test/b.json": _record("b")})
    rows = load_script()
    assert [row["task_id"] for split in ("train", "test") for row in rows[split]] == ["a", "b"]
    assert next(iter(rows["train"]))["images"][0]["path"] == f"{sample}/images/sub-1.nii.gz"
