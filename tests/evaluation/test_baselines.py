"""Baselines and confounds: fitted on training rows, judged on test rows; head volume as the phantoms have it."""

import json

import numpy as np
import phantoms
import pytest

from umbrella.evaluation.baselines import evaluate_baselines
from umbrella.evaluation.confounds import evaluate_confounds, match_rows, read_confounds
from umbrella.evaluation.results import group_rows, score_by_group, subjects_of_rows
from umbrella.evaluation.statistics.measures import ACCURACY
from umbrella.models.loading import load_processor
from umbrella.rows.kept_views import CachingTransform, ViewCache
from umbrella.scans.head import estimate_head_volume_ml, otsu_threshold
from umbrella.scans.otsu import find_otsu_bin
from umbrella_dataset import load_umbrella


@pytest.fixture(scope="module")
def splits(small_data):
    return load_umbrella(str(small_data))


def make_records(rows, right):
    other = {"male": "female", "female": "male"}
    truths = [entry["subject_label"] for entry in rows["metadata"]]
    return [
        {"expected_label": truth, "parsed_label": truth if hit else other[truth]}
        for truth, hit in zip(truths, right, strict=True)
    ]


def test_head_volume_is_that_of_the_phantom_within_2_percent():
    rng = np.random.default_rng(0)
    for sex in phantoms.SEXES * 2:
        anatomy, acquisition = phantoms.draw_anatomy(rng, sex), phantoms.draw_acquisition(rng)
        truth = (phantoms.make_labels(anatomy, acquisition) > 0).sum() * np.prod(phantoms.SPACING_MM) / 1000
        volume = phantoms.make_scan(anatomy, acquisition).astype(np.float32)
        assert estimate_head_volume_ml(volume, np.array(phantoms.SPACING_MM)) == pytest.approx(truth, rel=0.02)


def test_otsu_parts_two_clear_classes():
    values = np.concatenate(
        [np.random.default_rng(0).normal(10, 1, 5000), np.random.default_rng(1).normal(90, 1, 900)]
    )
    assert (values > otsu_threshold(values)).sum() == 900


def test_otsus_bin_leaves_the_least_variance_within_the_two_classes():
    rng = np.random.default_rng(2)
    for _ in range(50):
        counts, centres = rng.integers(0, 9, 12) * rng.integers(0, 2, 12), np.arange(12.0)
        counts[[2, 7]] += 1  # also with empty bins at either end
        values = np.repeat(centres, counts)
        within = [
            sum(part.var() * len(part) for part in (values[values <= cut], values[values > cut]))
            if values.min() <= cut < values.max()
            else np.inf
            for cut in centres
        ]
        assert within[find_otsu_bin(counts, centres)] == pytest.approx(min(within))


def test_baselines_are_judged_on_the_rows_of_the_model(splits):
    rows, train = splits["test"], splits["train"]
    transform = CachingTransform(load_processor("tiny"), ViewCache(), image_size=64)
    records = make_records(rows, [True] * 8)
    found = evaluate_baselines(train, rows, records, subjects_of_rows(rows), transform, str, 0)
    assert found["n_train"] == 8
    assert found["models"]["majority"]["accuracy"] == 0.5  # as many of each sex
    majority = found["models"]["majority"]
    assert majority["title"].endswith("one of the most frequent labels in training")
    assert majority["paired"]["p"] == 0.5**2  # two of the four subjects are of the class that it does not say
    assert majority["verdict"] == "cannot tell"
    assert "Too few rows to tell whether the model does better than always answering" in majority["sentence"]
    assert 0 <= found["models"]["linear"]["accuracy"] <= 1
    truths = make_records(train, [True] * 8)
    trained_on_itself = evaluate_baselines(train, train, truths, ["s"] * 8, transform, str, 0)
    assert trained_on_itself["models"]["linear"]["accuracy"] == 1.0
    assert "note" in evaluate_baselines(None, rows, records, subjects_of_rows(rows), transform, str, 0)


class TellingTransform(CachingTransform):
    """Volumes of noise, 32 x 48 x 40 voxels, in which one cube off the edges tells the sex."""

    n_frames = staticmethod(lambda task_id: 1)

    def load_images(self, row, number):
        rng = np.random.default_rng([*row["task_id"].encode(), number])
        volume = rng.normal(size=(self.n_frames(row["task_id"]), 32, 48, 40)).astype(np.float32)
        volume[:, 20:28, 30:38, 10:18] += 5 if row["metadata"]["subject_label"] == "male" else -5
        return volume


def test_the_linear_model_sees_whole_volumes_and_needs_them_of_one_length(splits):
    rows, train = splits["test"], splits["train"]
    transform = TellingTransform(load_processor("tiny3d"), ViewCache())
    asked = (train, rows, make_records(rows, [True] * 8), subjects_of_rows(rows), transform, str, 0)
    assert evaluate_baselines(*asked)["models"]["linear"]["accuracy"] == 1.0
    transform.n_frames = lambda task_id: 1 + int(task_id[-1]) % 2
    assert list(evaluate_baselines(*asked)["models"]) == ["majority"]


AGES = (("train", 20), ("test", 30))


