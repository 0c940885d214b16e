"""Under no effect each test finds p < 0.05 in 5 % of samples, with 1, 5 and 20 rows a subject."""

import numpy as np
import pytest
from scipy.stats import norm

from umbrella.evaluation.statistics.against_rest import compare_with_rest
from umbrella.evaluation.statistics.holm import correct_by_holm
from umbrella.evaluation.statistics.measures import ACCURACY, measure_errors
from umbrella.evaluation.statistics.paired import compare_paired

N_SUBJECTS = 60
YEARS = measure_errors([20.0, 80.0])


def draw_right(draw, rows_each, n_runs=1, alike=0.0):
    """(n_runs, subjects * rows): right in 70 % of rows, each better at some subjects, `alike` of that in common."""
    common = draw.normal(size=(1, N_SUBJECTS, 1))
    own = draw.normal(size=(n_runs, N_SUBJECTS, 1))
    ability = np.sqrt(alike) * common + np.sqrt(1 - alike) * own
    noise = draw.normal(size=(n_runs, N_SUBJECTS, rows_each))
    return (ability + noise < norm.ppf(0.7) * np.sqrt(2)).reshape(n_runs, -1).astype(float)


def of_two_runs(draw, rows_each, subjects):
    """compare.py, and the model beside the confounds alone: two that answer by the same and by other things."""
    first, second = draw_right(draw, rows_each, 2, alike=0.3)
    return compare_paired(ACCURACY, first, second, subjects).p


def of_errors(draw, rows_each, subjects):
    """The same for numbers: errors in years, with a long tail, larger for some subjects."""
    scale = draw.gamma(2, 2, (2, N_SUBJECTS, 1))
    first, second = (scale * np.abs(draw.normal(size=(2, N_SUBJECTS, rows_each)))).reshape(2, -1)
    return compare_paired(YEARS, first, second, subjects).p


def of_a_simple_model(draw, rows_each, subjects):
    """The model beside one and the same answer: it guesses, by the subject, and both labels are as frequent."""
    says_first = draw.random((N_SUBJECTS, rows_each)) < draw.random((N_SUBJECTS, 1))
    is_first = draw.random((N_SUBJECTS, 1)) < 0.5
    right = (says_first == is_first).ravel().astype(float)
    return compare_paired(ACCURACY, right, np.repeat(is_first.ravel(), rows_each).astype(float), subjects).p


def of_a_control(draw, rows_each, subjects):
    """Exchanged scans: a model that answers by the scan and knows nothing, each scan lent to any rows."""
    labels = draw.random(N_SUBJECTS) < 0.5
    answers = (draw.random((N_SUBJECTS, rows_each)) < draw.random((N_SUBJECTS, 1))).ravel()
    of_rows = np.repeat(labels, rows_each)
    donors = (np.arange(len(answers)) + rows_each * draw.integers(1, N_SUBJECTS, len(answers))) % len(answers)
    real, control = (answers == of_rows), (answers[donors] == of_rows)
    return compare_paired(ACCURACY, real, control, subjects, subjects[donors]).p


def of_a_group_of_subjects(draw, rows_each, subjects):
    """A third of the subjects is the group."""
    return compare_with_rest(draw_right(draw, rows_each)[0], subjects, subjects < N_SUBJECTS // 3, 999).p


def of_a_group_of_rows(draw, rows_each, subjects):
    """Half of the subjects have rows in the group and outside, which are unlike for each; the others on one side."""
    in_group = draw.random((N_SUBJECTS, 1)) < 0.5
    both = np.arange(N_SUBJECTS)[:, None] % 2 == 0
    in_group = np.where(
        both, np.arange(rows_each) % 3 == 0, np.broadcast_to(in_group, (N_SUBJECTS, rows_each))
    ).ravel()
    inside, outside = draw_right(draw, rows_each, 2, alike=0.5)
    return compare_with_rest(np.where(in_group, inside, outside), subjects, in_group).p


TESTS = [of_two_runs, of_errors, of_a_simple_model, of_a_control, of_a_group_of_subjects, of_a_group_of_rows]


def share_found(test, rows_each, n_draws):
    draw = np.random.default_rng(rows_each)
    subjects = np.repeat(np.arange(N_SUBJECTS), rows_each)
    return np.mean([test(draw, rows_each, subjects) < 0.05 for _ in range(n_draws)])


def cases(tests):
    """A single row a subject is in one group."""
    return [(test, n) for test in tests for n in (1, 5, 20) if (test, n) != (of_a_group_of_rows, 1)]


@pytest.mark.slow
@pytest.mark.parametrize(("test", "rows_each"), cases(TESTS))
def test_in_a_hundred_samples_hardly_more_than_five_are_significant(test, rows_each):
    """20 % or so where rows are taken as independent: see below. The many follow nightly."""
    assert share_found(test, rows_each, 100) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 100)


@pytest.mark.nightly
@pytest.mark.parametrize(("test", "rows_each"), cases(TESTS))
def test_in_2000_samples_5_percent_are_significant(test, rows_each):
    assert share_found(test, rows_each, 2000) == pytest.approx(0.05, abs=0.01)


def test_a_group_of_rows_taken_as_independent_would_be_significant_in_far_more():
    draw, subjects = np.random.default_rng(0), np.repeat(np.arange(N_SUBJECTS), 20)
    rows = np.arange(len(subjects))
    found = [compare_with_rest(draw_right(draw, 20)[0], rows, subjects < 20, 199).p < 0.05 for _ in range(40)]
    assert np.mean(found) > 0.3


def test_of_five_tests_that_show_nothing_any_is_significant_after_correction_in_5_percent():
    """Without correction in 23 %."""
    draw = np.random.default_rng(0)
    p_values = draw.random((2000, 5))
    found = [min(correct_by_holm(family)) < 0.05 for family in p_values]
    assert np.mean(found) == pytest.approx(0.05, abs=0.01)
    assert np.mean(p_values.min(axis=1) < 0.05) > 0.2
