"""Groups of rows that fail more than the rest: tested by subject, corrected over all, and named on no public page."""

import json

import numpy as np
import pytest

from umbrella.evaluation.evidence.failures import find_failures, gather_failures
from umbrella.evaluation.evidence.scan_measures import HEAD_VOLUME, measure_scan, measure_scans
from umbrella.scans.head import estimate_head_volume_ml
from umbrella.scans.scan_files import find_source
from umbrella.scans.volumes import load_volume
from umbrella_dataset import load_umbrella


@pytest.fixture(scope="module")
def rows(small_data):
    """48 rows of 24 subjects, 8 each at three sites; one scan each, which several have in common."""
    test = load_umbrella(str(small_data), split="test")
    test = test.select([i % len(test) for i in range(48)])

    def spread(row, i):
        subject = i // 2
        extra = {"site": ("Basel", "Bergen", "Kyoto")[subject // 8], "age": 30.5 + subject, "town": f"Oslo {i}"}
        extra |= {"coil": "old" if subject < 3 else "new", "study": "one"}
        metadata = {
            **row["metadata"],
            "subject_id": f"s{subject}",
            "subject_label": "male",
            "extra": json.dumps(extra),
        }
        return {"metadata": metadata, "task_id": f"row {i}"}

    return test.map(spread, with_indices=True, load_from_cache_file=False)


def make_records(wrong):
    return [
        {"expected_label": "male", "parsed_label": "female" if is_wrong else "male", "probabilities": {"male": 0.5}}
        for is_wrong in wrong
    ]


WRONG = [16 <= i < 30 for i in range(48)]  # at Bergen but one subject


def by_group(found):
    return {(group["column"], group["group"]): group for group in found["groups"]}


def test_a_site_that_fails_is_found_and_groups_of_three_are_named_and_not_compared(rows):
    found = find_failures(rows, make_records(WRONG), 0)
    first = found["groups"][0]
    assert (first["column"], first["group"], first["n"], first["n_subjects"]) == ("site", "Bergen", 16, 8)
    assert (first["error"], first["rest"]) == (14 / 16, 0.0) and first["p_holm"] < 0.05
    assert 0.35 < first["interval"][0] < 14 / 16 < first["interval"][1] <= 1
    assert all(group["p_holm"] >= group["p"] for group in found["groups"])
    assert {("age", "30 to 40"), ("site", "Basel")} <= by_group(found).keys()
    small = {(group["column"], group["group"]): group["n_subjects"] for group in found["too_small"]}
    assert (small["coil", "old"], small["coil", "new"]) == (3, 21)  # too few in the one, too few beside the other
    assert "The same in all rows: " in found["notes"][0] and "study" in found["notes"][0]
    assert "not compared: town." in found["notes"][1]
    assert found["sentences"][0].startswith("14 of 48 rows of 24 subjects are answered wrongly. ")
    assert found["sentences"][0].endswith("1 fails more than the rest, corrected over all (Holm): by site.")
    json.dumps(found, allow_nan=False)


def test_two_groups_are_one_comparison_and_the_worse_one_is_shown(rows):
    halves = rows.map(
        lambda row: {"metadata": {**row["metadata"], "extra": json.dumps({"sex": row["task_id"][-1] > "4"})}}
    )
    found = find_failures(halves, make_records([row["task_id"][-1] > "4" for row in halves]), 0)
    assert [group["group"] for group in found["groups"] if group["column"] == "sex"] == ["True"]


def test_what_cannot_be_compared_is_said(rows):
    right = find_failures(rows, make_records([False] * 48), 0)
    assert right["sentences"] == [
        "None of 48 rows of 24 subjects is answered wrongly. There is nothing to compare groups by."
    ]
    few = find_failures(rows.select(range(8)), make_records([True] * 4 + [False] * 4), 0)
    assert few["groups"] == []
    assert few["sentences"][0].endswith("nothing divides the rows into groups of 5 subjects or more.")
    texts = find_failures(rows.select(range(2)), [{"prediction": "a b", "answer": "a c"}] * 2, 0)
    assert texts["sentences"] == ["Free text is neither right nor wrong, so groups of rows are not compared."]


def test_of_numbers_the_mean_errors_are_compared(rows):
    numbers = [30.0 + i for i in range(48)]
    records = [
        {"expected_number": number, "parsed_number": number + (9 if wrong else 1) + i % 3}
        for i, (number, wrong) in enumerate(zip(numbers, WRONG, strict=True))
    ]
    found = find_failures(rows, records, 0)
    bergen = by_group(found)["site", "Bergen"]
    assert (found["key"], found["groups"][0]["group"]) == ("mae", "Bergen")
    assert bergen["error"] == pytest.approx(9, abs=1) and bergen["rest"] == pytest.approx(2, abs=0.2)
    assert any(group["column"] == "true answer" for group in found["groups"])
    assert found["sentences"][0].startswith("The mean absolute error is 4.33 (48 rows of 24 subjects).")


def test_what_is_published_names_no_group(rows, tmp_path):
    entry = gather_failures(tmp_path, rows, make_records(WRONG), 0, True)
    private = (tmp_path / "failures.json").read_text()
    assert all(name in private for name in ("Bergen", "Kyoto", "30 to 40"))
    assert list(entry) == ["sentences"] and "Bergen" not in json.dumps(entry) and "30 to 40" not in json.dumps(entry)
    assert gather_failures(tmp_path / "none", rows, [], 0, False) is None


# ------------------------------------------------------------------------------------------------ the scans


def test_a_head_looked_at_coarsely_has_its_volume_and_no_more_scans_are_read_than_the_bound(rows):
    scan = rows.with_format(None)[0]["images"][-1]
    measured = measure_scan(find_source(scan), "sMRI")
    volume, spacing_mm = load_volume(find_source(scan), "sMRI", normalize=True, standardize=False)
    assert measured[HEAD_VOLUME] == pytest.approx(estimate_head_volume_ml(volume, spacing_mm), rel=0.02)
    assert measured["voxel volume in mm³"] == pytest.approx(np.prod(spacing_mm), rel=0.01)
    found = measure_scans(rows, 0, most_scans=2)
    assert sum(bool(of_row) for of_row in found.rows) < 48
    assert found.notes == ["Of 4 scans 2, drawn at random, were measured."]
    text = rows.select([0]).map(lambda row: {"images": []})
    assert measure_scans(text, 0).notes == ["1 rows have no scan to measure."]
