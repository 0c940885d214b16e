"""Volumes mirrored and frames put into another order: who is asked, and what the answers say of a model."""

import numpy as np
import pytest
from datasets import Dataset, concatenate_datasets
from scipy.stats import binomtest
from volume_rows import write_series_folder

from umbrella.evaluation.control_scores import compare_labels
from umbrella.evaluation.controls import Control, build_controls
from umbrella.evaluation.sides import count_turns, find_other_side
from umbrella.evaluation.verdicts import judge_mirrored
from umbrella.views.settings import ViewSettings
from umbrella_dataset import load_umbrella

LABELS = ("left", "neither", "right")
FRAMES = ["frames_shuffled", "frames_reversed", "frame_repeated"]
TRUTH = ["left", "right", "neither", "left", "right"] * 20
TURNED = {"left": "right", "right": "left", "neither": "neither"}
SUBJECTS = [f"s{i}" for i in range(len(TRUTH))]


@pytest.fixture(scope="module")
def still(small_data):
    """8 rows of two 3-D scans each."""
    return load_umbrella(str(small_data), split="test")


@pytest.fixture(scope="module")
def moving(tmp_path_factory):
    """4 rows of a series of 6 volumes each."""
    folder = write_series_folder(tmp_path_factory.mktemp("series"), {"test": 4})
    return load_umbrella(str(folder), split="test")


def names(rows, shown, most=500):
    return [control.name for control in build_controls(rows, 0, most, shown) if control.change not in (None, "blank")]


# ------------------------------------------------------------------------------------------------ who is asked


@pytest.mark.parametrize(
    ("shown", "of_still", "of_moving"),
    [
        (None, [], []),
        (ViewSettings(view="axial"), [], []),
        (ViewSettings(view="triplanar"), [], []),
        (ViewSettings(view="volume"), ["mirrored"], ["mirrored"]),
        (ViewSettings(view="volume", frames="1"), ["mirrored"], ["mirrored"]),
        (ViewSettings(view="volume", frames="4"), ["mirrored"], ["mirrored", *FRAMES]),
        (ViewSettings(view="volume", frames="window:4"), ["mirrored"], ["mirrored", *FRAMES]),
    ],
)
def test_a_control_is_there_where_the_model_is_shown_what_it_changes(shown, of_still, of_moving, still, moving):
    """Volumes can be mirrored, the frames of series put into another order where several are shown."""
    assert (names(still, shown), names(moving, shown)) == (of_still, of_moving)


def test_of_mixed_rows_those_with_a_series_are_asked_about_frames(still, moving):
    rows = concatenate_datasets([still, moving])
    shown = ViewSettings(view="volume", frames="4")
    controls = {control.name: control for control in build_controls(rows, 0, 500, shown)}
    assert controls["mirrored"].indices == list(range(12))
    for name in FRAMES:
        control = controls[name]
        assert (control.change, control.indices, control.donors) == (name, [8, 9, 10, 11], None)
        assert control.rows["images"] == rows["images"][8:]  # the scans are the rows' own
    assert max(len(control.rows) for control in build_controls(rows, 0, 3, shown)) == 3


# ------------------------------------------------------------------------------------------------ sides


@pytest.mark.parametrize(
    ("label", "labels", "other"),
    [
        ("left", LABELS, "right"),
        ("right", LABELS, "left"),
        ("neither", LABELS, None),
        (None, LABELS, None),
        ("L", ("L", "R"), "R"),
        ("Left hemisphere", ("right hemisphere", "Left hemisphere"), "right hemisphere"),
        ("left and right", ("left and right", "left", "right"), None),
        ("left", ("left", "upper"), None),  # the other side is no answer of this task
        ("leftover", ("leftover", "rightover"), None),  # a side is a whole word
        ("bright", ("bright", "bleft"), None),
    ],
)
def test_the_other_side_of_a_label_is_a_label_with_left_and_right_exchanged(label, labels, other):
    assert find_other_side(label, labels) == other


def answer_at_random(seed):
    return list(np.random.default_rng(seed).choice(["left", "right"], len(TRUTH)))


@pytest.mark.parametrize(
    ("before", "after", "share", "stays", "verdict", "start"),
    [
        (TRUTH, [TURNED[label] for label in TRUTH], 1.0, 1.0, "turn", "Sides are taken from the scans: "),
        (TRUTH, TRUTH, 0.0, 1.0, "stay", "Sides are not taken from the scans: "),
        (["left"] * 100, ["left"] * 100, 0.0, None, "stay", "Sides are not taken from the scans: "),
        (TRUTH, ["neither"] * 100, 0.0, 1.0, "stay", "Sides are not taken from the scans: "),
        (answer_at_random(0), answer_at_random(1), None, None, "cannot tell", "Too few rows to tell whether sides"),
    ],
    ids=["perfect", "deaf", "constant", "no side of the mirror image", "random"],
)
def test_one_that_takes_the_side_from_the_scan_is_told_from_others(before, after, share, stays, verdict, start):
    turns = count_turns(before, after, LABELS, SUBJECTS)
    sides = [i for i, label in enumerate(before) if label != "neither"]
    if share is None:
        share = sum(before[i] != after[i] for i in sides) / len(sides)
        assert 0.4 < share < 0.6
    assert (turns["sides"]["share"], turns["sides"]["n"]) == (share, len(sides))
    assert ("others" in turns) == (stays is not None)
    judged = judge_mirrored(turns)["sides"]
    assert judged["verdict"] == verdict and judged["sentence"].startswith(start)
    assert f"{100 * share:.1f} % of the answers that name a side name the other one" in judged["sentence"]
    assert f"{len(sides)} rows of {len(sides)} subjects" in judged["sentence"]
    if stays is not None:
        assert turns["others"]["share"] == stays
        assert "Of the other answers 100.0 % stay (20 rows of 20 subjects)." in judged["sentence"]


