"""What is said of a division: its warnings have the number that would do, and its advice names no flag twice."""

import itertools
import json
import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from test_generate_conversations import TEMPLATE, make_rows, read_splits, run, write_table

from umbrella.cohort.generation import generate, parse_options
from umbrella.cohort.shared.findings import advise
from umbrella.cohort.shared.visits import CohortError
from umbrella.cohort.splits.notes import WIDEST_INTERVAL, find_fewest_subjects, interval_width
from umbrella.evaluation.statistics.intervals import wilson


@pytest.mark.parametrize("n", [2, 4, 8, 20, 22, 100])
def test_the_interval_is_the_one_of_scipy(n):
    found = binomtest(n // 2, n).proportion_ci(method="wilson")
    assert interval_width(n) == pytest.approx(found.high - found.low, abs=1e-6)


@pytest.mark.parametrize("n", [2, 9, 20, 21, 400])
def test_the_interval_is_the_one_that_eval_prints(n):
    low, high = wilson(0.5, n)
    assert interval_width(n) == pytest.approx(high - low, abs=1e-6)


def test_where_no_flag_helps_participants_are_named(tmp_path):
    rows = make_rows(40, dx=lambda i: "rare" if i < 2 else "often")
    flags = ("--target", "dx", "--split", "0.05,0.05,0.9", "--seed", "1")
    with pytest.raises(CohortError, match=r"'rare' \(2 in all\)\. More participants of a second label may do$"):
        run(write_table(tmp_path, rows), *flags)


def test_the_number_that_would_do_is_the_first_that_does():
    assert find_fewest_subjects() == 21
    assert interval_width(21) <= WIDEST_INTERVAL < interval_width(20)


def labels_of(records):
    return Counter(record["metadata"]["subject_label"] for record in records)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("n", [10, 20, 40])
def test_without_a_flag_every_split_has_the_labels_in_equal_shares(tmp_path, n, seed):
    rows = make_rows(n, dx=lambda i: "AD" if i < n // 2 else "Control")
    splits, _, summary = run(write_table(tmp_path, rows), "--target", "dx", "--seed", str(seed))
    for records in splits.values():
        counts = labels_of(records)
        assert abs(counts["AD"] - counts["Control"]) <= 1
    assert "splits: the labels of dx in equal shares in each" in summary
    assert json.loads((tmp_path / "out/splits.json").read_text())["stratify"] == ["dx"]


def test_numbers_are_in_equal_shares_by_bins(tmp_path):
    rows = make_rows(80, score=lambda i: f"{100 + i}")
    for seed in range(4):
        splits, _, _ = run(
            write_table(tmp_path, rows), "--target", "score", "--split", "0.6,0.2,0.2", "--seed", str(seed)
        )
        for records in splits.values():
            bins = Counter(int(record["metadata"]["subject_label"]) // 20 for record in records)
            assert len(bins) == 4 and max(bins.values()) - min(bins.values()) <= 1


def test_none_is_told_otherwise(tmp_path):
    rows = make_rows(40, dx=lambda i: "AD" if i < 20 else "Control")
    table = write_table(tmp_path, rows)
    uneven = 0
    for seed in range(8):
        splits, _, summary = run(table, "--target", "dx", "--stratify", "none", "--seed", str(seed))
        uneven += labels_of(splits["test"])["AD"] != 2
        assert "as drawn, by --stratify none" in summary
    assert uneven


def test_splits_are_divided_by_labels_not_by_their_spellings(tmp_path):
    rows = make_rows(40, dx=lambda i: ("AD", "ad", "Ad ", "1")[i % 4])
    splits, _, _ = run(write_table(tmp_path, rows), "--target", "dx", "--labels", "AD=ill", "1=well")
    assert labels_of(splits["test"]) == {"ill": 3, "well": 1}


def test_a_label_of_fewer_participants_than_splits_is_said_and_not_only_tested(tmp_path):
    rows = make_rows(40, dx=lambda i: "rare" if i < 2 else "often")
    splits, _, summary = run(write_table(tmp_path, rows), "--target", "dx")
    assert labels_of(splits["train"])["rare"] == 2
    assert "WARNING label 'rare' has 2 participants, fewer than the 3 splits: it is in train only" in summary
    assert "WARNING test has only the label 'often'; the others are 'rare' (2 in all): it cannot be scored" in summary
    assert "At 10% of the cohort, 10 participants of a label put one into test; the rarest has 2" in summary


@pytest.mark.parametrize("n, advice", [(40, "more than 40 % of this cohort of 40"), (100, "--split 0.66,0.13,0.21")])
def test_a_test_too_small_for_its_interval_is_said_with_the_split_that_would_do(tmp_path, n, advice):
    table = write_table(tmp_path, make_rows(n))
    _, _, summary = run(table, "--target", "sex")
    assert f"WARNING test has {n // 10} participants" in summary and advice in summary
    if "--split" in advice:
        splits, _, summary = run(table, "--target", "sex", *advice.split(), output="again")
        assert len(splits["test"]) >= 21 and "WARNING test" not in summary


def test_a_test_that_is_large_enough_is_not_spoken_of(tmp_path):
    _, _, summary = run(write_table(tmp_path, make_rows(210)), "--target", "sex")
    assert [line for line in summary.splitlines() if "WARNING" in line] == []


def test_labels_that_never_come_again_are_said(tmp_path):
    _, _, summary = run(write_table(tmp_path, make_rows(40)), "--target", "participant_id")
    assert "WARNING none of the 40 labels has more than 1 participant, fewer than the 3 splits: nothing" in summary


@pytest.mark.parametrize("flags", [["--labels", "0=no", "1=yes"], ["--balance"], ["--reference", "same"]])
def test_the_other_kind_is_not_advised_where_the_flags_would_refuse_it(tmp_path, flags):
    table = write_table(tmp_path, make_rows(dx=lambda i: str(i % 2)))
    assert "--target_type numeric" in run(table, "--target", "dx")[2]
    assert "--target_type" not in run(table, "--target", "dx", *flags, output="two")[2]
    with pytest.raises((CohortError, SystemExit)):
        run(table, "--target", "dx", *flags, "--target_type", "numeric", output="three")


def test_a_division_as_drawn_is_not_told_to_be_too_small(tmp_path):
    table = write_table(tmp_path, make_rows(40))
    summary = run(table, "--target", "sex", "--stratify", "none")[2]  # the seed 0 draws men alone
    assert "test has only the label" in summary and "Divided by the answers test would have more than one" in summary


def followed(advice):
    """The flags of each remedy that the advice names."""
    return [words.split() for words in re.findall(r"--split [\d.,]*\d|--seed \d+", advice)]


@pytest.mark.parametrize("n_rare, n, n_held_out", [(6, 13, 27), (2, 20, 0), (3, 24, 0), (5, 40, 10), (1, 12, 0)])
@pytest.mark.parametrize("flags", [(), ("--stratify", "none"), ("--group_by", "family")])
def test_what_is_advised_does_away_with_the_warning(tmp_path, n_rare, n, n_held_out, flags):
    rows = make_rows(
        n + n_held_out,
        dx=lambda i: "AD" if i < n_rare or i >= n + n_held_out // 2 else "CN",
        site=lambda i: "x" if i >= n else "y",
        family=lambda i: f"f{i // 2}",
    )
    table, flags = write_table(tmp_path, rows), ("--target", "dx", *flags, *("--holdout", "site=x") * (n_held_out > 0))
    advised = 0
    for seed in range(3):
        plan = (*flags, *("--seed", str(seed)) * (seed > 0))
        try:
            said = run(table, *plan, output=f"first{seed}")[2].splitlines()
        except CohortError as error:
            said = [str(error)]
        for line in (line for line in said if "has only the label" in line or "train: expected" in line):
            assert f"'AD' ({n_rare} in all)" in line or f"'CN' ({n - n_rare} in all)" in line
            assert "--stratify" in flags or "ivided by the answers" not in line
            for number, remedy in enumerate(followed(line)):
                advised += 1
                assert "has only the label" not in run(table, *plan, *remedy, output=f"{seed}{number}{advised}")[2]
    assert advised or n_rare < 3 or n > 20 or "--group_by" in flags


def test_one_of_a_thing_is_said_in_the_singular(tmp_path):
    _, _, summary = run(write_table(tmp_path, make_rows(12, dx=lambda i: "AD" if i < 1 else "CN")), "--target", "dx")
    assert "label 'AD' has 1 participant, fewer" in summary and "test has 1 participant:" in summary
    assert "1 participants" not in summary


def test_a_label_that_is_held_out_alone_is_said(tmp_path):
    rows = make_rows(40, dx=lambda i: "MCI" if i == 39 else "AD" if i % 2 else "CN", site=lambda i: "xy"[i < 30])
    _, _, summary = run(write_table(tmp_path, rows), "--target", "dx", "--holdout", "site=x")
    assert "WARNING label 'MCI' is in external only: nothing about it can be learnt" in summary


def test_numbers_that_are_all_equal_in_the_test_are_said(tmp_path):
    rows = make_rows(24, score=lambda i: "7.5" if i > 1 else str(i))
    (tmp_path / "splits.tsv").write_text(
        "participant_id\tsplit\n" + "".join(f"{i:03d}\t{'train' if i < 12 else 'test'}\n" for i in range(24))
    )
    flags = ("--target", "score", "--split_file", str(tmp_path / "splits.tsv"))
    _, _, summary = run(write_table(tmp_path, rows), *flags)
    assert "WARNING test has 12 answers, all 7.5: no correlation can be computed" in summary


FLAGS = {
    "--stratify": ["--stratify", "site"],
    "--split": ["--split", "0.7,0.15,0.15"],
    "--seed": ["--seed", "3"],
    "--group_by": ["--group_by", "family"],
    "--labels": ["--labels", "1=one", "2=two", "AD=AD", "MCI=MCI"],
    "--target_type": ["--target_type", "categorical"],
    "--unit": ["--unit", "points"],
    "--missing": ["--missing", "none"],
    "--decimals": ["--decimals", "1"],
    "--decimal_sign": ["--decimal_sign", "."],
    "--balance": ["--balance"],
}
HABITS = [(), *itertools.combinations(FLAGS, 1), *list(itertools.combinations(FLAGS, 3))[::12]]
REFUSED_TOGETHER = ({"--labels", "--unit"}, {"--labels", "--decimals"}, {"--target_type", "--decimals"})
HABITS = [flags for flags in HABITS if not any(some <= set(flags) for some in REFUSED_TOGETHER)]


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohort")
    rows = make_rows(
        20, family=lambda i: f"f{i // 3}", dx=lambda i: "AD" if i < 19 else "MCI", stage=lambda i: str(1 + i % 2),
        score=lambda i: f"{i}.5", other=lambda i: "-9" if i == 2 else str(30 + i), empty=lambda i: "x",
    )  # fmt: skip
    return write_table(folder, rows)


@pytest.mark.parametrize("target", ["dx", "stage", "score", "other", "empty", "sex", "age"])
@pytest.mark.slow
def test_no_advice_names_a_flag_that_was_given(cohort, tmp_path, target):
    for number, habit in enumerate(HABITS):
        flags = [word for flag in habit for word in FLAGS[flag]]
        base = ["--participants", str(cohort), "--image_template", TEMPLATE, "--target", target]
        try:
            summary = generate(parse_options("", [*base, *flags, "--output_dir", str(tmp_path / str(number))]))
            said = [line for line in summary.splitlines() if line.startswith(("inferred", "stated", "WARNING"))]
            assert said
            by_flags = [line for line in said if re.search(r"\b(by|since) (--\w+|a change)|as stated", line)]
            assert [line for line in said if line.startswith("stated")] == by_flags
        except CohortError as error:
            said = [str(error).partition(": ")[2]]  # what is wrong is named first, by its flag
        for line in said:
            advised = set(re.findall(r"--\w+", line))
            stated = set(re.findall(r"by (--\w+)", line))
            assert not (advised - stated) & set(habit), line


@given(st.sets(st.sampled_from("abc")), st.lists(st.sampled_from("abcd"), unique=True))
def test_advice_is_what_is_left(given_flags, flags):
    text = advise(frozenset(given_flags), [(flag, f"do {flag}") for flag in flags])
    assert text == ", or ".join(f"do {flag}" for flag in flags if flag not in given_flags)


def test_the_same_seed_gives_the_same_splits_in_any_order_of_rows(tmp_path):
    rows = make_rows(40, family=lambda i: f"f{i // 3}")
    flags = ("--target", "age", "--group_by", "family", "--seed", "4")
    first = run(write_table(tmp_path, rows), *flags)[0]
    (tmp_path / "back").mkdir()
    run(write_table(tmp_path / "back", rows[::-1]), *flags)
    assert first == read_splits(tmp_path / "back" / "out")
