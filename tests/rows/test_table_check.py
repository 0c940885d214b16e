"""A published table with a part missing, or with rows that are not as the format says, is refused."""

import copy
import json
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conversation_folder import make_record, write_folder
from test_umbrella_dataset import RECORD

from umbrella.hub.dataset import Publication, build_schema
from umbrella.rows.published import load_published
from umbrella.rows.push_manifest import MANIFEST, write_manifest
from umbrella_dataset import FEATURES, FormatError, load_umbrella, to_row

SCHEMA = FEATURES.arrow_schema.remove_metadata()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")


def _make_row(task_id="a", record=RECORD) -> dict:
    row = to_row({**copy.deepcopy(record), "task_id": task_id}, f"train/{task_id}.json", "")
    for scan in row["images"]:
        scan["path"] = scan["path"].lstrip("/")
    for turn in row["conversations"]:
        for item in turn["content"]:
            item["image_path"] = item["image_path"] and item["image_path"].lstrip("/")
    return row


def _write(folder, shards: dict[str, list[dict]], schema=SCHEMA) -> str:
    (folder / "data").mkdir(parents=True)
    for name, rows in shards.items():
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), folder / "data" / f"{name}.parquet")
    return str(folder)


def test_a_whole_table_is_read_in_order(tmp_path):
    name = _write(tmp_path / "x", {f"train-0000{i}-of-00002-0af": [_make_row(f"r{i}")] for i in range(2)})
    rows = load_published(name)["train"]
    assert rows["task_id"] == ["r0", "r1"]
    assert rows[0]["images"][0]["path"] == f"{tmp_path}/x/././{RECORD['images'][0]['path']}"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["00000-of-00003", "00002-of-00003"], "expected 3 files, as their names say, found 2: 1 missing, the first "),
        (["00000-of-00002", "00000-of-00001"], "expected files of one publication, found some of 1 and of 2"),
        (["00000-of-00001", "00000-of-00001-0a"], "expected 1 files, as their names say, found 2: one twice"),
        (["00000-of-00000"], "found 1: train-00000-of-00000, which is none of them. Take it out"),
        (["00000-of-00001", "00001-of-00001"], "found 2: train-00001-of-00001, which is none of them. Take it out"),
        (["00000-of-00001", "extra"], "found data/train-extra.parquet. Take it out"),
    ],
)
def test_a_table_with_a_part_missing_or_too_many_is_refused(tmp_path, names, message):
    name = _write(tmp_path / "x", {f"train-{part}": [_make_row(part)] for part in names})
    with pytest.raises(FormatError, match=re.escape(message)):
        load_published(name)


@pytest.fixture
def whole(tmp_path):
    """A folder of two splits and a scan, with the list of it, as push_to_hub.py leaves and the Hub gives it."""
    name = _write(tmp_path / "x", {f"{split}-00000-of-00001": [_make_row()] for split in ("train", "test")})
    scan = tmp_path / "x" / "scans" / "a.nii"
    scan.parent.mkdir()
    scan.touch()
    (tmp_path / "x" / "README.md").touch()
    write_manifest(tmp_path / "x")
    return name


@pytest.mark.parametrize(
    "lost", ["data/train-00000-of-00001.parquet", "data/test-00000-of-00001.parquet", "scans/a.nii"]
)
def test_a_whole_split_or_a_scan_that_is_lost_is_missed(whole, lost):
    (Path(whole) / "README.md").unlink()
    assert set(load_published(whole)) == {"train", "test"}
    (Path(whole) / lost).unlink()
    with pytest.raises(FormatError, match=re.escape(f"expected 3 files, as {MANIFEST} lists them, found 1 missing, ")):
        load_published(whole)
    if lost.startswith("scans"):
        load_published(whole, image_root="/elsewhere")
    (Path(whole) / MANIFEST).unlink()  # what the message says
    assert set(load_published(whole)) == {"train", "test"} - {lost[5:].partition("-")[0]}


@pytest.mark.parametrize("data", [b"", b"{}", b"[", b"\xff", b'{"files": [1]}'])
def test_a_list_of_files_that_is_damaged_is_named(whole, data):
    (Path(whole) / MANIFEST).write_bytes(data)
    with pytest.raises(FormatError, match=rf"{MANIFEST}: expected the list of files that push_to_hub.py wrote, found"):
        load_published(whole)


def test_names_that_are_none_are_missing(whole):
    (Path(whole) / MANIFEST).write_text(
        json.dumps({"files": ["data/" + "x" * 5000, "data/a\0b", "data/\ud800", "data"]})
    )
    with pytest.raises(FormatError, match=r"expected 3 files, .* found 3 missing"):
        load_published(whole)


@pytest.mark.parametrize("groups", [[], [0], [0, 1]])
def test_a_table_without_rows_is_said_to_have_none(tmp_path, groups):
    path = tmp_path / "x" / "data" / "train-00000-of-00001.parquet"
    path.parent.mkdir(parents=True)
    with pq.ParquetWriter(path, SCHEMA) as writer:
        for n_rows in groups:
            writer.write_table(pa.Table.from_pylist([_make_row()] * n_rows, schema=SCHEMA))
    found = "an empty first row group" if any(groups) else "none"
    with pytest.raises(FormatError, match=re.escape(f"{path}: expected rows, found {found}. Publish the dataset")):
        load_published(str(tmp_path / "x"))


