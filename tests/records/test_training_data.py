"""What a model has seen is what it was trained on, in whatever way its weights came about; or it says that it does not
know."""

import json
import shutil
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st
from properties import examples

from umbrella.hub.model import stage_model
from umbrella.models.base import describe_base
from umbrella.records.leakage import describe_training_data, guard_against_leakage
from umbrella.records.training_data import (
    FILE_NAME,
    SeenRows,
    TrainingData,
    describe_copy,
    hash_subject,
    read_training_data,
    start_from,
)
from umbrella.training.run_start import check_same_data, find_before, save_before_weights


@cache
def rows_of(*subjects, label="male"):
    """A row each."""
    turns = [{"role": "assistant", "content": [{"type": "text", "text": label}]}]
    return Dataset.from_list(
        [
            {
                "task_id": f"row-{subject}",
                "subject_ids": [subject],
                "modalities": ["sMRI"],
                "images": [{"path": f"{subject}.nii"}],
                "conversations": turns,
                "metadata": {"subject_id": subject, "reference_id": None},
            }
            for subject in subjects
        ]
    )


def older_record(*subjects):
    """As versions wrote it that named the last start alone."""
    hashes = sorted(hash_subject("s", subject) for subject in subjects)
    return {"rows": len(subjects), "modalities": ["sMRI"], "salt": "s", "subject_sha256": hashes}


# ------------------------------------------------------------------------------------------------ every way


@dataclass
class Model:
    """A model's place, whom it was trained on, and whether all its records were kept."""

    name: str
    trained_on: frozenset = frozenset()
    known: bool = True


