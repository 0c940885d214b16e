"""Splits: nobody and no family in two, labels in equal shares, the same by the seed, clear refusals."""

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from properties import examples

from umbrella.cohort.shared.visits import CohortError
from umbrella.cohort.splits.division import parse_fractions, read_split_file, split_subjects

FRACTIONS = {"train": 0.8, "validation": 0.1, "test": 0.1}


@st.composite
def cohorts(draw):
    """(subjects, strata, groups) of 60 to 150 participants in families of one to four."""
    sizes = draw(st.lists(st.integers(1, 4), min_size=60, max_size=80))
    groups = [f"f{i}" for i, size in enumerate(sizes) for _ in range(size)]
    strata = draw(st.lists(st.sampled_from("ab"), min_size=len(groups), max_size=len(groups)))
    return [f"sub-{i:03d}" for i in range(len(groups))], strata, groups


@examples(25)
@given(cohorts(), st.integers(0, 1000))
def test_every_participant_is_in_one_split_and_no_family_in_two(cohort, seed):
    subjects, _, groups = cohort
    split_of = split_subjects(*cohort, FRACTIONS, seed)
    assert sorted(split_of) == sorted(subjects)
    pairs = {(group, split_of[subject]) for subject, group in zip(subjects, groups, strict=True)}
    assert len(pairs) == len(set(groups))
    counts = Counter(split_of.values())
    assert all(abs(counts[name] / len(subjects) - share) < 0.07 for name, share in FRACTIONS.items())


@examples(15)
@given(cohorts(), st.integers(0, 1000), st.randoms(use_true_random=False))
def test_the_split_depends_on_the_seed_and_not_on_the_order_of_rows(cohort, seed, random):
    expected = split_subjects(*cohort, FRACTIONS, seed)
    rows = list(zip(*cohort, strict=True))
    random.shuffle(rows)
    assert split_subjects(*map(list, zip(*rows, strict=True)), FRACTIONS, seed) == expected


def test_another_seed_gives_another_split():
    subjects = [f"sub-{i}" for i in range(100)]
    splits = [split_subjects(subjects, ["a"] * 100, subjects, FRACTIONS, seed) for seed in (0, 1)]
    assert splits[0] != splits[1]


def test_labels_are_in_equal_shares_in_every_split():
    subjects = [f"sub-{i:03d}" for i in range(200)]
    strata = ["rare" if i % 10 == 0 else "common" for i in range(200)]
    split_of = split_subjects(subjects, strata, subjects, FRACTIONS, 0)
    counts = Counter((split_of[subject], stratum) for subject, stratum in zip(subjects, strata, strict=True))
    assert counts["test", "rare"] == counts["validation", "rare"] == 2
    assert counts["test", "common"] == counts["validation", "common"] == 18


def test_shares_that_are_no_tenths_are_met():
    subjects = [f"sub-{i:03d}" for i in range(400)]
    counts = Counter(split_subjects(subjects, ["a"] * 400, subjects, parse_fractions("0.7,0.125,0.175"), 0).values())
    assert counts == {"train": 280, "validation": 50, "test": 70}


def test_a_share_of_zero_makes_no_such_split():
    subjects = [f"sub-{i}" for i in range(20)]
    split_of = split_subjects(subjects, ["a"] * 20, subjects, parse_fractions("0.5,0,0.5"), 0)
    assert Counter(split_of.values()) == {"train": 10, "test": 10}


def test_a_group_larger_than_every_split_is_refused_by_name():
    subjects = [f"sub-{i}" for i in range(100)]
    groups = ["big"] * 85 + subjects[85:]
    with pytest.raises(
        CohortError, match=r"train, is to have 80 of 100.*found the group 'big' with 85.*another column"
    ):
        split_subjects(subjects, ["a"] * 100, groups, FRACTIONS, 0)


