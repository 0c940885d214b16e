"""A group of rows beside all others: by permutations of subjects, or by flips where subjects lie in both."""

import itertools
import json

import numpy as np
import pytest
from scipy.stats import fisher_exact, hypergeom, permutation_test
from test_baselines import make_records

from umbrella.evaluation.group_tests import add_group_tests, say_groups
from umbrella.evaluation.results import score_by_group
from umbrella.evaluation.statistics.against_rest import FLIPPED, PERMUTED, compare_with_rest
from umbrella.evaluation.statistics.measures import ACCURACY
from umbrella.evaluation.statistics.sign_flips import flip_signs
from umbrella_dataset import load_umbrella

GROUP = np.arange(12) < 6


@pytest.mark.parametrize("n_right", [(6, 1), (5, 2), (3, 3)])
def test_rights_and_wrongs_of_two_equal_groups_are_fishers_exact_test_with_the_observed_half(n_right):
    """One row a subject, groups of one size: the table alone decides, and mirrored tables are as far off."""
    right = np.concatenate([np.arange(6) < n for n in n_right]).astype(float)
    table = [[n, 6 - n] for n in n_right]
    total = sum(n_right)
    as_large = sum(hypergeom.pmf(k, 12, total, 6) for k in {n_right[0], total - n_right[0]})
    expected = fisher_exact(table).pvalue - as_large / 2
    found = compare_with_rest(right, range(12), GROUP)
    assert (found.p, found.test) == (pytest.approx(expected), PERMUTED)
    assert found.difference == pytest.approx((n_right[0] - n_right[1]) / 6)


def statistic(first, second):
    """By the definition: the difference over its error, one made-up subject of the spread of all in each group."""
    every = np.concatenate([first, second])
    error = sum((((x - x.mean()) ** 2).sum() + every.var()) / len(x) ** 2 for x in (first, second))
    return abs(first.mean() - second.mean()) / np.sqrt(error)


def test_numbers_are_scipys_permutations_of_subjects():
    draw = np.random.default_rng(0)
    for n_first in (3, 4, 6):
        values = draw.normal(size=10) + (np.arange(10) < n_first)
        by_scipy = permutation_test(
            (values[:n_first], values[n_first:]), statistic, alternative="greater", n_resamples=np.inf
        )
        observed = np.isclose(by_scipy.null_distribution, by_scipy.statistic).mean()
        found = compare_with_rest(values, range(10), np.arange(10) < n_first)
        assert found.p == pytest.approx(by_scipy.pvalue - observed / 2)


def test_drawn_and_enumerated_permutations_agree_and_more_rows_of_a_subject_tell_no_more():
    draw = np.random.default_rng(1)
    values = draw.normal(size=20) + 0.8 * (np.arange(20) < 8)  # 125,970 choices: drawn
    drawn = compare_with_rest(values, range(20), np.arange(20) < 8).p
    chosen = itertools.combinations(range(20), 8)
    choices = np.zeros((125_970, 20))
    np.put_along_axis(choices, np.array(list(chosen)), 1, axis=1)
    of = [choices, 1 - choices]
    means = [side @ values / side.sum(axis=1) for side in of]
    errors = [
        (side @ values**2 - side.sum(axis=1) * mean**2 + values.var()) / side.sum(axis=1) ** 2
        for side, mean in zip(of, means, strict=True)
    ]
    found = np.abs(means[0] - means[1]) / np.sqrt(errors[0] + errors[1])
    assert drawn == pytest.approx((found > found[0] + 1e-9).mean(), abs=0.01)
    again = compare_with_rest(np.repeat(values, 3), np.repeat(range(20), 3), np.repeat(np.arange(20) < 8, 3))
    assert again.p == drawn


def test_subjects_with_a_row_on_each_side_are_compared_with_themselves():
    draw = np.random.default_rng(2)
    inside, outside = draw.integers(0, 2, (2, 12)).astype(float)
    found = compare_with_rest([*inside, *outside], [*range(12)] * 2, [True] * 12 + [False] * 12)
    assert (found.p, found.test) == (pytest.approx(flip_signs(inside - outside, range(12))), FLIPPED)


