"""Mutants of a valid conversation folder, for fuzzing: of values, of bytes and of the file system.

`write_mutant` writes one; the same source of randomness writes the same one.
"""

import copy
import json
import os
import socket
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from conversation_folder import make_record

from umbrella.hub.dataset import build_schema
from umbrella_dataset import to_row

NESTED = "NESTED"  # stands for lists in one another, which json.dumps would not write
RAW = {  # texts that stand for themselves in a file
    "RAW_1": "1e999",
    "RAW_2": "-1e999",
    "RAW_3": "NaN",
    "RAW_4": "Infinity",
    "RAW_5": "-0",
    "RAW_6": "9" * 400,
    "RAW_7": "9" * 5000,
    "RAW_8": r'"\ud800"',
    "RAW_9": r'"\ud83d\ude00"',
    "RAW_10": r'"a\u0000b"',
    "RAW_11": '{"a": 1, "a": 2}',
    "RAW_12": "-0.0",
    "RAW_13": "1e-999",
    "RAW_14": "01",
    "RAW_15": "'a'",
    "RAW_16": '"\t"',
    "RAW_17": "0.1" + "1" * 300,
}
VALUES = [
    *RAW,
    NESTED,
    None,
    True,
    0,
    -1.5,
    "",
    " ",
    "\n",
    "a\0b",
    "<image>",
    "<|im_start|>",
    "x" * 5000,
    "word " * 250_000,
    "../../outside.nii",
    "/etc/hostname",
    "a//b/./c.nii",
    "link.nii",
    "\u202e\ufeff\u2028",
    "\U0001f9e0",
    "user",
    "system",
    "assistant",
    "dMRI",
    "text",
    "image",
    [],
    {},
    [[]],
    [None],
    [0] * 300,
    {"": None},
    {"path": "a"},
    {"_record": 1},
]
KEYS = ["", "_record", "metadata", "path", "extra", "conversation", "text", "a\0b", "subject_label", "é" * 40]


def write_mutant(random, folder: Path) -> None:
    """Write a data folder with one to three mutations into `folder`, which does not exist."""
    train = folder / "train"
    train.mkdir(parents=True)
    records = [make_record(f"r{i}", [f"r{i}_{scan}.nii" for scan in range(random.randrange(3))]) for i in range(4)]
    for _ in range(random.choice((0, 0, 1, 1, 2))):
        _mutate_value(random, records[random.randrange(3)])
    texts = [_dump(random, record) for record in records]
    (train / "a.json").write_bytes(_mutate_bytes(random, texts[0].encode()))
    lines = "\n".join(text.replace("\n", " ") for text in texts[1:3]) + random.choice(("\n", "", "\n\n \n"))
    (train / "b.jsonl").write_bytes(_mutate_bytes(random, lines.encode()))
    if random.random() < 0.5:
        (folder / "test").mkdir()
        (folder / "test" / "c.json").write_text(texts[3])
    if random.random() < 0.3:
        FILE_MUTATIONS[random.randrange(len(FILE_MUTATIONS))](random, folder, train)


def _dump(random, record: dict) -> str:
    text = json.dumps(record, ensure_ascii=random.random() < 0.5, indent=random.choice((None, 1)))
    for name, raw in sorted(RAW.items(), reverse=True):
        text = text.replace(f'"{name}"', raw)
    depth = random.choice((5, 90, 101, 984, 5000, 100_000))
    return text.replace(f'"{NESTED}"', "[" * depth + "]" * depth)


def _places(value) -> list[tuple]:
    """(parent, key) of every value in one another."""
    keys = value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    return [place for key in keys for place in ((value, key), *_places(value[key]))]


def _mutate_value(random, record: dict) -> None:
    parent, key = random.choice(_places(record))
    kind = random.randrange(6)
    if kind == 0:
        del parent[key]
    elif kind == 1 and isinstance(parent, dict):
        parent[random.choice(KEYS)] = parent.pop(key)
    elif kind == 2 and isinstance(parent, dict):
        parent[random.choice(KEYS)] = copy.deepcopy(random.choice(VALUES))
    elif kind == 3:
        parent[key] = [parent[key]]
    elif kind == 4 and isinstance(parent, list):
        parent.insert(key, copy.deepcopy(random.choice(parent)))
    else:
        parent[key] = copy.deepcopy(random.choice(VALUES))