def test_a_group_larger_than_the_test_split_is_in_train():
    subjects = [f"sub-{i}" for i in range(100)]
    split_of = split_subjects(subjects, ["a"] * 100, ["big"] * 40 + subjects[40:], FRACTIONS, 0)
    assert {split_of[subject] for subject in subjects[:40]} == {"train"}
    assert Counter(split_of.values()) == {"train": 80, "validation": 10, "test": 10}


def test_groups_that_cannot_be_divided_are_refused():
    subjects = [f"sub-{i}" for i in range(100)]
    with pytest.raises(
        CohortError, match=r"expected about 80% of 100 participants in train.*a column of smaller groups"
    ):
        split_subjects(subjects, ["a"] * 100, ["north", "south"] * 50, FRACTIONS, 0)


@pytest.mark.parametrize("n", [7, 12, 20, 41])
def test_strata_of_one_do_not_hinder_the_division(n):
    subjects = [f"sub-{i:02d}" for i in range(n)]
    counts = Counter(split_subjects(subjects, subjects, subjects, FRACTIONS, 0).values())
    assert all(abs(counts[name] - share * n) < 1 for name, share in FRACTIONS.items())


@examples(60)
@given(st.lists(st.sampled_from("aaabbc"), min_size=10, max_size=120), st.integers(0, 99))
def test_every_stratum_has_its_share_of_every_split_to_about_one_participant(strata, seed):
    subjects = [f"sub-{i:03d}" for i in range(len(strata))]
    split_of = split_subjects(subjects, strata, subjects, FRACTIONS, seed)
    counts = Counter((stratum, split_of[subject]) for subject, stratum in zip(subjects, strata, strict=True))
    for stratum, size in Counter(strata).items():
        for name, share in FRACTIONS.items():
            assert abs(counts[stratum, name] - share * size) <= 2


def test_a_cohort_too_small_for_its_shares_is_refused_with_shares_that_do():
    subjects = [f"sub-{i}" for i in range(5)]
    with pytest.raises(CohortError, match=r"about 10% of 5 participants in test.*--split 0\.6,0\.2,0\.2"):
        split_subjects(subjects, ["a"] * 5, subjects, FRACTIONS, 0)
    fractions = parse_fractions("0.6,0.2,0.2")
    assert Counter(split_subjects(subjects, ["a"] * 5, subjects, fractions, 0).values()) == {
        "train": 3,
        "validation": 1,
        "test": 1,
    }


@pytest.mark.parametrize("text", ["0.8,0.2", "0.8,0.1,0.2", "a,b,c", "1.2,-0.1,-0.1", "0,0.5,0.5"])
def test_shares_that_do_not_add_up_are_refused(text):
    with pytest.raises(CohortError, match=f"add up to 1, as 0.8,0.1,0.1, found {text}"):
        parse_fractions(text)


def test_a_split_file_is_json_or_a_table_and_ids_lose_their_prefix(tmp_path):
    (tmp_path / "splits.json").write_text(json.dumps({"splits": {"train": ["sub-01"], "test": ["02"]}}))
    (tmp_path / "splits.tsv").write_text("participant_id\tsplit\n01\ttrain\nsub-02\ttest\n")
    for name in ("splits.json", "splits.tsv"):
        assert read_split_file(tmp_path / name) == ({"01": "train", "02": "test"}, [])


@pytest.mark.parametrize(
    "text, message",
    [
        ("participant_id\tsplit\n01\ttrain\nsub-01\ttest\n", "sub-01: expected one split, found train, test"),
        ("participant_id\tsplit\n01\tdev\n", "01: expected train, validation, test or external, found 'dev'"),
        ("id\tsplit\n01\tdev\n", "expected the columns participant_id and split, found id, split"),
    ],
)
def test_a_split_file_that_contradicts_itself_is_refused(tmp_path, text, message):
    (tmp_path / "splits.tsv").write_text(text)
    with pytest.raises(CohortError, match=message):
        read_split_file(tmp_path / "splits.tsv")