def test_a_verdict_on_sides_is_wilsons_interval_beside_one_half():
    """One row a subject, any number of turned answers: never more is said than scipy's interval shows."""
    for n in (1, 2, 5, 6, 7, 12, 40):
        for n_turned in range(n + 1):
            after = ["right"] * n_turned + ["left"] * (n - n_turned)
            turns = count_turns(["left"] * n, after, LABELS, SUBJECTS[:n])
            low, high = binomtest(n_turned, n).proportion_ci(method="wilson")
            expected = "turn" if low > 0.5 else "stay" if high < 0.5 else "cannot tell"
            verdict = judge_mirrored(turns)["sides"]
            assert verdict["verdict"] == (expected if n > 1 else "cannot tell"), (n, n_turned)
            if n > 1:
                assert turns["sides"]["interval"] == pytest.approx((low, high))


def test_the_number_of_subjects_that_is_named_would_tell_of_sides():
    """Four of five turn: too few; as many as are named, at the same share, are enough."""
    before, after = ["left"] * 5, ["right"] * 4 + ["left"]
    turns = count_turns(before, after, LABELS, SUBJECTS[:5])
    assert judge_mirrored(turns)["sides"]["verdict"] == "cannot tell"
    needed = turns["sides"]["needed"]
    assert f"About {needed} subjects instead of 5 would" in judge_mirrored(turns)["sides"]["sentence"]
    n = -(-needed // 5)
    many = count_turns(before * n, after * n, LABELS, [f"s{i}" for i in range(5 * n)])
    assert judge_mirrored(many)["sides"]["verdict"] == "turn"


def test_one_subject_tells_nothing_of_sides_and_labels_without_sides_have_no_verdict():
    turns = count_turns(["left"] * 50, ["right"] * 50, LABELS, ["s"] * 50)
    assert judge_mirrored(turns)["sides"]["verdict"] == "cannot tell"
    assert judge_mirrored(count_turns(["yes", "no"], ["yes", "yes"], ("yes", "no"), ["a", "b"])) == {}


# ------------------------------------------------------------------------------------------------ the whole


def ask(answer):
    """What an answerer says of the rows as they are and under each control of volumes → verdicts, controls."""
    records = [{"parsed_label": answer(truth, None), "expected_label": truth} for truth in TRUTH]
    rows = Dataset.from_dict({"n": list(range(len(TRUTH)))})
    exchanged = {
        change: (
            Control(change, change, rows, list(range(len(TRUTH))), change=change),
            [{"parsed_label": answer(truth, change)} for truth in TRUTH],
        )
        for change in ("mirrored", *FRAMES)
    }
    found = compare_labels(records, exchanged, SUBJECTS)
    return {key: verdict["verdict"] for key, verdict in found["verdicts"].items()}, found


def test_one_that_follows_the_course_of_the_frames_is_told_from_one_that_looks_at_a_frame():
    def follows(truth, change):
        return TURNED[truth] if change == "mirrored" else "neither" if change in FRAMES else truth

    def looks_at_one_frame(truth, change):
        return TURNED[truth] if change == "mirrored" else truth

    def says_always_left(truth, change):
        return "left"

    verdicts, found = ask(follows)
    assert verdicts == {"order": "uses", "course": "uses", "sides": "turn"}
    assert found["controls"]["mirrored"]["turns"]["sides"]["share"] == 1.0
    assert (found["accuracy_mirrored"], found["accuracy_frames_shuffled"]) == (0.2, 0.2)
    assert found["verdicts"]["order"]["sentence"].startswith(
        "The model uses the order of the frames: changing it changes 80.0 % of the answers"
    )
    assert found["verdicts"]["course"]["sentence"].startswith(
        "The model uses what changes from frame to frame: taking it away changes 80.0 % of the answers"
    )
    assert "turns" not in found["controls"]["frames_shuffled"]
    assert ask(looks_at_one_frame)[0] == {"order": "ignores", "course": "ignores", "sides": "turn"}
    assert ask(says_always_left)[0] == {"order": "ignores", "course": "ignores", "sides": "stay"}


def test_a_rhythm_that_looks_the_same_backwards_is_no_order_that_is_not_used():
    """Frames in another order are a loss, reversed ones none: by the first of the two the order is used."""
    verdicts, _ = ask(lambda truth, change: "neither" if change == "frames_shuffled" else truth)
    assert verdicts["order"] == "uses"
