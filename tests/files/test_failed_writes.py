"""A full disk, a folder that is only read, one without permission, at any write of any command: it ends in a sentence
that names the place and a way out, and the same command, started again, gives what it gives without the fault."""

import errno
import io
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from tempfile import gettempdir

import cache_volumes
import compare
import eval as evaluation
import export
import generate_conversations
import generate_sex_comparison_conversations as generate_sex
import pytest
import train
import validate_json_format
from conversation_folder import write_folder
from killing import end
from killing import start as start_process

from umbrella.answers.generation import Answer, Answerer
from umbrella.files import claimed_folder
from umbrella.files.written_files import WriteError, filling, replacing, write_whole, writing
from umbrella.hub.exporting import check_export_dir
from umbrella.models.loading import load_model, load_processor
from umbrella.options.arguments import DataArguments
from umbrella.options.commands.ending import run
from umbrella.rows.loading import load_splits
from umbrella.training.checkpoints import explain_failed_save, write_marker

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
REASONS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES)


class FailingDisk:
    """Counts what opens a file for writing, makes a folder or renames below `root`; from the `number`-th on all fail,
    as they do on a disk that stays full."""

    def __init__(self):
        self.root = None
        sys.addaudithook(self._hear)  # a hook stays as long as the process; without a root it does nothing

    def start(self, root, number=None, reason=errno.ENOSPC):
        self.root, self.number, self.reason, self.count = str(root), number, reason, 0

    def stop(self):
        self.root = None
        return self.count

    def _hear(self, event, arguments):
        if self.root is None or event not in ("open", "os.mkdir", "os.rename"):
            return
        if event == "open" and not (isinstance(arguments[2], int) and arguments[2] & WRITES):
            return
        path = arguments[0]
        if isinstance(path, int) or not os.path.abspath(os.fsdecode(path)).startswith(self.root):
            return
        self.count += 1
        if self.number is not None and self.count >= self.number:
            raise OSError(self.reason, os.strerror(self.reason), os.fsdecode(path))


@pytest.fixture(scope="session")
def disk():
    return FailingDisk()


def answer(self, rows, *_, **__):
    return [[Answer(row["task_id"], "female", [-1.0, -2.0]) for row in rows]]


FAST = ("--max_length", 256, "--bootstrap", 10, "--baselines", "false", "--report", "false", "--labels", "female,male")
EVAL = ("--model_name_or_path", "tiny", "--json_dir", "data", "--output_dir", "eval", *FAST)
STEPS = ("--max_steps", 1, "--save_steps", 1, "--batch_size", 2, "--report_to", "none", "--max_length", 256)
TRAIN = ("--json_dir", "data", "--output_dir", "run", "--eval_strategy", "no", *STEPS)
TABLE = ("--participants", "table.csv", "--target", "sex", "--image_template", "{participant_id}.nii")
COMMANDS = {  # name → (main, flags, what it writes)
    "generate": (generate_conversations, (*TABLE, "--output_dir", "made"), "made"),
    "validate": (validate_json_format, ("data", "--report", "report.json"), "report.json"),
    "migrate": (validate_json_format, ("data", "--migrate", "migrated"), "migrated"),
    "eval": (evaluation, EVAL, "eval"),
    "cache": (cache_volumes, ("--json_dir", "data", "--volume_cache", "cache", "--num_workers", 0), "cache"),
    "compare": (compare, ("done", "done", "--bootstrap", 10, "--output", "out/compared.json"), "out"),
    "export": (export, ("--output_dir", "exported"), "exported"),
    "train": (train, (*TRAIN, "--resume_from_checkpoint", "auto"), "run"),
}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    write_folder(folder / "data", {"train": [1, 1], "test": [1, 1]})
    lines = [f"sub-{i:02d},{'MF'[i % 2]}" for i in range(30)]
    (folder / "table.csv").write_text("\n".join(["participant_id,sex", *lines]) + "\n")
    for line in lines:
        (folder / f"{line[:6]}.nii").write_bytes(b"\0")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(Answerer, "answer", answer)
        patch.setattr("sys.argv", ["eval.py", *map(str, EVAL)])
        evaluation.main()
    (folder / "eval").rename(folder / "done")
    return folder


