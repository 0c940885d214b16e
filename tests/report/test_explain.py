"""explain.py writes maps that lie over the scans, one number with its interval, and a page that says what it is."""

import json

import explain
import nibabel
import numpy as np
import pytest

from umbrella.answers.attribution.regions import Pointing
from umbrella.evaluation.pointing.share import Pointed, summarize_likeness, summarize_pointing

FLAGS = ("--box_mm", 96, "--volume_size", "24x32x24", "--volume_spacing", 8, "--max_new_tokens", 4, "--n", 3)


@pytest.mark.slow
def test_maps_numbers_and_page(call, volume_data, tmp_path):
    """A model that has learned nothing is warned of."""
    said = call(
        explain, "--model_name_or_path", "tiny3d", "--json_dir", volume_data["lesion"], *FLAGS, "--output_dir", "out"
    )
    metrics = json.loads((tmp_path / "out/metrics.json").read_text())
    page = (tmp_path / "out/report.html").read_text()
    assert "Region: lesion, of 6 rows (the metadata name it" in said
    assert "warning: The maps do not point at the lesion more often than chance does." in said
    pointing = metrics["pointing"]
    assert pointing["rows"] == 3 and pointing["subjects"] == 2 and 0 < pointing["chance"] < 1
    for model in ("trained", "random_model"):
        low, high = pointing[model]["interval"]
        assert low <= pointing[model]["share"] <= high
    assert {row["subject_id"] for row in metrics["rows"]} == set(pointing_subjects(metrics))
    for row in metrics["rows"]:
        image = nibabel.load(tmp_path / "out" / row["map"])
        assert image.shape == (24, 32, 24) and np.isfinite(image.get_fdata()).all()
        assert row["task_id"] in page
    assert (
        "http" not in page.replace("http://www.w3.org", "")
        and str(tmp_path) not in page.split("<h2>How it was made")[0]
    )


def pointing_subjects(metrics):
    return [row["subject_id"] for row in metrics["rows"] if "hit" in row]


@pytest.mark.slow
def test_gradients_of_pictures_without_a_region(call, small_data, tmp_path):
    flags = (
        "--model_name_or_path",
        "tiny",
        "--json_dir",
        small_data,
        "--method",
        "gradient",
        "--answer",
        "true",
        "--n",
        1,
    )
    said = call(explain, *flags, "--random_model", "false", "--output_dir", "out")
    metrics = json.loads((tmp_path / "out/metrics.json").read_text())
    assert "No region: the rows' metadata name none" in said and metrics["pointing"] is None
    (row,) = metrics["rows"]
    image = nibabel.load(tmp_path / "out" / row["map"])
    assert np.isfinite(image.get_fdata()).all() and (image.get_fdata() != 0).any()


def point(hits, of_random, chance=0.1):
    return [
        Pointed(f"sub-{i}", Pointing(bool(hit), chance), Pointing(bool(other), chance))
        for i, (hit, other) in enumerate(zip(hits, of_random, strict=True))
    ]


def test_a_model_that_points_is_told_from_one_that_does_not():
    found = summarize_pointing("lesion", point([1] * 18 + [0] * 2, [0] * 18 + [1] * 2), 4)
    assert found["trained"]["share"] == 0.9 and found["trained"]["interval"][0] > 0.6
    assert found["random_model"]["share"] == 0.1 and not found["warnings"]
    assert found["difference"]["interval"][0] > 0.35
    assert "at chance" in found["sentences"][1] and found["rows_whose_view_does_not_show_it"] == 4
    same = summarize_pointing("lesion", point([1, 0] * 10, [1, 0] * 10, chance=0.5), 0)
    assert same["warnings"] == [
        "The maps do not point at the lesion more often than chance does.",
        "The maps are not shown to point at the lesion more often than those of random weights.",
    ]


def test_maps_like_those_of_random_weights_are_warned_of():
    subjects = [f"sub-{i}" for i in range(6)]
    alike = summarize_likeness([0.7, 0.8, 0.6, 0.9, None, 0.7], subjects)
    assert alike["rank_correlation"] == pytest.approx(0.74) and alike["flat"] == 1
    assert "much like those of random weights" in alike["warnings"][0]
    assert not summarize_likeness([0.1, -0.1, 0.2, 0.0, 0.1, 0.1], subjects)["warnings"]
    assert summarize_likeness([None], ["sub-1"])["warnings"]
    assert "0.00 on average" in summarize_likeness([-0.004, -0.003], ["sub-1", "sub-2"])["sentences"][0]
    assert "-0.00" not in summarize_likeness([-0.004, -0.003], ["sub-1", "sub-2"])["sentences"][0]
