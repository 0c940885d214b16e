"""What is told to be wrong before a job starts."""

import os
import subprocess
from pathlib import Path

import pytest
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from accelerate.utils.launch import prepare_simple_launcher_cmd_env
from conversation_folder import write_folder, write_scan
from datasets import Dataset

from umbrella.conversations.encoder import ConversationEncoder, ConversationError
from umbrella.files.shards.index import SCANS, About
from umbrella.files.shards.reading import use_shards
from umbrella.files.shards.writing import Part, ShardWriter
from umbrella.models.tiny_llava import build_tiny_processor
from umbrella.training import preflight
from umbrella.training.preflight import check_output_dir, check_scans, check_texts, check_world_size
from umbrella_dataset import load_umbrella


def load_rows(folder):
    return load_umbrella(str(folder), split="train")


def test_all_scans_are_counted_once(tmp_path):
    assert check_scans(load_rows(write_folder(tmp_path, {"train": [2, 0, 1]}))) == 3


def test_every_unreadable_scan_is_named_with_its_row(tmp_path):
    rows = load_rows(write_folder(tmp_path, {"train": [1, 2, 1]}))
    (tmp_path / "train_0_0.nii").unlink()
    whole = (tmp_path / "train_1_1.nii").read_bytes()
    (tmp_path / "train_1_1.nii").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "train_2_0.nii").write_bytes(b"no scan at all")
    with pytest.raises(SystemExit) as stop:
        check_scans(rows)
    message = str(stop.value)
    assert message.startswith("error: 3 of 4 scans cannot be read:\n")
    for number, name in ((0, "train_0_0.nii"), (1, "train_1_1.nii"), (2, "train_2_0.nii")):
        assert f"train/train_{number}.json: " in message and name in message
    assert "--image_root" in message


def test_the_first_ten_of_many_unreadable_scans_are_named(tmp_path):
    rows = load_rows(write_folder(tmp_path, {"train": [1] * 13}))
    for scan in tmp_path.glob("*.nii"):
        scan.write_bytes(b"no scan at all")
    with pytest.raises(SystemExit) as stop:
        check_scans(rows)
    assert str(stop.value).count(".json: ") == 10
    assert "... and 3 more" in str(stop.value)


def test_data_that_were_moved_away_from_their_scans_are_one_line(tmp_path):
    rows = load_rows(write_folder(tmp_path, {"train": [1] * 13}))
    for scan in sorted(tmp_path.glob("*.nii"))[:12]:
        scan.unlink()
    next(tmp_path.glob("*.nii")).write_bytes(b"no scan at all")
    with pytest.raises(SystemExit, match=r"13 of 13 scans") as stop:
        check_scans(rows)
    first, second = str(stop.value).splitlines()[1:3]
    assert first.startswith(f"  12 scans below {tmp_path}: expected scans, found no such files, the first ")
    assert "--image_root" in first and "no scan at all"[:2] in second and "train/train_" in second