@pytest.fixture
def start(inputs, tmp_path, monkeypatch, capsys):
    """(name) → the sentence that a command ends with; None where it is done."""
    shutil.copytree(inputs, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Answerer, "answer", answer)

    def start(name):
        recipe, flags, _ = COMMANDS[name]
        monkeypatch.setattr(sys, "argv", [f"{recipe.__name__}.py", *map(str, flags)])
        try:
            run(lambda: sys.exit(recipe.main()))
        except SystemExit as end:
            return end.code or None
        finally:
            capsys.readouterr()

    return start


def read_tree(path):
    """Name → content of all files at or below a path, but for what tells of the time or of the process."""
    paths = [path] if path.is_file() else path.rglob("*")
    of_the_end = ("train_results.json", "all_results.json")  # of a run that took a step, which the second does not
    changing = ("run.json", "training_args.bin", "trainer_state.json")
    changing += ("complete.json", "training_data.json", "evaluations.jsonl", "metrics.json")  # salts, counts, times
    return {
        one.relative_to(path.parent).as_posix(): None if one.name in changing else one.read_bytes()
        for one in paths
        if one.is_file() and one.name not in of_the_end
    }


def check_end(end, path, told):
    assert isinstance(end, str), told
    assert re.search(r"expected|cannot be", end) and re.search(
        r"[Cc]hoose|[Mm]ake room|[Ff]ree|[Ss]et HF|[Mm]ount|move", end
    ), told
    assert end.count("\n") == 0 and "Traceback" not in end and len(end) < 900, told
    assert not list(path.rglob("*.partial")), told


def check_fails(start, disk, folder, name, number, reason, expected):
    made = folder / COMMANDS[name][2]
    told = f"{name}, write {number}, {os.strerror(reason)}"
    disk.start(folder, number, reason)
    try:
        end = start(name)
    finally:
        disk.stop()
    check_end(end, folder, f"{told}: {end}")
    assert start(name) is None, told
    assert read_tree(made) == expected, told
    shutil.rmtree(made) if made.is_dir() else made.unlink()