def _mutate_bytes(random, data: bytes) -> bytes:
    if random.random() < 0.8:
        return data
    place, kind = random.randrange(len(data)), random.randrange(9)
    if kind == 0:
        return data[:place] + bytes([random.randrange(256)]) + data[place + 1 :]
    if kind == 1:
        return (
            data[:place] + random.choice((b"\0", b"\xef\xbb\xbf", b'"', b"}", b"\xed\xa0\x80", b"\r")) + data[place:]
        )
    if kind == 2:
        return data[:place]
    if kind == 3:
        end = random.randrange(place, len(data))
        return data[:end] + data[place:end] + data[end:]
    if kind == 4:
        return data[:place] + data[random.randrange(place, len(data)) :]
    if kind == 5:
        return random.choice((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")) + data
    if kind == 6:
        return data.decode().encode(random.choice(("utf-16", "utf-16-le", "utf-32", "utf-7")))
    if kind == 7:
        return random.choice((b"", b"\n\n", b" ", b"[]", b"null", b"{}", b"[" + data + b"]", data + data))
    return data.replace(b"\n", random.choice((b"\r\n", b"\r", b"\x0b")))


def write_table_mutant(random, folder: Path) -> bool:
    """Write a published table with one to three mutated values, or bytes of a file, into `folder`. Returns False where
    Arrow holds no such value."""
    rows = [to_row(make_record(f"r{i}", ["/a.nii"] * random.randrange(3)), f"train/{i}", "") for i in range(3)]
    for parent, key in _places(rows):
        parent[key] = "a.nii" if parent[key] == "/a.nii" else parent[key]
    for _ in range(random.choice((0, 1, 1, 2))):
        parent, key = random.choice(_places(rows))
        parent[key] = random.choice((None, "", "x", "/etc/hostname", 0, [], "{", "1e999", '{"a": 1}', *VALUES[18:]))
    try:
        table = pa.Table.from_pylist(rows, schema=build_schema(random.random() < 0.3, nifti_feature=False))
    except (pa.ArrowException, TypeError, AttributeError, ValueError):
        return False
    name = random.choice(("train-00000-of-00001", "train-00000-of-00001", "train-00000-of-00002", "train"))
    path = folder / "data" / f"{name}.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(table, path)
    if random.random() < 0.2:
        data, place = path.read_bytes(), random.randrange(path.stat().st_size)
        path.write_bytes(random.choice((data[:place], data[:place] + b"\xff" + data[place + 1 :])))
    return True


def _make_pipe(random, folder, train):
    os.mkfifo(train / random.choice(("x.json", "x.jsonl")))


def _make_socket(random, folder, train):
    here = os.open(train, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"/proc/self/fd/{here}/x.json")  # a socket's own path may have 107 characters only
    os.close(here)


def _make_folder(random, folder, train):
    (train / random.choice(("x.json", "x.jsonl", "sub"))).mkdir()


def _make_link(random, folder, train):
    target = random.choice(("nowhere", "x.json", "a.json", "..", "/dev/zero", "/dev/null"))
    (train / "x.json").symlink_to(target)


def _make_bytes_name(random, folder, train):
    (Path(os.fsdecode(os.fsencode(train) + b"/x\xff.json"))).write_text("{}")


def _make_odd_name(random, folder, train):
    name = random.choice(("a\nb.json", "x.JSON", "x.ndjson", "x.json.gz", ".x.json", "x.txt", "é.json", "x.jsonl.zst"))
    (train / name).write_text(json.dumps(make_record("odd", [])))


def _make_empty(random, folder, train):
    (train / random.choice(("x.json", "x.jsonl"))).write_text(random.choice(("", "\n", "\ufeff", " \n\n")))


def _make_second_split(random, folder, train):
    for name in random.sample(("val", "dev", "validation", "test"), 2):
        (folder / name).mkdir(exist_ok=True)
        (folder / name / "v.json").write_text(json.dumps(make_record(random.choice(("r0", name)), [])))


def _make_scan_links(random, folder, train):
    (folder / "link.nii").symlink_to(random.choice(("/etc/hostname", "r0_0.nii", "link.nii")))


def _make_unlisted(random, folder, train):
    (train / "a.json").unlink()
    if random.random() < 0.5:
        (train / "b.jsonl").unlink()


FILE_MUTATIONS = [
    _make_pipe,
    _make_socket,
    _make_folder,
    _make_link,
    _make_bytes_name,
    _make_odd_name,
    _make_empty,
    _make_second_split,
    _make_scan_links,
    _make_unlisted,
]
