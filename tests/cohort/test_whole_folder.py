"""A folder that is killed while it is written: the old one or the new one, or it is refused; the next run is whole."""

import os
import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest
import validate_json_format
from conversation_folder import make_record
from filelock import FileLock
from killing import kill_at_call, list_calls, read_bytes

from umbrella.cohort.generated_folder import replace_folder
from umbrella.cohort.questions.writer import write_conversations, write_shards
from umbrella.files import claimed_folder
from umbrella.files.claimed_folder import claim
from umbrella_dataset import FormatError, find_split_files


def write(output_dir, n_train):
    """A small generator: .json files, a .jsonl file and samples."""
    with replace_folder(output_dir) as folder:
        records = [make_record(f"t{number}", []) for number in range(n_train)]
        write_conversations(records, folder / "train")
        write_shards([make_record(f"v{number}", []) for number in range(3)], folder / "validation", 2)
        write_conversations(records[:1], folder / "samples")


def assert_whole(output_dir, *states):
    """One of the states; no folder at all is refused by the loader and by the validator, in a sentence."""
    if output_dir.exists():
        assert read_bytes(output_dir) in states
        return
    with pytest.raises(FormatError, match="expected a data folder, found none"):
        find_split_files(str(output_dir))
    assert validate_json_format.main([str(output_dir)]) == 1


@pytest.mark.slow
@pytest.mark.parametrize("is_fresh", [True, False])
def test_killed_at_its_file_system_calls_it_is_whole_and_the_next_run_leaves_nothing(tmp_path, is_fresh):
    """At every rename, right after it and at every sixth call; at all others in test_fuzz_kills."""
    output = tmp_path / "data"
    write(tmp_path / "new", 2)
    new = read_bytes(tmp_path / "new")
    write(tmp_path / "old", 3)
    old = read_bytes(tmp_path / "old")
    if not is_fresh:
        write(output, 3)
    calls = list_calls(lambda: write(output, 2))
    renames = [number for number, call in enumerate(calls) if call == "os.rename"]
    n_absent = 0
    for number in sorted({*range(0, len(calls), 6), *renames, *(number + 1 for number in renames), len(calls) - 1}):
        shutil.rmtree(output)
        if not is_fresh:
            write(output, 3)
        assert kill_at_call(lambda: write(output, 2), number)
        assert_whole(output, new, old)
        n_absent += not output.exists()
        write(output, 2)
        assert read_bytes(output) == new
        assert sorted(os.listdir(tmp_path)) == ["data", "new", "old"]
    assert len(calls) > 20 and len(renames) == (1 if is_fresh else 2)
    assert is_fresh or n_absent == 1  # between the two renames


def test_two_writers_of_one_folder_and_a_users_own_hidden_folder(tmp_path, monkeypatch):
    """The second writer is told of the first; a folder that is not ours is not touched."""
    monkeypatch.setattr(claimed_folder, "PATIENCE_S", 0.05)
    hidden = tmp_path / ".data.writing"
    hidden.mkdir()
    with FileLock(hidden / "lock"), pytest.raises(FileExistsError, match="expected no other process that writes"):
        write(tmp_path / "data", 1)
    write(tmp_path / "data", 1)
    assert os.listdir(tmp_path) == ["data"]
    (hidden / "new").mkdir(parents=True)
    (hidden / "new/mine.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="found other files, as new; move it away"):
        write(tmp_path / "data", 1)
    assert (hidden / "new/mine.txt").exists()


def test_writers_that_come_and_go_at_once_never_meet(tmp_path):
    """Who leaves takes the folder with it, in the instant in which the next comes in."""
    inside, most, n = [0], [], 25

    def come(_):
        for _ in range(n):
            with claim(tmp_path / "deep/.packing", set(), tmp_path):
                inside[0] += 1
                most.append(inside[0])
                inside[0] -= 1

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(come, range(4)))
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(FileNotFoundError, match="link"), claim(tmp_path / "link", set(), tmp_path):
        pass
    assert most == [1] * 4 * n and not (tmp_path / "deep/.packing").exists()