def run_whole(start, disk, folder, name):
    """How many writes a command makes, and what it leaves, which is removed."""
    made = folder / COMMANDS[name][2]
    disk.start(folder)
    try:
        assert start(name) is None
    finally:
        n_writes = disk.stop()
    expected = read_tree(made)
    shutil.rmtree(made) if made.is_dir() else made.unlink()
    return n_writes, expected


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_a_write_that_fails_ends_in_a_sentence_and_leaves_nothing_half(start, disk, tmp_path, name):
    n_writes, expected = run_whole(start, disk, tmp_path, name)
    draw = random.Random(name)
    numbers = {draw.randint(1, n_writes)} if name == "train" else {1, draw.randint(1, n_writes), n_writes}
    for number in numbers:
        check_fails(start, disk, tmp_path, name, number, draw.choice(REASONS), expected)


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_a_disk_that_fills_while_a_file_is_written_ends_in_a_sentence(start, disk, tmp_path, name):
    """Whoever writes: Python, Arrow, safetensors, torch."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        end = start(name)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    check_end(end, tmp_path, f"{name}: {end}")
    assert start(name) is None


@pytest.mark.parametrize("load", [load_model, load_processor])
def test_a_full_folder_for_temporary_files_is_named(load):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(
            OSError, match=rf"^{gettempdir()}: expected to write it, found no .* set TMPDIR to a folder"
        ):
            load("tiny", local_files_only=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_checkpoint_that_finds_no_room_names_remedies_that_there_are(tmp_path):
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def explain(step):
        (tmp_path / f"checkpoint-{step}").mkdir()  # what was begun
        sentence = explain_failed_save(tmp_path / f"checkpoint-{step}", full, "go on")
        assert sentence.startswith(
            f"{tmp_path}/checkpoint-{step}: expected to write a checkpoint, found no space left"
        )
        return sentence

    assert re.search(r"There is none before it\. .*, then start again with --resume_from_checkpoint auto", explain(1))
    write_marker(tmp_path / "checkpoint-1", 1, 8)
    assert explain(2).endswith("/checkpoint-1, is whole. Make room, then go on.")
    write_marker(tmp_path / "checkpoint-2", 1, 8)
    assert explain(3).endswith("2, is whole. Make room (--save_total_limit 1 keeps fewer from then on), then go on.")


@pytest.mark.parametrize("place", ["HF_DATASETS_CACHE", "HF_DATASETS_CACHE and HF_HUB_CACHE"])
def test_a_full_cache_names_the_variables_that_move_it(monkeypatch, place):
    def fill(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("umbrella.rows.loading.load_umbrella", fill)
    monkeypatch.setattr("umbrella.rows.loading.load_published", fill)
    flags = {"json_dir": "data"} if place == "HF_DATASETS_CACHE" else {"dataset_name": "lab/data"}
    with pytest.raises(OSError, match=rf"Make room, or set {place} to a folder on another disk"):
        load_splits(DataArguments(**flags))


def test_standard_output_on_a_full_disk_is_named(start, monkeypatch):
    with open("/dev/full", "w") as full, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", full)
        end = start("validate")
    assert re.fullmatch("error: standard output: expected to write it, found no space left on the disk. .*", end)


@pytest.mark.parametrize("is_buffered", [True, False])
def test_standard_output_that_takes_no_more_ends_a_command_in_its_own_way(monkeypatch, is_buffered):
    """A full disk is said with a remedy that works; a reader that has left is no fault. Without a buffer
    (PYTHONUNBUFFERED=1) nothing waits to be written again."""

    def end_with(raw):
        out = io.TextIOWrapper(io.BufferedWriter(raw) if is_buffered else raw, write_through=not is_buffered)
        with monkeypatch.context() as patch, pytest.raises(SystemExit) as end:
            patch.setattr(sys, "stdout", out)
            run(lambda: print("text"))
        out.close()
        return end.value.code

    end = end_with(io.FileIO("/dev/full", "w"))
    assert re.fullmatch("error: standard output: .* no space left .* Make room, or send it elsewhere, .*", end)
    assert end_with(io.FileIO(make_broken_pipe(), "w")) == 141


def make_broken_pipe():
    reader, writer = os.pipe()
    os.close(reader)
    return writer


def test_another_pipe_that_is_broken_is_said_and_no_standard_output_is_needed(monkeypatch):
    with pytest.raises(SystemExit, match=r"^error: \[Errno 32\]"):
        run(lambda: os.write(make_broken_pipe(), b"text"))
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", None)  # closed: `>&-`
        run(lambda: print("text"))
        sys.stdout.close()


def test_what_is_no_failed_write_stays_what_it_is():
    with pytest.raises(FileNotFoundError, match="nowhere"), writing("place"):
        open("/nowhere/file").close()
    with pytest.raises(ZeroDivisionError), writing("place"):
        print(1 / 0)
    with pytest.raises(OSError, match=r"^place: expected to write it"), writing("place"):
        raise OSError("Not enough disk space. Needed: Unknown size")  # of datasets
    error = RuntimeError("x")
    error.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    error.__cause__.__cause__ = error  # a cycle ends
    with (
        pytest.raises(OSError, match=r"^place: expected to write it, found no space left .*, or go\.$"),
        writing("place", "go"),
    ):
        raise error


def test_a_sentence_that_was_found_already_stays(tmp_path):
    error = ValueError("a.json: expected JSON")
    error.__cause__ = PermissionError(errno.EACCES, "Permission denied", "b.json")
    with pytest.raises(ValueError, match=r"a\.json"), writing(tmp_path):
        raise error


def test_a_link_stays_and_a_pipe_is_written_to(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "file")
    write_whole(tmp_path / "link", "text")
    assert (tmp_path / "file").read_text() == "text" and (tmp_path / "link").is_symlink()
    reader, writer = os.pipe()
    write_whole(Path(f"/dev/fd/{writer}"), "text")
    assert os.read(reader, 10) == b"text"


def test_a_folder_that_is_filled_shows_its_last_file_last(tmp_path, monkeypatch):
    seen, rename = [], Path.rename
    monkeypatch.setattr(Path, "rename", lambda self, to: seen.append(to.name) or rename(self, to))
    with filling(tmp_path / "new") as folder:
        for name in ("config.json", "a", "z"):
            (folder / name).touch()
    assert seen == ["a", "z", "config.json"]
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["a", "config.json", "z"]


def test_a_folder_whose_filling_was_killed_is_filled_again(tmp_path):
    def fill(kill):
        with filling(check_export_dir(tmp_path / "new")) as folder:
            (folder / kill).touch()
            if kill == "half":
                os.kill(os.getpid(), signal.SIGKILL)

    assert end(start_process(lambda: fill("half"))) == -signal.SIGKILL
    fill("whole")
    assert os.listdir(tmp_path / "new") == ["whole"]


def test_a_second_filler_of_a_folder_is_refused_while_the_first_works_and_after(tmp_path, monkeypatch):
    monkeypatch.setattr(claimed_folder, "PATIENCE_S", 0.05)
    with filling(tmp_path / "new") as folder:
        (folder / "first").touch()
        check_export_dir(tmp_path / "new")  # which a second command asks before it loads its model
        with pytest.raises(FileExistsError, match="new: expected no other process that writes this folder"):
            filling(tmp_path / "new").__enter__()
        assert (folder / "first").exists()
    with pytest.raises(FileExistsError, match="new: expected an empty or new folder, found 1 files"):
        filling(tmp_path / "new").__enter__()
    assert os.listdir(tmp_path / "new") == ["first"]


def test_two_writers_of_one_file_do_not_mix_and_no_users_file_is_touched(tmp_path):
    (tmp_path / "x.json.partial").write_text("a user's")
    with replacing(tmp_path / "x.json") as one:
        one.write_text("one" * 100)
        with replacing(tmp_path / "x.json") as other:
            other.write_text("other")
        assert (tmp_path / "x.json").read_text() == "other"
        with one.open("a") as file:
            file.write("!")
    assert (tmp_path / "x.json").read_text() == "one" * 100 + "!"
    assert sorted(os.listdir(tmp_path)) == ["x.json", "x.json.partial"]

    def write_and_die():
        with replacing(tmp_path / "x.json") as partial:
            partial.write_text("half")
            os.kill(os.getpid(), signal.SIGKILL)

    for _ in range(2):  # a kill leaves one hidden file, which the next write replaces
        assert end(start_process(write_and_die)) == -signal.SIGKILL
        assert sorted(os.listdir(tmp_path)) == [".x.json.partial", "x.json", "x.json.partial"]
    write_whole(tmp_path / "x.json", "whole")
    assert sorted(os.listdir(tmp_path)) == ["x.json", "x.json.partial"]


def test_a_file_in_a_folders_place_and_the_other_way_are_named_with_a_way_out(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    report = ["--report", tmp_path / "file/report.json"]
    ends = [
        (generate_sex, ["--output_dir", tmp_path / "file/a/b", "--subjects_per_split", 4], "choose another"),
        (validate_json_format, [write_folder(tmp_path / "data", {"train": [1]}), *report], "choose another"),
    ]
    for program, flags, remedy in ends:
        with pytest.raises(SystemExit) as stop:
            run(lambda program=program, flags=flags: sys.exit(program.main([str(flag) for flag in flags])))
        assert str(stop.value).startswith(f"error: {tmp_path}/file: expected a folder, found a file in its place. ")
        assert remedy in str(stop.value) and "Errno" not in str(stop.value)
    with pytest.raises(WriteError, match="file: expected a folder, found a file in its place"):
        filling(tmp_path / "file").__enter__()
    with pytest.raises(WriteError, match=r"folder: expected a file, found a folder in its place\. Move"):
        write_whole(tmp_path / "folder", "text")


@pytest.mark.slow
def test_a_terminal_of_few_characters_shows_all_others_by_their_numbers(tmp_path):
    """A name in Greek, the validator's tick, a name that is no UTF-8, in the C locale."""
    data = write_folder(tmp_path / "Δ", {"train": [1, 1]})
    path = data / "train/train_0.json"
    path.write_text(path.read_text(encoding="utf-8").replace("train_0_0.nii", "Δ.nii"), encoding="utf-8")
    (data / "train_0_0.nii").rename(data / "Δ.nii")
    script = Path(validate_json_format.__file__)
    plain = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "PYTHONIOENCODING": "iso-8859-1"}
    command = [sys.executable, script, data, "--check_images"]
    done = subprocess.run(command, env=os.environ | plain, capture_output=True, check=False)
    assert (done.returncode, b"\\u2713 VALIDATION PASSED" in done.stdout) == (0, True), done.stdout + done.stderr
    (data / "Δ.nii").unlink()
    done = subprocess.run(command, env=os.environ | plain, capture_output=True, check=False)
    assert done.returncode == 1 and b"\\u0394.nii: expected a scan, found no such file" in done.stdout, done.stdout
    (data / "train/train_1.json").rename(data / "train/\udcff.json")
    done = subprocess.run(command, env=os.environ | plain, capture_output=True, check=False)
    assert done.returncode == 1 and b"\\udcff.json': expected a path in UTF-8" in done.stdout, done.stdout