def test_of_very_many_scans_all_are_looked_for_some_are_opened_and_this_is_said(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(preflight, "MOST_OPENED", 4)
    rows = load_rows(write_folder(tmp_path, {"train": [1] * 12}))
    scans = [row["images"][0]["path"] for row in rows]
    Path(scans[1]).write_bytes(b"no scan at all")  # of 0, 3, 7 and 11, which are opened, none
    assert check_scans(rows) == 12
    said = "scans: all 12 files are there; 4 of them, evenly spaced, were opened and their headers read. "
    assert capsys.readouterr().out.startswith(said)
    Path(scans[7]).write_bytes(b"no scan at all")
    Path(scans[10]).unlink()
    (tmp_path / "a_folder").mkdir()
    Path(scans[5]).unlink()
    Path(scans[5]).symlink_to(tmp_path / "a_folder")
    with pytest.raises(SystemExit) as stop:
        check_scans(rows)
    first, *found = str(stop.value).splitlines()[:-1]
    assert first == "error: 3 of 6 that were opened of 12 scans cannot be read:"
    assert [scan in line for scan, line in zip((scans[5], scans[7], scans[10]), found, strict=True)] == [True] * 3
    assert [line.split(":")[0].strip() for line in found] == [rows["source"][i] for i in (5, 7, 10)]


def test_of_very_many_scans_those_in_shards_are_not_looked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(preflight, "MOST_OPENED", 4)
    rows = load_rows(write_folder(tmp_path / "data", {"train": [1] * 12}))
    scans = [Path(row["images"][0]["path"]) for row in rows]
    packed = (0, 2, 3, 6, 7, 8, 11)
    (tmp_path / "shards").mkdir()
    with ShardWriter(tmp_path / "shards", About(SCANS, [], {}, ""), 10**6) as writer:
        for number in packed:
            writer.add(number, [Part(".nii", [scans[number].name], scans[number].read_bytes())])
            scans[number].unlink()
        writer.finish()
    use_shards([str(tmp_path / "shards")], [str(tmp_path / "data")])
    try:
        assert check_scans(rows) == 12
        scans[1].unlink()
        scans[10].unlink()
        with pytest.raises(SystemExit, match=r"error: 2 of 6 that were opened of 12 scans .*") as stop:
            check_scans(rows)
        assert all(f"{rows['source'][i]}:" in str(stop.value) for i in (1, 10))
    finally:
        use_shards([], [])


def test_scans_whose_bytes_are_in_the_row_are_not_looked_for():
    scan = {"path": "sub-01.nii", "modality": "sMRI", "bytes": b"..."}
    assert check_scans(Dataset.from_list([{"images": [scan], "source": "train/0"}])) == 0


def test_text_that_spells_a_control_token_is_found_with_its_row(tmp_path):
    folder = write_folder(tmp_path, {"train": [0, 0]})
    encoder = ConversationEncoder(build_tiny_processor(32))
    check_texts(load_rows(folder), encoder)
    path = folder / "train" / "train_1.json"
    path.write_text(path.read_text().replace("The subject is female.", "female<|im_end|>"))
    with pytest.raises(ConversationError, match=r"^train/train_1\.json: conversations\[1\]: .*'<\|im_end\|>'"):
        check_texts(load_rows(folder), encoder)


def test_a_world_of_another_size_than_the_launcher_started_is_refused(monkeypatch, capsys):
    monkeypatch.setenv("WORLD_SIZE", "2")
    check_world_size(2)
    assert capsys.readouterr().out == "world size: 2\n"
    with pytest.raises(SystemExit, match=r"expected 2 processes that train together, .*; found a world size of 1"):
        check_world_size(1)
    monkeypatch.delenv("WORLD_SIZE")
    check_world_size(1)


@pytest.mark.parametrize("n_processes", [1, 4])
def test_the_only_one_of_several_processes_that_accelerate_was_told_to_start_is_refused(n_processes, monkeypatch):
    parser = launch_command_parser()
    arguments = parser.parse_args(["--num_processes", str(n_processes), "--num_machines", "1", "train.py"])
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    for name, value in prepare_simple_launcher_cmd_env(_validate_launch_command(arguments)[0])[1].items():
        monkeypatch.setenv(name, value)
    if n_processes == 1:
        check_world_size(1)
        return
    with pytest.raises(
        SystemExit, match=r"expected several processes that train together, .* found a world size of 1"
    ):
        check_world_size(1)


def test_an_address_that_the_job_itself_has_set_is_no_launcher_of_several(monkeypatch):
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "no")
    monkeypatch.setenv("MASTER_ADDR", "node7")
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(["cat"], **pipes, bufsize=0) as accelerate:  # inherits it
        accelerate.stdin.write(b"\n")
        assert accelerate.stdout.read(1)  # before its program runs, /proc may show no environment yet
        monkeypatch.setattr(os, "getppid", lambda: accelerate.pid)
        check_world_size(1)
    with pytest.raises(SystemExit, match="expected several processes"):  # of one that is not to be asked
        check_world_size(1)


@pytest.mark.parametrize("name", ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"])
def test_tasks_of_mpirun_and_srun_that_train_alone_are_refused(name, monkeypatch):
    monkeypatch.setenv(name, "4")
    check_world_size(4)
    with pytest.raises(
        SystemExit, match=r"expected 4 processes that train together, .* size of 1\. .*WORLD_SIZE=1 for"
    ):
        check_world_size(1)
    monkeypatch.setenv("WORLD_SIZE", "1")
    check_world_size(1)


def test_an_output_folder_with_an_earlier_run_is_refused_unless_it_goes_on(tmp_path):
    folder = tmp_path / "run"
    check_output_dir(str(folder), resumes=False)
    folder.mkdir()
    check_output_dir(str(folder), resumes=False)
    write_scan(folder / "something.nii", seed=0)
    check_output_dir(str(folder), resumes=True)
    with pytest.raises(
        SystemExit, match=r"found something\.nii\. Choose another --output_dir"
    ):  # nothing to go on from
        check_output_dir(str(folder), resumes=False)
    (folder / "checkpoint-1").mkdir()
    with pytest.raises(SystemExit, match=r"found an earlier run\. .* continue it with --resume_from_checkpoint auto"):
        check_output_dir(str(folder), resumes=False)
    with pytest.raises(SystemExit, match="expected a folder to write to, found a file"):
        check_output_dir(str(folder / "something.nii"), resumes=True)
