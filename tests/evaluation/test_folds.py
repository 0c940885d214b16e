"""Who is held out when: subjects, references and families apart, each row once; what cannot be divided is said."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from datasets import Dataset
from site_cohort import write_sites

from umbrella.evaluation.folds.arguments import FoldArguments, leave_out
from umbrella.evaluation.folds.data_folder import pool_splits, to_record, write_data
from umbrella.evaluation.folds.division import LEFT_OUT, RANDOM, divide_rows
from umbrella.options.arguments import DataArguments
from umbrella.records.leakage import subjects_of
from umbrella.records.run import fingerprint
from umbrella_dataset import FEATURES, load_umbrella


def make_rows(people):
    """Rows of (subject, reference or None, label, further metadata)."""
    rows = []
    for number, (subject, reference, label, extra) in enumerate(people):
        named = dict.fromkeys(FEATURES["metadata"], None)
        named |= {"subject_id": subject, "reference_id": reference, "subject_label": label, "extra": json.dumps(extra)}
        ids = [subject] if reference is None else [reference, subject]
        rows.append(
            {
                "task_id": f"row-{number}",
                "task_type": "T1",
                "subject_ids": ids,
                "modalities": [],
                "images": [],
                "conversations": [],
                "metadata": named,
                "source": f"train/{number}.json",
                "length": 1,
            }
        )
    return Dataset.from_list(rows, features=FEATURES)


def draw_people(seed, n=60):
    """A cohort with several rows a subject, some pairs and families, two labels and three sites."""
    draw = np.random.default_rng(seed)
    people = []
    for number in range(n):
        site, family = "ABC"[draw.integers(3)], f"family-{number // 2}" if draw.random() < 0.3 else None
        extra = {"site": site, "family": family}
        reference = f"sub-{number - 1}" if number % 5 == 1 else None
        for _ in range(draw.integers(1, 4)):
            people.append((f"sub-{number}", reference, "mf"[int(draw.integers(2))], extra))
    return people


def divide(people, wants_validation=False, **flags):
    rows = make_rows(people)
    return rows, divide_rows(rows, [one[2] for one in people], FoldArguments(**flags), wants_validation, True)


def people_of(rows, places):
    return subjects_of(rows.select(places))


@pytest.mark.parametrize("seed", range(3))
def test_each_row_is_held_out_once_a_repeat_and_nobody_of_it_is_trained_on(seed):
    people = draw_people(seed)
    rows, division = divide(people, wants_validation=True, repeats=2, group_by="family")
    family_of = {one[0]: one[3]["family"] for one in people}
    for repeat in (1, 2):
        folds = [fold for fold in division.folds if fold.repeat == repeat]
        assert len(folds) == 5
        assert sorted(row for fold in folds for row in fold.test) == list(range(len(rows)))
        for fold in folds:
            parts = [people_of(rows, some) for some in (fold.train, fold.validation, fold.test)]
            assert parts[0].isdisjoint(parts[1] | parts[2]) and parts[1].isdisjoint(parts[2])
            families = [{family_of[one] for one in part} - {None} for part in parts]
            assert families[0].isdisjoint(families[1] | families[2]) and families[1].isdisjoint(families[2])
            assert sorted((*fold.train, *fold.validation, *fold.test)) == list(range(len(rows)))
    first, second = ([set(f.test) for f in division.folds if f.repeat == repeat] for repeat in (1, 2))
    assert first != second
    again = divide(people, wants_validation=True, repeats=2, group_by="family")[1]
    assert again == division


def test_forty_subjects_of_two_labels_make_five_folds_of_eight_with_four_of_each():
    people = [(f"sub-{i:02d}", None, "mf"[i % 2], {}) for i in range(40)]
    _, division = divide(people)
    for fold in division.folds:
        assert [sum(people[i][2] == label for i in fold.test) for label in "mf"] == [4, 4]
    assert division.notes == []


def test_a_site_is_left_out_with_all_who_were_there_and_their_relatives():
    people = draw_people(7)
    people += [("sub-0", None, "m", {"site": site}) for site in "AB"]  # who has travelled
    rows, division = divide(people, by="site", group_by="family", leave_out_crossing=True)
    assert [fold.group for fold in division.folds if fold.kind == LEFT_OUT] == ["A", "B", "C"]
    assert len([fold for fold in division.folds if fold.kind == RANDOM]) == 3
    for fold in division.folds[:3]:
        assert {people[i][3]["site"] for i in fold.test} == {fold.group}
        assert fold.group not in {people[i][3]["site"] for i in fold.train}
        assert people_of(rows, fold.train).isdisjoint(people_of(rows, fold.test))
    without_b = division.folds[1]
    assert "sub-0" in people_of(rows, without_b.test) and "sub-0" not in people_of(rows, without_b.train)


def test_what_cannot_be_divided_is_said_with_what_to_do():
    alone = [(f"sub-{i}", None, "mf"[i % 2], {"site": "A"}) for i in range(12)]
    with pytest.raises(ValueError, match=r"at least two groups of site.* found only A. Leave --by out"):
        divide(alone, by="site")
    with pytest.raises(ValueError, match=r"--folds 20: expected at least as many .* found 12 .*Ask for fewer"):
        divide(alone, folds=20)
    chain = [(f"sub-{i}", f"sub-{(i + 1) % 12}", "mf"[i % 2], {}) for i in range(12)]
    with pytest.raises(ValueError, match=r"found 12 that must stay together.*--leave_out_crossing true"):
        divide(chain, folds=3)
    rows, division = divide(chain, folds=3, leave_out_crossing=True)  # as it says
    lost = 12 - sum(len(fold.test) for fold in division.folds)
    assert any(f"{lost} of 12 rows are tested by no fold" in note for note in division.notes)
    for fold in division.folds:
        assert people_of(rows, fold.train).isdisjoint(people_of(rows, fold.test))


def test_few_subjects_absent_labels_and_rows_without_a_site_are_said():
    people = [(f"sub-{i}", None, "mf"[i % 2], {"site": "AB"[i // 10]}) for i in range(20)]
    people += [(f"sub-{i}", None, "m", {"site": "C"}) for i in range(20, 23)]
    people += [("sub-23", None, "rare", {"site": "A"}), ("sub-24", None, "m", {})]
    rows, division = divide(people, by="site")
    said = "\n".join(division.notes)
    assert "site 'C' has 3 subjects: too few to tell" in said
    assert "1 rows without site are left out, of training too" in said
    assert "'A' left out: 'rare' is in no training row, so it cannot be learnt" in said
    assert "'C' left out: no row of 'f' is held out; its score is of the others" in said
    assert not any(len(rows) - 1 in (*fold.train, *fold.test) for fold in division.folds)


def test_a_fold_holds_the_very_conversations_with_their_scans_where_they_lie(small_data, tmp_path):
    data = DataArguments(json_dir=str(small_data))
    rows, said = pool_splits(data, ("train", "test"))
    assert said == "pooled: train (8 rows), test (8 rows); kept out: validation"
    fold = divide_rows(rows, ["a"] * 16, FoldArguments(folds=2), False, False).folds[0]
    write_data(tmp_path / "data", rows, fold)
    read = load_umbrella(str(tmp_path / "data"))
    assert {name: fingerprint(some) for name, some in read.items()} == {
        "train": fingerprint(rows.select(fold.train)),
        "test": fingerprint(rows.select(fold.test)),
    }
    assert not list(tmp_path.rglob("*.nii*"))
    inside = load_umbrella(str(small_data), split="test", image_root=str(small_data))
    write_data(tmp_path / "rooted", inside, replace(fold, train=(0, 1), test=(2, 3)))
    again = load_umbrella(str(tmp_path / "rooted"), split="test", image_root=str(small_data))
    assert again["images"] == inside.select([2, 3])["images"]


def test_keys_that_the_format_does_not_know_come_back(tmp_path):
    folder = write_sites(tmp_path / "data", {"A": 2})
    path = folder / "train" / "sub-000.json"
    record = json.loads(path.read_text()) | {"remark": {"by": ["us"]}}
    path.write_text(json.dumps(record))
    row = next(row for row in load_umbrella(str(folder), split="train") if row["task_id"] == "sub-000_cyst")
    found = to_record(row)
    for scan in (*found["images"], found["conversations"][0]["content"][0]):
        name = "path" if "path" in scan else "image_path"
        scan[name] = scan[name].removeprefix(f"{folder}/")
    assert found == record


def test_an_id_that_two_splits_have_gets_its_splits_name(tmp_path):
    folder = write_sites(tmp_path / "data", {"A": 4})
    shutil.copytree(folder / "train", folder / "test")
    rows, _ = pool_splits(DataArguments(json_dir=str(folder)), ("train", "test"))
    assert sorted(rows["task_id"])[::4] == ["test/sub-000_cyst", "train/sub-000_cyst"]
    assert len(set(rows["task_id"])) == 8


def test_flags_are_left_out_with_their_values():
    argv = ["--folds", "3", "--lr", "1e-3", "--task-types", "a", "b", "--by=site", "--max_steps=5", "--bf16"]
    assert leave_out(argv, {"folds", "task_types", "by"}) == ["--lr", "1e-3", "--max_steps=5", "--bf16"]
