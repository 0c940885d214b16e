"""compare.py: a paired difference over the same rows, with interval and test; seeds; refusals."""

import json

import compare as recipe
import numpy as np
import pytest
from paired_oracle import mcnemar_mid_p

from umbrella.answers.metrics import regression_metrics
from umbrella.evaluation.comparison import compare, read_evaluation
from umbrella.evaluation.run_folder import name_folder


def write_evaluation(folder, right, data="d", task="classification", split="test", name="eval"):
    """Two rows a subject; `right` tells for each row whether the answer is right."""
    path = folder / name
    path.mkdir(parents=True)
    (path / "settings.json").write_text(json.dumps({"split": split, "data": data, "task": task, "model": "m"}))
    (path / "metrics.json").write_text(json.dumps({"n": len(right), "metrics": {}}))
    lines = [
        {"task_id": f"t{i}", "subject_id": f"s{i // 2}", "prediction": "x", "answer": "a"}
        | {"parsed_label": "a" if hit else "b", "expected_label": "a"}
        for i, hit in enumerate(right)
    ]
    (path / "predictions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def test_one_against_one_is_a_paired_difference_with_a_test_by_subject(call, tmp_path):
    """The second is right in 12 more rows of 100 and wrong in 2 that the first had."""
    first = write_evaluation(tmp_path / "a", [True] * 80 + [False] * 20)
    second = write_evaluation(tmp_path / "b", [False] * 2 + [True] * 90 + [False] * 8)
    out = call(recipe, first, second, "--output", "out.json")
    result = json.loads((tmp_path / "out.json").read_text())
    assert result["difference"] == pytest.approx(0.10)
    assert result["p"] == pytest.approx(mcnemar_mid_p(1, 6))  # both rows of 7 of the 50 subjects differ
    assert result["interval"] == pytest.approx([0.0, 0.2], abs=0.03)  # 0.10 ± 1.96 × 0.051, over 50 subjects
    assert [row["task_id"] for row in result["changed"]] == ["t0", "t1", *(f"t{i}" for i in range(80, 92))]
    assert "accuracy 0.8000" in out and "accuracy 0.9000" in out and "changed    14 of 100 rows" in out
    assert "t0: a -> b (truth: a)" in out
    assert "verdict    Too few rows to tell whether the second does better than the first" in out


def test_the_evaluation_of_a_model_that_is_no_folder_is_found_where_eval_writes_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, split in (("tiny", "test"), ("org/model", "validation")):
        folder = name_folder(name, split)
        run = write_evaluation(folder.parent, [True] * 4, split=split, name=folder.name)
        assert read_evaluation(name, split).folder == read_evaluation(run, split).folder == folder


def test_several_seeds_have_a_mean_a_spread_and_a_test_of_their_means(tmp_path):
    draw = np.random.default_rng(0)
    sides = []
    for name, chance in (("a", 0.6), ("b", 0.9)):
        folders = [write_evaluation(tmp_path / f"{name}{i}", draw.random(200) < chance) for i in range(3)]
        sides.append([read_evaluation(folder, "test") for folder in folders])
    result = compare(*sides)
    assert result["first"]["sd"] == pytest.approx(np.std(result["first"]["values"], ddof=1))
    assert result["interval"][0] < result["difference"] < result["interval"][1]
    assert result["difference"] == pytest.approx(0.3, abs=0.06)
    assert result["p"] < 0.01 and result["p_seeds"] < 0.01
    same = compare(sides[0], sides[0])
    assert (same["difference"], same["changed"]) == (0.0, [])
    assert same["p"] > 0.5


def test_what_cannot_be_compared_is_refused_in_one_sentence(call, tmp_path):
    first = write_evaluation(tmp_path / "a", [True] * 4)
    others = {
        "the same data": write_evaluation(tmp_path / "b", [True] * 4, data="other"),
        "nowhere: expected the folder of a run or of an evaluation, found no such folder": tmp_path / "nowhere",
        "expected an evaluation of the test split": tmp_path,
        "found one of validation": write_evaluation(tmp_path / "c", [True] * 4, split="validation"),
        "the same rows": write_evaluation(tmp_path / "d", [True] * 3),
    }
    for sentence, folder in others.items():
        with pytest.raises(SystemExit) as end:
            call(recipe, first, folder)
        assert sentence in str(end.value)


def write_ages(folder, answered):
    """Ages 40, 41, ..., one a subject."""
    path = write_evaluation(folder, [True] * len(answered), task="regression") / "eval"
    lines = [
        {"task_id": f"t{i}", "subject_id": f"s{i}", "prediction": "x", "answer": "a"}
        | {"parsed_number": number, "expected_number": 40 + i}
        for i, number in enumerate(answered)
    ]
    (path / "predictions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def test_a_number_that_cannot_be_read_is_scored_as_eval_scores_it(call, tmp_path):
    """Ages 40 to 47: off by 2 in the first run; right in the second but for one unread answer to 41, 6 from 47."""
    first = write_ages(tmp_path / "a", [42 + i for i in range(8)])
    second = write_ages(tmp_path / "b", [None if i == 1 else 40 + i for i in range(8)])
    out = call(recipe, first, second, "--output", "out.json")
    result = json.loads((tmp_path / "out.json").read_text())
    assert (result["first"]["mean"], result["second"]["mean"]) == (2.0, 6 / 8)
    read = [json.loads(line) for line in (second / "eval/predictions.jsonl").read_text().splitlines()]
    by_eval = regression_metrics([r["parsed_number"] for r in read], [r["expected_number"] for r in read])
    assert result["second"]["mean"] == by_eval["mae"]
    assert result["difference"] == -1.25 and result["interval"][0] < -1.25 < result["interval"][1]
    assert "mean absolute error 2.0000" in out and "t1: 43 -> None (truth: 41)" in out


def test_two_runs_that_answer_alike_are_as_good_only_where_the_rows_show_it(tmp_path):
    for n_rows, verdict in ((8, "cannot tell"), (100, "as well")):
        folder = tmp_path / str(n_rows)
        sides = [
            [read_evaluation(write_evaluation(folder / name, [True] * n_rows), "test")] for name in ("first", "second")
        ]
        result = compare(*sides)
        assert (result["verdict"], result["p"]) == (verdict, 1.0)
        assert ("as well as the first, within 10 points" in result["sentence"]) == (n_rows == 100)


def test_no_number_of_subjects_is_named_where_the_spread_between_seeds_decides(tmp_path):
    """Each seed of the second is right in all rows or in few: 80 subjects would be enough for the mean of them."""
    sides = []
    for name, shares in (("a", (0.55, 0.6, 0.65)), ("b", (0.2, 1.0, 1.0))):
        right = [[row % 20 < 20 * share for row in range(80)] for share in shares]
        folders = [write_evaluation(tmp_path / f"{name}{i}", hits) for i, hits in enumerate(right)]
        sides.append([read_evaluation(folder, "test") for folder in folders])
    result = compare(*sides)
    assert result["verdict"] == "cannot tell" and "subjects instead of" not in result["sentence"]
    assert result["sentence"].startswith("Too few rows or seeds to tell whether the second does better than the first")
    one = compare(sides[0][:1], sides[0][1:2])
    assert one["sentence"].startswith("Too few rows to tell") and "subjects instead of" in one["sentence"]


def test_no_difference_has_no_minus(call, tmp_path):
    """A mean absolute error is better where it is less: its difference is turned, and so would be the sign of 0."""
    first = write_ages(tmp_path / "a", [42 + i for i in range(8)])
    out = call(recipe, first, write_ages(tmp_path / "b", [42 + i for i in range(8)]), "--output", "out.json")
    assert "difference +0.0000" in out and "-0.0000 " not in out.split("95 %")[0]
    assert str(json.loads((tmp_path / "out.json").read_text())["difference"]) == "0.0"


def test_rows_that_do_not_state_their_subject_are_told_of(call, tmp_path):
    first, second = (write_evaluation(tmp_path / name, [True] * 8) for name in "ab")
    assert "do not state" not in call(recipe, first, second)
    for folder in (first, second):
        file = folder / "eval/predictions.jsonl"
        file.write_text(file.read_text().replace('"s0"', "null"))
    assert "2 of 8 rows do not state whom they are about" in call(recipe, first, second)
