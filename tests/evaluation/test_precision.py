"""What so many subjects can tell: as statsmodels has it for one row a subject, as simulations have it for several."""

import math

import numpy as np
import pytest
from scipy.stats import f_oneway, norm
from statsmodels.stats.power import normal_power_het
from statsmodels.stats.proportion import proportion_confint

from umbrella.evaluation.evidence.precision import measure_precision
from umbrella.evaluation.statistics.intervals import mean_interval, share_interval
from umbrella.evaluation.statistics.measures import ACCURACY
from umbrella.evaluation.statistics.paired import compare_paired
from umbrella.evaluation.statistics.precision import (
    SD_OF_ERRORS,
    Design,
    PairedDesign,
    detectable_above,
    intra_subject_correlation,
    least_discordant,
    subjects_for_width,
)
from umbrella.report.score_tables import show_detectable


def draw_right(draw, n_subjects, rows_each, share, icc):
    """Shares of subjects from a beta distribution: rows of one correlate by `icc`."""
    chance = draw.beta(share * (1 / icc - 1), (1 - share) * (1 / icc - 1), (n_subjects, 1)) if icc else share
    return (draw.random((n_subjects, rows_each)) < chance).astype(float).ravel()


def test_one_row_a_subject_has_the_width_that_statsmodels_gives():
    for n in (10, 50, 784):
        low, high = proportion_confint(0.85 * n, n, method="wilson")
        assert Design().share_interval(0.85, n) == pytest.approx((low, high))
    n = subjects_for_width(lambda n: Design().share_interval(0.85, n), 0.05)
    widths = [np.ptp(proportion_confint(0.85 * more, more, method="wilson")) for more in (n, n - 1)]
    assert widths[0] <= 0.05 < widths[1] and n == 784


@pytest.mark.parametrize(("rows_each", "icc"), [(1, 0.0), (4, 0.5), (4, 0.1), (20, 0.3)])
def test_predicted_widths_are_those_of_samples(rows_each, icc):
    draw, n = np.random.default_rng(0), 80
    subjects, design = np.repeat(np.arange(n), rows_each), Design(rows_each, icc)
    widths = [np.ptp(share_interval(draw_right(draw, n, rows_each, 0.8, icc), subjects)) for _ in range(60)]
    assert np.mean(widths) == pytest.approx(np.ptp(design.share_interval(0.8, n)), rel=0.06)
    ability = np.sqrt(icc) * draw.normal(size=(60, n, 1)) + np.sqrt(1 - icc) * draw.normal(size=(60, n, rows_each))
    widths = [np.ptp(mean_interval(10 + 2 * of.ravel(), subjects)) for of in ability]
    assert np.mean(widths) == pytest.approx(np.ptp(design.mean_interval(10, 2, n)), rel=0.06)


def test_absolute_errors_of_normal_errors_spread_as_is_assumed():
    errors = np.abs(norm.ppf((np.arange(100_000) + 0.5) / 100_000))
    assert errors.std() / errors.mean() == pytest.approx(SD_OF_ERRORS, abs=1e-3)


def test_a_share_that_is_told_from_a_fixed_one_has_80_percent_power_by_statsmodels_and_in_samples():
    for reference, trials in ((0.5, 100), (0.3, 400), (0.9, 200)):
        found = detectable_above(reference, trials)
        spreads = {
            "std_null": math.sqrt(reference * (1 - reference)),
            "std_alternative": math.sqrt(found * (1 - found)),
        }
        power = normal_power_het(found - reference, trials, 0.05, **spreads, alternative="larger")
        assert normal_power_het(found - reference, trials, 0.025, **spreads, alternative="larger") == pytest.approx(
            0.8
        )
        assert power > 0.8
        right = np.random.default_rng(0).binomial(trials, found, 4000)
        told = proportion_confint(right, trials, method="wilson")[0] > reference
        assert told.mean() == pytest.approx(0.8, abs=0.05)
    assert detectable_above(0.5, 3) is None and detectable_above(1.0, 100) is None