def test_where_all_answers_are_right_nothing_differs_and_no_spread_is_known():
    found = compare_with_rest([1.0] * 12, range(12), GROUP)
    assert (found.difference, found.p, found.detectable(1)) == (0.0, 1.0, None)


def test_a_single_subject_shows_nothing_and_a_group_of_all_is_none():
    alone = compare_with_rest([1, 1, 0, 0], ["a", "a", "b", "c"], [True, True, False, False])
    assert (alone.p, alone.detectable(1)) == (None, None) and "single subject in the group" in alone.note
    with pytest.raises(ValueError, match="expected rows in the group and outside, found 4 of 4 in it"):
        compare_with_rest([1, 1, 0, 0], "abcd", [True] * 4)


@pytest.mark.slow
@pytest.mark.parametrize("rows_each", [1, 5])
def test_what_could_have_shown_shows_in_80_percent(rows_each):
    """60 of 150 subjects; the group is worse by what the median sample names as detectable."""
    draw, subjects = np.random.default_rng(0), np.repeat(np.arange(150), rows_each)
    in_group = subjects < 60

    def sample(lost):
        chance = draw.beta(7, 7, 150)[subjects] + lost * (0.5 - in_group)  # about a half: the spread stays
        return compare_with_rest((draw.random(len(subjects)) < chance).astype(float), subjects, in_group, 499)

    lost = np.median([sample(0.0).detectable(1) for _ in range(30)])
    assert np.mean([sample(lost).p < 0.05 for _ in range(200)]) == pytest.approx(0.8, abs=0.09)


def with_sites(rows, sites):
    def put(row, index):
        return {"metadata": {**row["metadata"], "extra": json.dumps({"site": sites[index], "half": index % 2})}}

    return rows.map(put, with_indices=True, load_from_cache_file=False)


def test_groups_of_rows_are_tested_corrected_and_said(small_data):
    """Two rows each of four subjects: A has two of them, B and C one; `half` has a row of each subject a side."""
    rows = load_umbrella(str(small_data))["test"]
    subjects = [entry["subject_id"] for entry in rows["metadata"]]
    site_of = dict(zip(sorted(set(subjects)), "AABC", strict=True))
    rows = with_sites(rows, [site_of[subject] for subject in subjects])
    right = [site_of[subject] == "A" for subject in subjects]
    assert {record["parsed_label"] == record["expected_label"] for record in make_records(rows, right)} == {
        True,
        False,
    }
    by = score_by_group(right, ACCURACY, rows, ["site", "half"])
    found = add_group_tests(by, np.array(right, float), rows, 0)
    site, half = found["site"], found["half"]
    assert site["A"]["against_rest"]["p"] == pytest.approx(1 / 6)  # of six choices of two of four, two are as far off
    assert site["A"]["accuracy"] == 1.0 and site["A"]["against_rest"]["n_tests"] == 2
    assert site["A"]["against_rest"]["p_holm"] == pytest.approx(2 / 6)
    assert site["B"]["against_rest"]["p"] is None and "single subject" in site["B"]["against_rest"]["note"]
    first, second = (entry["against_rest"] for entry in half.values())
    assert (first["p"], first["p_holm"]) == (second["p"], second["p_holm"]) and first["test"] == FLIPPED
    assert first["difference"] == -second["difference"]
    said = say_groups(found, ACCURACY)
    assert said[0].startswith("By site: no group is shown to score otherwise than all other rows (smallest p = 0.333")
    assert said[1].startswith("By site: B, C cannot be judged: a single subject in the group")
    assert "nan" not in "".join(said)
    alone = add_group_tests(
        score_by_group(right, ACCURACY, rows, ["comparison_type"]), np.array(right, float), rows, 0
    )
    assert len(say_groups(alone, ACCURACY)) == 1
