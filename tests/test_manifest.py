"""A data folder that a generator wrote is checked against its list of files, by the loader and by the validator."""

import json
import shutil

import pytest
import validate_json_format
from conversation_folder import make_record

from umbrella.cohort.generated_folder import replace_folder
from umbrella.cohort.questions.writer import write_conversations, write_shards
from umbrella_dataset import FormatError, load_umbrella


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    """2 .json files in train, 5 conversations in 2 .jsonl files in test, 1 sample."""
    output = tmp_path_factory.mktemp("manifest") / "data"
    with replace_folder(output) as folder:
        records = [make_record(f"t{number}", []) for number in range(2)]
        write_conversations(records, folder / "train")
        write_shards([make_record(f"v{number}", []) for number in range(5)], folder / "test", 3)
        write_conversations(records[:1], folder / "samples")
    return output


@pytest.fixture
def folder(generated, tmp_path):
    return shutil.copytree(generated, tmp_path / "data")


def validate(capsys, *paths):
    """(whether it passes, what it prints)."""
    code = validate_json_format.main([str(path) for path in paths])
    return code == 0, capsys.readouterr().out


def take_out_a_split(folder):
    shutil.rmtree(folder / "test")
    return "found 2 missing, the first test/test-00000.jsonl"


def take_out_a_file(folder):
    (folder / "train/t1.json").unlink()
    return "found 1 missing, the first train/t1.json"


def take_out_all(folder):
    for split in ("train", "test", "samples"):
        shutil.rmtree(folder / split)
    return "found 4 missing, the first test/test-00000.jsonl"


def cut_at_a_line(folder):
    path = folder / "test/test-00000.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:2]))
    return "test/test-00000.jsonl: file: expected 3 conversations, as generated.json says, found 2"


def cut_the_list(folder):
    path = folder / "generated.json"
    path.write_text(path.read_text()[:50])
    return "generated.json: expected the list of files that a generator wrote"


def empty_the_list(folder):
    (folder / "generated.json").write_text("")
    return "generated.json: expected the list of files that a generator wrote, found an empty file"


def spoil_the_list(folder):
    path = folder / "generated.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"files": 3}))
    return "generated.json: expected the list of files that a generator wrote, found something else"


SPOILS = (take_out_a_split, take_out_a_file, take_out_all, cut_at_a_line)
SPOILS += (cut_the_list, empty_the_list, spoil_the_list)


@pytest.mark.parametrize("spoil", SPOILS, ids=lambda spoil: spoil.__name__)
def test_a_part_is_refused_until_the_list_is_deleted(folder, spoil, capsys):
    """In one sentence, whose remedy works: what is there is then read as it is."""
    message = spoil(folder)
    with pytest.raises(FormatError) as refused:
        load_umbrella(str(folder))
    assert message in str(refused.value)
    is_valid, printed = validate(capsys, folder)
    assert not is_valid
    assert message in printed
    assert "delete" in str(refused.value)
    (folder / "generated.json").unlink()
    if spoil is not take_out_all:
        load_umbrella(str(folder))
        assert validate(capsys, folder)[0]


@pytest.mark.slow
def test_what_the_user_adds_and_chooses_is_let_be(folder, capsys):
    """Own files, longer files, no samples, one split alone, filters, files by name, another program's list."""
    write_conversations([make_record("own", [])], folder / "train")
    with open(folder / "test/test-00001.jsonl", "a") as file:
        file.write(json.dumps(make_record("own too", [])) + "\n")
    shutil.rmtree(folder / "samples")
    rows = load_umbrella(str(folder), task_types=["T3"])
    assert {split: len(rows[split]) for split in rows} == {"train": 3, "test": 6}
    shutil.rmtree(folder / "train")
    assert validate(capsys, folder / "test")[0]
    assert not validate(capsys, folder)[0]
    files = sorted(str(path) for path in (folder / "test").iterdir())
    assert len(load_umbrella(None, "test", data_files={"test": files})) == 6
    for content in ({"written_by": "another program"}, {"files": 3}, ["a.json"], None, "text", 7):
        (folder / "generated.json").write_text(json.dumps(content))
        assert set(load_umbrella(str(folder))) == {"test"}


def test_a_list_that_is_no_json_is_named_also_beside_one_file_and_both_remedies_work(generated, folder, capsys):
    cut_the_list(folder)
    is_valid, printed = validate(capsys, folder / "train/t0.json")
    assert not is_valid and printed.endswith("✗ VALIDATION FAILED\n")
    assert f"{folder}/generated.json: expected the list of files" in printed
    assert "Take the folder away and generate or copy it again, or delete this file" in printed
    shutil.rmtree(folder)
    shutil.copytree(generated, folder)
    assert validate(capsys, folder / "train/t0.json")[0]


def test_a_split_alone_is_checked_too(folder, capsys):
    take_out_a_file(folder)
    is_valid, printed = validate(capsys, folder / "train")
    assert not is_valid
    assert "found 1 missing, the first train/t1.json" in printed


def test_a_list_without_counts_is_read(folder):
    """As earlier versions wrote it."""
    path = folder / "generated.json"
    manifest = json.loads(path.read_text())
    del manifest["conversations"]
    path.write_text(json.dumps(manifest))
    cut_at_a_line(folder)
    assert len(load_umbrella(str(folder), "test")) == 4