def test_a_split_of_rows_that_are_a_few_letters_long_is_written(tmp_path):
    """Whose estimate of tokens is 0."""
    folder = write_folder(tmp_path / "data", {"train": [0]})
    (path,) = (folder / "train").glob("*.json")
    record = json.loads(path.read_text())
    for turn in record["conversations"]:
        turn["content"] = "a"
    path.write_text(json.dumps(record))
    rows = load_umbrella(str(folder))
    assert rows["train"]["length"] == [0]
    Publication(rows, str(folder), "none").stage(tmp_path / "x", 1000)
    assert load_published(str(tmp_path / "x"))["train"]["task_id"] == [record["task_id"]]


@pytest.mark.parametrize("cut", [0, 10, 2000, -200])
def test_a_file_that_is_cut_short_or_damaged_is_named(tmp_path, cut):
    name = _write(tmp_path / "x", {"train-00000-of-00001": [_make_row()]})
    path = tmp_path / "x" / "data" / "train-00000-of-00001.parquet"
    data = path.read_bytes()
    path.write_bytes(data[:cut] if cut >= 0 else data[:100] + bytes(300) + data[400:])
    with pytest.raises(FormatError, match=re.escape(str(tmp_path / "x"))):
        load_published(name)


def _set(*keys_and_value):
    def change(row):
        *keys, last, value = keys_and_value
        for key in keys:
            row = row[key]
        row[last] = value

    return change


CHANGES = {
    "role": (_set("conversations", 0, "role", "oracle"), "conversations[0].role: expected one of system, user"),
    "null path": (_set("images", 0, "path", None), "images[0].path: expected a non-empty string, found nothing"),
    "null images": (_set("images", None), "images: expected a list, found nothing"),
    "null scan": (_set("images", 0, None), "images[0]: expected an object, found nothing"),
    "null turn": (_set("conversations", 0, None), "conversations[0]: expected an object, found nothing"),
    "null id": (_set("task_id", None), "task_id: expected a non-empty string, found nothing"),
    "NUL": (_set("images", 0, "path", "a\0b"), "images[0].path: expected a path of at most 4096 characters"),
    "count": (_set("modalities", ["sMRI"]), "modalities: expected 2 (one for each of images), found 1"),
    "no answer": (lambda row: row["conversations"].pop(), "an assistant's turn as the last"),
    "source": (_set("source", None), "source: expected one in every row, found none"),
    "length": (_set("length", None), "length: expected one in every row, found none"),
    "empty source": (_set("source", " "), "task_id 'a': source: expected where the row was written, found an empty"),
    "negative length": (_set("length", -5), "length: expected an estimate of the row's tokens, found -5"),
    "metadata": (_set("metadata", None), "metadata: expected one in every row, found none"),
    "extra": (_set("metadata", "extra", "{"), "metadata.extra: expected a JSON object, found Expecting"),
    "extra list": (_set("metadata", "extra", "[]"), "metadata.extra: expected a JSON object, found a list"),
    "extra number": (
        _set("metadata", "extra", '{"a": Infinity}'),
        "metadata.extra: expected a JSON object, found Infinity, which is not JSON",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("has_bytes", [False, True])
def test_rows_of_a_table_are_checked_as_json_is(tmp_path, change, has_bytes):
    row = _make_row()
    if has_bytes:
        row["images"] = [{**scan, "bytes": b"x"} for scan in row["images"]]
    mutate, message = CHANGES[change]
    mutate(row)
    shards = {"train-00000-of-00001": [_make_row("first"), row] if not has_bytes else [row]}
    name = _write(tmp_path / "x", shards, build_schema(has_bytes, nifti_feature=False))
    with pytest.raises(FormatError, match=re.escape(message)):
        load_published(name)


ANSWER = RECORD["conversations"][-1]["content"][0]["text"].encode()


@pytest.mark.parametrize("text", [b"sex_comparison_train", ANSWER])
def test_text_that_is_no_utf8_is_refused(tmp_path, text):
    """Parquet's reader does not look."""
    name = _write(tmp_path / "t", {"train-00000-of-00001": [_make_row(task_id="sex_comparison_train")]})
    path = tmp_path / "t" / "data" / "train-00000-of-00001.parquet"
    table = pq.read_table(path)
    pq.write_table(table, path, compression="none", use_dictionary=False, write_statistics=False)
    data = path.read_bytes()
    assert text in data
    path.write_bytes(data.replace(text, b"\xff" + text[1:]))
    with pytest.raises(FormatError, match=r"expected text in UTF-8, found other bytes .*0xff.* Get the dataset anew"):
        load_published(name)


def test_a_task_id_twice_and_another_column_type_are_refused(tmp_path):
    name = _write(tmp_path / "twice", {"train-00000-of-00001": [_make_row(), _make_row()]})
    with pytest.raises(FormatError, match='expected each once in train, found "a" 2 times'):
        load_published(name)
    other = SCHEMA.set(SCHEMA.get_field_index("length"), pa.field("length", pa.string()))
    name = _write(tmp_path / "typed", {"train-00000-of-00001": [{**_make_row(), "length": "1"}]}, other)
    with pytest.raises(FormatError, match="column length: expected int64, found string"):
        load_published(name)


@pytest.mark.parametrize("data", [None, b""])
def test_a_scan_without_bytes_in_a_table_with_bytes_is_never_looked_for_on_disk(tmp_path, data):
    row = _make_row("x", make_record("x", ["/etc/hostname"]))
    row["images"][0]["bytes"] = data
    name = _write(tmp_path / "x", {"train-00000-of-00001": [row]}, build_schema(True, nifti_feature=False))
    with pytest.raises(FormatError, match="expected the bytes of every scan"):
        load_published(name)