def test_numbers_are_compared_with_the_mean_of_training_and_a_linear_model(splits):
    """Ages 20 to 27 in training, mean 23.5; 30 to 37 in the test, answered one too high, and one not at all."""
    train, rows = (with_labels(splits[name], [str(age + i) for i in range(8)]) for name, age in AGES)
    transform = CachingTransform(load_processor("tiny"), ViewCache(), image_size=64)
    records = [{"expected_number": 30.0 + i, "parsed_number": 31.0 + i} for i in range(7)]
    records.append({"expected_number": 37.0, "parsed_number": None})  # as far off as 30
    found = evaluate_baselines(train, rows, records, list("abcdefgh"), transform, float, 0)["models"]
    assert found["mean"]["title"] == "always 23.5, the mean in training"
    assert found["mean"]["mae"] == pytest.approx(np.mean(np.arange(30, 38) - 23.5))
    assert found["mean"]["paired"]["difference"] == pytest.approx(found["mean"]["mae"] - (7 * 1 + 7) / 8)
    assert (
        found["mean"]["verdict"] == "better" and "does better than always answering 23.5" in found["mean"]["sentence"]
    )
    assert found["linear"]["mae"] > 0


def with_labels(rows, labels):
    def put(row, index):
        return {"metadata": {**row["metadata"], "subject_label": labels[index]}}

    return rows.map(put, with_indices=True, load_from_cache_file=False)


def with_metadata(rows, values):
    def put(row, index):
        return {"metadata": {**row["metadata"], "extra": json.dumps({"age": values[index], "site": "A"})}}

    return rows.map(put, with_indices=True, load_from_cache_file=False)


def test_a_confound_that_gives_the_label_away_is_caught(splits):
    """Age tells the sex, so there are no matched rows; an age that tells nothing leaves rows to match."""
    told = {
        split: with_metadata(
            splits[split],
            [30 + i if e["subject_label"] == "male" else 60 + i for i, e in enumerate(splits[split]["metadata"])],
        )
        for split in ("train", "test")
    }
    rows = told["test"]
    records = make_records(rows, [True] * 8)
    found = evaluate_confounds(["age", "site"], told["train"], rows, records, subjects_of_rows(rows), str)
    by_title = {entry["title"]: entry["accuracy"] for entry in found["rows"]}
    assert by_title["confounds alone, logistic regression"] == 1.0
    assert "They alone get 100.0 % of the rows right, the model 100.0 %" in found["sentence"]
    assert "Too few rows to tell whether the model does better than the confounds alone" in found["sentence"]
    assert "No two rows of different labels are alike" in found["sentence"] and "may be theirs" in found["sentence"]
    assert "cannot be told from them" not in found["sentence"]
    blind = {split: with_metadata(splits[split], [40] * 8) for split in ("train", "test")}
    found = evaluate_confounds(["age"], blind["train"], blind["test"], records, subjects_of_rows(rows), str)
    matched = {entry["title"]: entry["n"] for entry in found["rows"]}
    assert matched["the model, rows matched on the confounds"] == 8


def test_numbers_that_are_stored_as_text_are_numbers(splits):
    """As the generators write --metadata age. One word in either table makes words of both."""
    ages = ["21.37", "22", None, "1e2", "−3", "25", "26", "27"]
    rows, train = with_metadata(splits["test"], ages), with_metadata(splits["train"], [*range(7), None])
    table, train_table = read_confounds((rows, train), ["age", "site"])
    assert table[:, 0].astype(float).tolist()[:2] == [21.37, 22.0] and np.isnan(table[2, 0])
    assert train_table[:7, 0].tolist() == [*map(float, range(7))] and np.isnan(train_table[7, 0])
    assert table[:, 1].tolist() == ["A"] * 8
    table, train_table = read_confounds((rows, with_metadata(splits["train"], ["old", *range(7)])), ["age"])
    assert table[:3, 0].tolist() == ["21.37", "22", "not stated"] and train_table[:2, 0].tolist() == ["old", "0"]


def test_matched_rows_are_pairs_of_both_labels_that_are_near():
    ages = np.array([[20.0], [21.0], [50.0], [20.5], [80.0], [51.0]], object)
    labels = np.array(["a", "a", "a", "b", "b", "b"])
    matched = match_rows(ages, labels)
    assert sorted(labels[matched].tolist()) == ["a"] * (len(matched) // 2) + ["b"] * (len(matched) // 2)
    assert 4 not in matched  # nobody else is 80


def test_groups_and_bins_of_age(splits):
    rows = with_metadata(splits["test"], [31, 38, 42, 49, 55, 55, None, 60])
    assert group_rows(rows, "age_bin") == [
        *["30 to 40"] * 2, *["40 to 50"] * 2, *["50 to 60"] * 2, "not stated", "60 to 70"
    ]  # fmt: skip
    found = score_by_group([1.0] * 4 + [0.0] * 4, ACCURACY, rows, ["age_bin"])["age_bin"]
    assert (found["30 to 40"]["accuracy"], found["50 to 60"]["accuracy"], found["not stated"]["n"]) == (1.0, 0.0, 1)
    with pytest.raises(
        ValueError, match=r"handedness: expected a name in the rows' metadata, found none; there are .*age"
    ):
        group_rows(rows, "handedness")
    texts = with_metadata(splits["test"], ["31", "38", "42", "49", "55", "55", None, "60.5"])
    assert group_rows(texts, "age_bin") == group_rows(rows, "age_bin")
    with pytest.raises(ValueError, match=r"--by site_bin: expected numbers in metadata.site, found 'A'. .* --by site"):
        group_rows(rows, "site_bin")