class World:
    """Does to folders what train.py, export.py, push_to_hub.py and people do, without a model; keeps the truth."""

    def __init__(self, root):
        self.root, self.count = root, 0
        self.models = [Model("tiny"), Model(str(self.new_folder(record=False)), known=False)]

    def new_folder(self, above=None, record=True):
        self.count += 1
        folder = (above or self.root) / f"model-{self.count}"
        folder.mkdir()
        (folder / "config.json").write_text('{"model_type": "llava"}')
        header = json.dumps({"__metadata__": {"weights": str(self.count)}}).encode()
        (folder / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
        return folder

    def add(self, folder, model, subjects=(), known=True):
        self.models.append(Model(str(folder), model.trained_on | set(subjects), model.known and known))

    def train(self, model, subjects, part):
        folder = self.new_folder()
        save_before_weights(find_before(model.name, 7, None, folder).add_rows(rows_of(*subjects)), folder)
        if part:
            describe_base(model.name, 7).save(folder)
        self.add(folder, model, subjects)

    def resume(self, model, subjects, part):
        """In the model's own folder or, `part`, in one where another run has left its record."""
        if model.name == "tiny":
            return
        folder = self.new_folder()
        if part:
            start_from("tiny").add_rows(rows_of("somebody else")).save(folder)
        before = find_before("tiny", 7, model.name, folder)
        save_before_weights(before.add_rows(rows_of(*subjects)), folder)
        before.add_rows(rows_of(*subjects)).save(folder)
        self.add(folder, model, subjects)

    def export(self, model, subjects, part):
        folder = self.new_folder()
        describe_copy(model.name).save(folder)
        self.add(folder, model)

    def push_and_pull(self, model, subjects, part):
        if model.name != "tiny":
            folder = self.root / f"pulled-{self.count}-{len(self.models)}"
            stage_model(Path(model.name), folder, b"key", False, Path(model.name), checkable=True)
            self.add(folder, model)

    def move(self, model, subjects, part):
        """Beneath another run, which has a record of its own."""
        if model.name == "tiny":
            return
        other = self.new_folder()
        start_from("tiny").add_rows(rows_of("somebody else")).save(other)
        model.name = str(shutil.copytree(model.name, other / "checkpoint-1", symlinks=True))

    def lose_record(self, model, subjects, part):
        if model.name == "tiny":
            return
        copy = Path(shutil.copytree(model.name, self.root / f"lost-{len(self.models)}"))
        (copy / FILE_NAME).unlink(missing_ok=True)
        if part:
            (copy / FILE_NAME).write_text(json.dumps(older_record(*model.trained_on)))
        self.add(copy, model, known=False)


WAYS = ("train", "resume", "export", "push_and_pull", "move", "lose_record")
STEP = st.tuples(
    st.sampled_from(WAYS),
    st.integers(0, 20),
    st.sets(st.sampled_from("abcdef"), min_size=1, max_size=3),
    st.booleans(),
)


@pytest.mark.slow
@examples(30)
@given(st.lists(STEP, min_size=1, max_size=7))
def test_in_every_way_that_weights_take_all_they_saw_is_recorded_or_said_to_be_unknown(steps):
    with tempfile.TemporaryDirectory() as root:
        world = World(Path(root))
        for way, which, subjects, part in steps:
            getattr(world, way)(world.models[which % len(world.models)], sorted(subjects), part)
        for model in world.models:
            seen = read_training_data(model.name)
            recorded = set(seen.find_overlap([*"abcdef", "somebody else"]))
            assert recorded <= model.trained_on
            assert (not seen.unknown) == model.known
            if model.known:
                assert recorded == model.trained_on and seen.count_comparable() == len(recorded)
            sentence = guard_against_leakage(model.name, rows_of("new"), "test", False)
            assert ("cannot be excluded" in sentence) == (not model.known)
            assert sentence.startswith("No subject id") or not model.known
            for subject in sorted(recorded)[:1]:
                with pytest.raises(ValueError, match="1 of 1 in its training data"):
                    guard_against_leakage(model.name, rows_of(subject), "test", False)


# ------------------------------------------------------------------------------------------------ what is said


def save(folder, data):
    folder.mkdir(exist_ok=True)
    data.save(folder)
    return str(folder)


UNKNOWN = {"name": "lab/llava", "revision": "c0", "recorded": False}
SEEN = SeenRows(2, ("sMRI",), tuple(sorted(hash_subject("s", name) for name in "ab")), "s", "ab", 0)
NAMELESS = SeenRows(3, ("sMRI",), SEEN.subject_sha256, "s", "cd", 1)
NOT_RECORDED = SeenRows(2, ("sMRI",), SEEN.subject_sha256, "s", "ab")


@pytest.mark.parametrize(
    ("seen", "models", "sentence", "facts"),
    [
        ([SEEN], [], "No subject id of the evaluated rows, references included, is in the training data.",
         "2 rows of 2 subjects, sMRI"),
        ([SEEN], [UNKNOWN], "No subject id of the evaluated rows, references included, is among the 2 that are "
         "recorded; what lab/llava was trained on before is not known, so an overlap cannot be excluded.",
         "2 rows of 2 subjects, sMRI; what lab/llava was trained on before is not known"),
        ([NAMELESS], [], "No subject id of the evaluated rows, references included, is among the 2 that are recorded; "
         "1 training row names no subject, so an overlap cannot be excluded.",
         "3 rows of 2 subjects, sMRI; 1 training row names no subject"),
        ([NOT_RECORDED], [], "No subject id of the evaluated rows, references included, is among the 2 that are "
         "recorded; whether each training row names a subject is not recorded, so an overlap cannot be excluded.",
         "2 rows of 2 subjects, sMRI; whether each training row names a subject is not recorded"),
        ([], [UNKNOWN], "Not known: what lab/llava was trained on is not known, so an overlap cannot be excluded.",
         "what lab/llava was trained on is not known"),
        ([], [UNKNOWN, UNKNOWN | {"name": "b"}], "Not known: what lab/llava and b were trained on is not known, so an "
         "overlap cannot be excluded.", "what lab/llava and b were trained on is not known"),
    ],
)  # fmt: skip
def test_the_sentence_says_no_more_than_is_known(seen, models, sentence, facts, tmp_path):
    data = TrainingData(tuple(seen), tuple(models))
    assert guard_against_leakage(save(tmp_path / "run", data), rows_of("c"), "test", False) == sentence
    assert describe_training_data(data) == facts


def without_subject(*rows):
    """The same rows, the first of which names nobody."""
    named = rows_of(*rows).to_list()
    named[0] |= {"subject_ids": [], "metadata": {"subject_id": None, "reference_id": None}}
    return Dataset.from_list(named, features=rows_of(*rows).features)


def test_rows_that_name_nobody_leave_the_overlap_open(tmp_path):
    run = save(tmp_path / "run", TrainingData((SEEN,)))
    assert guard_against_leakage(run, without_subject("c", "d"), "test", False) == (
        "No subject id of the evaluated rows, references included, is among the 2 that are recorded; "
        "1 evaluated row names no subject, so an overlap cannot be excluded."
    )
    nobody = guard_against_leakage(run, without_subject("c"), "test", False)
    assert nobody == "Not known: 1 evaluated row names no subject, so an overlap cannot be excluded."
    with pytest.raises(ValueError, match="found at least 1 of 1 in its training data"):
        guard_against_leakage(run, without_subject("c", "a"), "test", False)
    sentence = guard_against_leakage("tiny", without_subject("c"), "test", False)
    assert sentence.endswith("is in the training data: tiny was never trained.")
    trained = save(tmp_path / "next", TrainingData().add_rows(without_subject("c", "d", "e")))
    assert [rows.without_subject for rows in read_training_data(trained).seen] == [1]
    assert "1 training row names no subject" in guard_against_leakage(trained, rows_of("a"), "test", False)


def test_a_subject_that_is_found_among_unknown_ones_is_one_at_least(tmp_path):
    run = save(tmp_path / "run", TrainingData((SEEN,), (UNKNOWN,)))
    with pytest.raises(ValueError, match="found at least 1 of 2 in its training data, the first 'a'"):
        guard_against_leakage(run, rows_of("a", "c"), "test", False)
    assert "WARNING: at least 1 of 2 subjects" in guard_against_leakage(run, rows_of("a", "c"), "test", True)


def test_weights_that_were_never_trained_have_seen_nobody():
    sentence = guard_against_leakage("tiny", rows_of("a"), "test", False)
    assert sentence.endswith("is in the training data: tiny was never trained.")
    assert describe_training_data(read_training_data("tiny")) == "nothing"


def test_hashes_whose_key_stays_with_the_publisher_leave_the_overlap_open(tmp_path):
    sealed = TrainingData((SEEN,)).hide(b"key")
    run = save(tmp_path / "run", sealed)
    sentence = guard_against_leakage(run, rows_of("a"), "test", False)
    expected = (
        "some subjects are recorded under a key that stays with the publisher, so an overlap cannot be excluded."
    )
    assert sentence == f"Not known: {expected}"
    later = save(tmp_path / "later", sealed.add_rows(rows_of("c")))
    sentence = guard_against_leakage(later, rows_of("a"), "test", False)
    assert sentence.endswith(f", is among the 1 that are recorded openly; {expected}")


def test_a_record_of_an_older_version_names_some_and_leaves_the_rest_open(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / FILE_NAME).write_text(json.dumps(older_record("a")))
    with pytest.raises(ValueError, match="found at least 1 of 1"):
        guard_against_leakage(str(run), rows_of("a"), "test", False)
    sentence = guard_against_leakage(str(run), rows_of("c"), "test", False)
    assert f"what {run} was trained on before is not known, so an overlap cannot be excluded" in sentence
    after = find_before(str(run), 0, None, tmp_path).add_rows(rows_of("c"))
    assert after.find_overlap("abc") == ["a", "c"] and after.unknown == [str(run)]


ROWS_CUT_SHORT = (
    '{"version": 2, "models": [], "seen": [{"rows": 1, "modalities": null, "salt": "s", "subject_sha256": []}]}'
)
NO_RECORDS = ['{"version": 3}', "{", "{}", "[]", "null", '""', '{"version": 2}', ROWS_CUT_SHORT]


@pytest.mark.parametrize("text", NO_RECORDS)
def test_a_record_that_cannot_be_read_is_an_error_that_names_it(text, tmp_path):
    (tmp_path / FILE_NAME).write_text(text)
    with pytest.raises(ValueError, match=rf"{FILE_NAME}: expected "):
        read_training_data(tmp_path)


# ------------------------------------------------------------------------------------------------ going on


@pytest.mark.parametrize(
    "rows", [rows_of("a", "b", label="female"), rows_of("a"), rows_of("a", "b", "c"), rows_of("c", "d")]
)
def test_other_rows_than_the_checkpoints_are_refused_with_both_fingerprints(rows, tmp_path):
    first = TrainingData().add_rows(rows_of("a", "b"))
    checkpoint = save(tmp_path / "checkpoint-1", first)
    check_same_data(checkpoint, rows_of("a", "b"), other_data=False)
    second = first.add_rows(rows)
    expected, found = first.seen[0].rows_sha256, second.seen[1].rows_sha256
    with pytest.raises(ValueError, match=rf"{expected}; found {len(rows)} rows .* {found}.*--resume_on_other_data"):
        check_same_data(checkpoint, rows, other_data=False)
    check_same_data(checkpoint, rows, other_data=True)
    check_same_data(save(tmp_path / "checkpoint-2", second), rows, other_data=False)


def test_a_checkpoint_without_a_record_goes_on_with_a_note(tmp_path, capsys):
    (tmp_path / "checkpoint-1").mkdir()
    check_same_data(str(tmp_path / "checkpoint-1"), rows_of("a"), other_data=False)
    assert "does not record on which rows it was trained" in capsys.readouterr().out
    check_same_data(None, rows_of("a"), other_data=False)
    assert capsys.readouterr().out == ""


def test_a_run_of_an_older_version_goes_on_with_all_that_it_recorded(tmp_path):
    checkpoint = tmp_path / "run/checkpoint-1"
    checkpoint.mkdir(parents=True)
    record = tmp_path / "run" / FILE_NAME
    record.write_text(json.dumps(older_record("a")))
    before = find_before("tiny", 0, str(checkpoint), tmp_path / "run")
    assert before.find_overlap("abc") == ["a"] and str(checkpoint) in before.unknown
    written = record.read_bytes()
    save_before_weights(read_training_data(tmp_path / "run"), tmp_path / "run")  # nothing was left to train
    assert record.read_bytes() == written
    elsewhere = find_before("tiny", 0, str(checkpoint), tmp_path)  # the folder above may be of another run
    assert elsewhere.find_overlap("abc") == [] and elsewhere.unknown == [str(checkpoint)]


def test_of_adapters_without_a_record_the_base_is_asked_where_it_still_lies(tmp_path):
    base, adapters = tmp_path / "base", tmp_path / "adapters"
    adapters.mkdir()
    save(base, TrainingData().add_rows(rows_of("a")))
    describe_base(str(base)).save(adapters)
    seen = read_training_data(adapters)
    assert seen.find_overlap("ab") == ["a"] and seen.unknown == [str(adapters)]
    base.rename(tmp_path / "moved")
    seen = read_training_data(adapters)
    assert seen.find_overlap("ab") == [] and seen.unknown == [str(adapters), str(base)]


def test_the_same_rows_again_are_recorded_once():
    once = TrainingData().add_rows(rows_of("a", "b"))
    assert once.add_rows(rows_of("a", "b")) is once
    assert len(once.add_rows(rows_of("b")).add_rows(rows_of("a", "b")).seen) == 3