def test_a_paired_difference_has_80_percent_power_by_statsmodels():
    for n, variance, n_tests in ((100, 0.3, 1), (400, 0.1, 1), (150, 0.2, 7)):
        found = PairedDesign(variance, True, n_tests=n_tests).detectable(n)
        spreads = {"std_null": math.sqrt(variance + found**2), "std_alternative": math.sqrt(variance)}
        assert normal_power_het(found, n, 0.05 / n_tests, **spreads) == pytest.approx(0.8, abs=1e-3)
        of_errors = PairedDesign(variance, False, n_tests=n_tests).detectable(n)
        assert of_errors == pytest.approx(found, rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(("rows_each", "n"), [(1, 30), (1, 100), (5, 60)])
def test_a_paired_difference_that_could_have_shown_shows_in_80_percent_of_samples(rows_each, n):
    """Two runs, of which the second loses as many answers as the first sample names as detectable."""
    draw, subjects = np.random.default_rng(0), np.repeat(np.arange(n), rows_each)

    def sample(lost):
        ability = draw.normal(size=(2, n, 1))
        noise = draw.normal(size=(2, n, rows_each))
        first, second = ((ability + noise) / math.sqrt(2)).reshape(2, -1)
        scores = (first < norm.ppf(0.5 + lost / 2), second < norm.ppf(0.5 - lost / 2))
        return compare_paired(ACCURACY, *scores, subjects)

    lost = np.median([sample(0.0).detectable for _ in range(30)])
    assert np.mean([sample(lost).outcome == "better" for _ in range(200)]) == pytest.approx(0.8, abs=0.09)


def test_where_nothing_differs_enough_subjects_must_for_a_verdict():
    """A control that changes no answer, over 40 subjects: six of them must, in 80 % of samples."""
    found = compare_paired(ACCURACY, [True] * 40, [True] * 40, range(40)).detectable
    lost = np.random.default_rng(0).random((300, 40)) < found
    shown = [compare_paired(ACCURACY, [True] * 40, ~of, range(40)).outcome == "better" for of in lost]
    assert np.mean(shown) == pytest.approx(0.8, abs=0.06)
    assert compare_paired(ACCURACY, [True] * 5, [True] * 5, range(5)).detectable is None
    assert (least_discordant(1), least_discordant(7)) == (6, 8)  # 1/256 is below 0.05 / 7, 1/128 is not


def test_how_alike_rows_of_one_subject_are_follows_from_scipys_analysis_of_variance():
    draw = np.random.default_rng(0)
    values = draw.normal(size=(12, 1)) + draw.normal(size=(12, 4))
    f = f_oneway(*values).statistic
    assert intra_subject_correlation(values.ravel(), np.repeat(range(12), 4)) == pytest.approx((f - 1) / (f + 3))


def test_of_subjects_with_unlike_numbers_of_rows_the_correlation_is_found_too():
    draw, found = np.random.default_rng(0), []
    for _ in range(40):
        rows = draw.integers(1, 9, 100)
        subjects = np.repeat(np.arange(100), rows)
        found.append(
            intra_subject_correlation(draw.normal(size=100)[subjects] + draw.normal(size=len(subjects)), subjects)
        )
    assert np.mean(found) == pytest.approx(0.5, abs=0.03)
    assert intra_subject_correlation([1, 0, 1], "abc") is intra_subject_correlation([1, 1, 1], "aab") is None
    assert intra_subject_correlation([1, 0], "aa") is None


def make_records(right):
    labels = ["a", "b"] * len(right)
    return [
        {"expected_label": label, "parsed_label": label if hit else "?"}
        for label, hit in zip(labels[: len(right)], right, strict=True)
    ]


def test_the_entry_says_what_is_known_and_what_cannot_be():
    right, subjects = [True] * 60 + [False, True] * 10, np.repeat(np.arange(40), 2)
    paired = compare_paired(ACCURACY, right, right, subjects, n_tests=1).to_dict()
    entry = measure_precision(make_records(right), subjects, {"x": {"title": "blank", "paired": paired}})
    assert entry["value"] == 0.875 and entry["width"] == np.ptp(share_interval(right, subjects))
    assert [one["width"] for one in entry["wished"]] == [0.10, 0.05]
    for one in entry["wished"]:
        times = -(-one["subjects"] // 40)
        more = share_interval(right * times, np.repeat(np.arange(40 * times), 2))
        assert np.ptp(more) <= one["width"] < 1.5 * np.ptp(more)
    text = " ".join(entry["sentences"])
    assert "intra-subject correlation of 0.00, so that the rows count as 80" in text or "correlation of 0.0" in text
    assert "taken as a fixed share and by this test alone." in text  # the table of simple models corrects over them
    assert "always answering “a” gets 50.0 %; an accuracy of " in text and "smallest difference from a control" in text
    few = {"x": {"title": "blank", "paired": compare_paired(ACCURACY, [True] * 4, [True] * 4, range(4)).to_dict()}}
    entry = measure_precision(make_records([True] * 4), range(4), few)
    assert "Too few subjects to show any difference, however large, from: blank." in entry["sentences"]
    shown = {"x": {"title": "blank", "paired": few["x"]["paired"] | {"p_holm": 0.035}}}
    entry = measure_precision(make_records([True] * 4), range(4), shown)  # of donors that many rows share, say
    assert "however large" not in str(entry)
    assert show_detectable(shown["x"]["paired"], ACCURACY) == "not known"
    alone = measure_precision(make_records([True, False]), ["s", "s"], {})
    assert alone["interval"] is None and "a single subject tells nothing about others" in alone["sentences"][0]
    assert "nan" not in str((entry, alone)) and "there is nothing that an accuracy could be above" in str(
        measure_precision(make_records([True] * 4)[::2], "ab", {})["sentences"]
    )


def test_rows_that_do_not_state_their_subject_are_not_said_to_be_independent():
    entry = measure_precision(make_records([True, True, False, True]), range(4), {}, n_nameless=3)
    (said,) = entry["limits"]
    assert said in entry["sentences"] and said.startswith("3 of 4 rows do not state whom they are about")
    assert "independent" not in entry["sentences"][0]
    named = measure_precision(make_records([True, True, False, True]), range(4), {})
    assert "so rows are independent" in named["sentences"][0] and not named["limits"]


def test_errors_take_four_times_the_subjects_for_half_the_width():
    draw = np.random.default_rng(0)
    truths = draw.uniform(20, 80, 50)
    records = [
        {"expected_number": one, "parsed_number": one + error}
        for one, error in zip(truths, draw.normal(0, 5, 50), strict=True)
    ]
    entry = measure_precision(records, range(50), {})
    half, quarter = (one["subjects"] for one in entry["wished"])
    assert 190 <= half <= 200 and 760 <= quarter <= 800
    assert entry["reference"] is None and entry["icc"] is None and "Each subject has one row" in entry["sentences"][0]
    same = measure_precision([{"expected_number": 40.0, "parsed_number": 41.0}] * 6, range(6), {})
    assert "no number of subjects be named" in same["sentences"][1]
