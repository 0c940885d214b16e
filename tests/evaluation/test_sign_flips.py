"""The test by subject: right by theory for one row a subject, and 5 % of the time wrong where there is nothing."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from paired_oracle import mcnemar_mid_p
from properties import examples
from scipy.stats import norm, permutation_test

from umbrella.evaluation.statistics.lent_scans import measure_dependence
from umbrella.evaluation.statistics.sign_flips import flip_signs

N_SUBJECTS, N_DRAWS = 40, 700
outcomes = st.lists(st.sampled_from([-1, 0, 1]), min_size=1, max_size=60)


@given(outcomes)
def test_one_row_a_subject_is_mcnemars_test_with_the_observed_counts_half(differences):
    expected = mcnemar_mid_p(differences.count(-1), differences.count(1))
    assert flip_signs(differences, range(len(differences))) == pytest.approx(expected)


@examples(50)
@given(st.lists(st.integers(-5000, 5000).map(lambda n: n / 999), min_size=2, max_size=7))
def test_few_subjects_are_scipys_permutations_with_the_observed_sum_half(differences):
    by_scipy = permutation_test((differences,), np.sum, permutation_type="samples", n_resamples=np.inf)
    sums = np.abs(by_scipy.null_distribution)
    as_large = np.isclose(sums, abs(sum(differences)), atol=1e-6).mean()
    expected = min(1, by_scipy.pvalue) - as_large / 2 if any(differences) else 1.0
    assert flip_signs(differences, range(len(differences))) == pytest.approx(expected, abs=1e-6)


@examples(50)
@given(st.lists(st.tuples(st.integers(-1, 1), st.integers(0, 7)), min_size=1, max_size=30))
def test_whole_numbers_and_enumeration_agree(rows):
    differences, subjects = zip(*rows, strict=True)
    sums = [sum(d for d, s in rows if s == subject) for subject in sorted(set(subjects))]
    drawn = np.array([abs(np.dot(signs, sums)) for signs in itertools.product([-1, 1], repeat=len(sums))])
    expected = np.mean(drawn > abs(sum(sums))) + np.mean(drawn == abs(sum(sums))) / 2 if any(sums) else 1.0
    assert flip_signs(differences, subjects) == pytest.approx(expected)


def test_many_subjects_are_drawn_with_a_seed_and_never_give_0():
    differences = 1 + np.random.default_rng(0).normal(size=60)
    assert flip_signs(differences, range(60)) == flip_signs(differences, range(60)) == 0.5 / 10_000


def draw_two_runs(draw, rows_each):
    """Right or wrong by two models that are as good, each better at some subjects: row by row, (first, second)."""
    threshold = norm.ppf(0.7) * np.sqrt(2)
    runs = draw.normal(size=(2, N_SUBJECTS, 1)) + draw.normal(size=(2, N_SUBJECTS, rows_each)) < threshold
    return runs.reshape(2, -1).astype(int)


@pytest.mark.parametrize("rows_each", [1, 5, 20])
def test_without_an_effect_5_percent_are_significant(rows_each):
    draw = np.random.default_rng(rows_each)
    subjects = np.repeat(np.arange(N_SUBJECTS), rows_each)
    found = 0
    for _ in range(N_DRAWS):
        first, second = draw_two_runs(draw, rows_each)
        found += flip_signs(first - second, subjects) < 0.05
    assert found / N_DRAWS == pytest.approx(0.05, abs=0.01 + 2 * np.sqrt(0.05 * 0.95 / N_DRAWS))


def test_rows_taken_as_independent_would_be_significant_in_far_more():
    """The fault that was, over 40 subjects of 10 rows: each row as a subject of its own."""
    draw, found = np.random.default_rng(0), 0
    for _ in range(200):
        first, second = draw_two_runs(draw, 10)
        found += flip_signs(first - second, range(400)) < 0.05
    assert found / 200 > 0.2


@pytest.mark.slow
@pytest.mark.parametrize(("rows_each", "n_subjects"), [(1, 12), (1, 40), (5, 12), (5, 40)])
def test_scans_that_were_lent_to_several_rows_do_not_make_a_difference(rows_each, n_subjects):
    """A model that answers by the scan and knows nothing, whose scans are exchanged for those of the other label."""
    draw = np.random.default_rng(0)
    subjects = np.repeat(np.arange(n_subjects), rows_each)
    labels = subjects % 2
    found = by_subject_alone = 0
    for _ in range(200):
        answers = (draw.random((n_subjects, rows_each)) < draw.random((n_subjects, 1))).ravel()
        of_label = [np.flatnonzero(labels == label) for label in (0, 1)]
        donors = np.array([draw.choice(of_label[1 - label]) for label in labels])
        differences = (answers == labels).astype(int) - (answers[donors] == labels)
        found += flip_signs(differences, subjects, subjects[donors]) < 0.05
        by_subject_alone += flip_signs(differences, subjects) < 0.05
    assert found / 200 <= 0.06
    assert by_subject_alone / 200 > 0.09


def test_dependence_is_the_sum_over_pairs_of_rows_that_share_a_person():
    draw = np.random.default_rng(0)
    for _ in range(50):
        differences = draw.integers(-1, 2, 20)
        subjects, donors = draw.integers(0, 6, (2, 20))
        people = [{s, d} for s, d in zip(subjects, donors, strict=True)]
        pairs = list(itertools.product(range(20), repeat=2))
        shared = sum(differences[i] * differences[j] for i, j in pairs if people[i] & people[j])
        own = sum(differences[i] * differences[j] for i, j in pairs if subjects[i] == subjects[j])
        expected = max(1.0, shared / own) if own else 1.0
        assert measure_dependence(differences, subjects, donors) == pytest.approx(expected)
    assert measure_dependence(differences, subjects) == 1.0
