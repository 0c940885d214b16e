"""A fingerprint tells any two sets of weights apart, and reads each file once."""

import hashlib
import json
import os
import time

import pytest
from huggingface_hub import constants

from umbrella.evaluation.history import record_evaluation
from umbrella.evaluation.run_folder import Folder
from umbrella.files import file_hashes
from umbrella.files.file_hashes import hash_file
from umbrella.models.base import FILE_NAME, BaseModel, describe_base, read_base
from umbrella.models.files import fingerprint_model, fingerprint_weights

MEGABYTE = 1024**2


def write_weights(folder, middle=b"m", name="model.safetensors"):
    """Files that differ between the first and the last megabyte only."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(bytes(MEGABYTE) + middle * 10 + bytes(MEGABYTE))
    return folder


def age(path, seconds=100):
    then = time.time() - seconds
    os.utime(path, (then, then))


@pytest.fixture
def cache(monkeypatch, tmp_path):
    monkeypatch.setattr(constants, "HF_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(file_hashes, "SETTLED_NS", -1)  # a test cannot set the inode's own time
    return tmp_path / "home/umbrella/sha256"


def test_models_that_differ_in_the_middle_are_two(cache, tmp_path):
    one, other, copy = (
        write_weights(tmp_path / name, middle) for name, middle in (("a", b"m"), ("b", b"n"), ("c", b"m"))
    )
    assert fingerprint_model(str(one)) != fingerprint_model(str(other))
    assert fingerprint_model(str(one)) == fingerprint_model(str(copy))
    base = describe_base(str(one))
    base.check(describe_base(str(copy)), "run")
    with pytest.raises(ValueError, match=r"run: expected the base model .* with weights_sha256"):
        base.check(describe_base(str(other)), "run")
    first, second = (
        write_weights(tmp_path / name, middle, "pytorch_model.bin") for name, middle in (("d", b"m"), ("e", b"n"))
    )
    assert fingerprint_model(str(first)) != fingerprint_model(str(second))


def test_a_file_is_read_once_until_it_changes(cache, tmp_path, monkeypatch):
    path = write_weights(tmp_path / "a") / "model.safetensors"
    expected, read = hash_file(path), []
    assert expected == hashlib.sha256(path.read_bytes()).hexdigest()
    digest = hashlib.file_digest
    monkeypatch.setattr(hashlib, "file_digest", lambda *args: read.append(1) or digest(*args))
    assert hash_file(path) == expected and read == []
    status = path.stat()
    with path.open("r+b") as file:  # in place, as large, and with its time put back
        file.seek(MEGABYTE)
        file.write(b"x")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert hash_file(path) != expected and read == [1]
    next(cache.iterdir()).write_text("{")
    assert hash_file(path) == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_file_that_has_just_been_written_is_not_kept_and_a_home_that_is_no_folder_does_not_matter(
    tmp_path, monkeypatch
):
    path = write_weights(tmp_path / "a") / "model.safetensors"
    monkeypatch.setattr(constants, "HF_HOME", str(tmp_path / "home"))
    hash_file(path)
    assert not (tmp_path / "home").exists()
    monkeypatch.setattr(constants, "HF_HOME", str(path))
    monkeypatch.setattr(file_hashes, "SETTLED_NS", -1)
    assert hash_file(path) == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_file_of_the_hubs_cache_has_the_hubs_own_hash(cache, tmp_path):
    repo = tmp_path / "models--lab--it"
    for folder in ("blobs", "snapshots/c0"):
        (repo / folder).mkdir(parents=True)
    (repo / "blobs" / ("ab" * 32)).write_bytes(b"not read")
    (repo / "snapshots/c0/model.safetensors").symlink_to(repo / "blobs" / ("ab" * 32))
    assert hash_file(repo / "snapshots/c0/model.safetensors") == "ab" * 32
    assert fingerprint_weights(repo / "snapshots/c0") is not None and not cache.exists()


def test_an_older_record_of_a_base_can_refuse_another_and_never_the_same(tmp_path):
    base = write_weights(tmp_path / "base")
    sampled = describe_base(str(base)).sampled_sha256
    record = {"name": str(base), "revision": None, "sha256": sampled, "seed": None}
    (tmp_path / FILE_NAME).write_text(json.dumps(record))
    older = read_base(tmp_path)
    older.check(describe_base(str(base)), "run")
    (base / "model.safetensors").write_bytes(bytes(3 * MEGABYTE))
    with pytest.raises(ValueError, match=r"run: expected the base model .* with sampled_sha256"):
        older.check(describe_base(str(base)), "run")
    with pytest.raises(ValueError, match="expected the base model"):
        older.check(BaseModel("tiny", seed=3), "run")


def test_a_base_is_recorded_without_what_cannot_tell_it(tmp_path):
    describe_base(str(write_weights(tmp_path / "base"))).save(tmp_path)
    assert json.loads((tmp_path / FILE_NAME).read_text()).keys() == {"name", "revision", "weights_sha256", "seed"}


def test_answers_under_an_older_fingerprint_are_not_said_to_be_another_models(tmp_path):
    folder = Folder(tmp_path / "eval")
    folder.open({"split": "test", "model": "ab" * 32}, overwrite=False)
    with pytest.raises(ValueError, match="an earlier version, which does not tell whether this model made them"):
        folder.open({"split": "test", "model": f"sha256:{'cd' * 32}"}, overwrite=False)
    settings = {"split": "test", "data": "d"}
    for model in ("ab" * 32, f"sha256:{'ab' * 32}"):
        said = record_evaluation(tmp_path, settings | {"model": model}, 8, {})["sentence"]
    assert "evaluated 2 times by this run folder. " in said
    said = record_evaluation(tmp_path, settings | {"model": "sha256:other"}, 8, {})["sentence"]
    assert "with at least 2 different checkpoints." in said


def test_that_nothing_was_chosen_on_the_validation_split_is_said_only_where_it_is_known(tmp_path):
    settings, state = {"data": "d", "model": "m"}, tmp_path / "trainer_state.json"

    def say(split):
        return record_evaluation(tmp_path, settings | {"split": split}, 8, {})["sentence"]

    assert "Whether the weights were chosen by their results on it is not known." in say("validation")
    for best, said in (("run/checkpoint-20", "checkpoint-20 was chosen by its results on it"), (None, "Nothing here")):
        state.write_text(json.dumps({"best_model_checkpoint": best}))
        assert said in say("validation") and "Nothing here was chosen on it" in say("test")
