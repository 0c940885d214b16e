"""A published table with a part missing, or with rows that are not as the format says, is refused."""

import copy
import re

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conversation_folder import make_record
from test_umbrella_dataset import RECORD

from umbrella.hub.dataset import build_schema
from umbrella.hub.published_data import load_published
from umbrella_dataset import FEATURES, FormatError, to_row

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
        (["00000-of-00001", "extra"], "found data/train-extra.parquet. Take it out"),
    ],
)
def test_a_table_with_a_part_missing_or_too_many_is_refused(tmp_path, names, message):
    name = _write(tmp_path / "x", {f"train-{part}": [_make_row(part)] for part in names})
    with pytest.raises(FormatError, match=re.escape(message)):
        load_published(name)


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
