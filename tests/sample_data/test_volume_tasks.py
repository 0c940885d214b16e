"""The lesion and the activation task: answers true to the voxels, and nothing else by which they could be told."""

import json
import re
from collections import Counter
from dataclasses import replace

import generate_activation_conversations as activation
import generate_lesion_conversations as lesion
import nibabel as nib
import numpy as np
import pytest
from phantoms import share_in_ball, to_world_mm


@pytest.fixture(scope="module")
def lesions():
    """200 subjects as they are planned, no scan made: conversations, scans."""
    return lesion.plan_split("train", 1, 200, seed=0)


@pytest.fixture
def other_labels(monkeypatch):
    """A generator draws its labels, and all that follows from them, by another seed; heads and acquisitions not."""
    real = np.random.default_rng

    def draw(seed):
        return real([seed[0] + 1, *seed[1:]] if len(seed) == 3 and seed[2] == 1 else seed)

    monkeypatch.setattr(np.random, "default_rng", draw)


def labels_of(records, task):
    return Counter(r["metadata"]["subject_label"] for r in records if r["metadata"]["task"] == task)


def answer_of(record):
    return record["conversations"][-1]["content"][0]["text"]


def read_series(folder, path):
    """RAS+ voxels as float64, and the (X, Y, Z, 3) places of their centres in mm."""
    image = nib.as_closest_canonical(nib.load(folder / path))
    places = np.stack(np.meshgrid(*map(np.arange, image.shape[:3]), indexing="ij"), axis=-1)
    return np.asarray(image.dataobj, float), nib.affines.apply_affine(image.affine, places)


# ------------------------------------------------------------------------------------------------ lesion


@pytest.mark.slow
def test_half_have_a_lesion_and_a_fourth_of_these_in_each_quarter(lesions):
    """All are asked whether there is one, those who have one also where; each wording is met."""
    records, scans = lesions
    assert labels_of(records, "lesion_presence") == {"yes": 100, "no": 100}
    assert labels_of(records, "lesion_side") == {"left": 50, "right": 50}
    assert labels_of(records, "lesion_level") == {"lower": 50, "upper": 50}
    answers = {(r["metadata"]["subject_id"], r["metadata"]["task"]): r["metadata"]["subject_label"] for r in records}
    places = Counter()
    for subject in {subject for subject, task in answers if task == "lesion_side"}:
        assert answers[subject, "lesion_presence"] == "yes"
        places[answers[subject, "lesion_side"], answers[subject, "lesion_level"]] += 1
    assert sorted(places.values()) == [25] * 4
    assert len(scans) == 200 and sum(scan.lesion is not None for scan in scans) == 100
    for task, wordings in lesion.QUESTIONS.items():
        of_task = [r for r in records if r["task_type"] == task]
        assert {r["conversations"][0]["content"][-1]["text"] for r in of_task} == set(wordings)
        assert {answer_of(r) for r in of_task} == {f"Answer: {label}" for label in labels_of(of_task, task)}


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.nightly) for seed in (1, 2))])
def test_the_middle_axial_slice_cuts_the_lesion_in_less_than_15_percent_of_the_rows(seed):
    """Of the default test split, and of those among its rows and the training's that ask where the lesion is: what a
    slice can tell is little, not nothing."""
    test, train = (lesion.plan_split(*split, seed)[0] for split in (("test", 1101, 100), ("train", 1, 400)))
    where = [r for r in test + train if r["task_type"] == "lesion_side"]
    assert len(where) == 250
    for rows in (test, train, where):
        assert 0 < sum(r["metadata"].get("lesion_in_middle_slice", False) for r in rows) < 0.15 * len(rows)


def test_a_lesion_changes_its_own_voxels_alone_and_the_middle_slice_where_the_metadata_say_so(lesions):
    """The same scan with and without it; the middle one of 30 slices is number 15, as the view "axial" takes it."""
    records, scans = lesions
    truth_of = {r["images"][0]["path"]: r["metadata"] for r in records if r["task_type"] == "lesion_side"}
    with_lesion = [scan for scan in scans if scan.lesion]
    cut = [scan for scan in with_lesion if truth_of[scan.path]["lesion_in_middle_slice"]]
    for scan in [*with_lesion[:12], *cut]:
        differs = scan.make() != replace(scan, lesion=None).make()
        share = share_in_ball(scan.lesion, scan.acquisition, scan.protocol)
        assert differs.any() and not differs[share == 0].any()
        assert (share[..., scan.protocol.shape[2] // 2] > 0).any() == (scan in cut)


@pytest.mark.slow
def test_side_and_level_are_those_of_the_written_scan(volume_data):
    """The middle of what the lesion changes in the file's world, and the brightest place of the brain there."""
    folder = volume_data["lesion"]
    scan_of = {}
    for number, (split, first) in enumerate((("train", 1), ("validation", 5), ("test", 9))):
        assert number * 4 + 1 == first
        scan_of |= {scan.path: scan for scan in lesion.plan_split(split, first, 4, seed=0)[1]}
    seen = Counter()
    for path in sorted(folder.glob("t*/*.json")) + sorted(folder.glob("validation/*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        metadata, scan = record["metadata"], scan_of[record["images"][0]["path"]]
        voxels, places = read_series(folder, scan.path)
        change = voxels - replace(scan, lesion=None).make()
        if metadata["task"] == "lesion_presence":
            assert (answer_of(record) == "Answer: yes") == bool(change.any())
            continue
        middle = np.average(places, axis=(0, 1, 2), weights=np.repeat(np.abs(change)[..., None], 3, axis=-1))
        assert middle == pytest.approx(metadata["lesion_centre_mm"], abs=2.0)
        axis, names = {"lesion_side": (0, lesion.SIDES), "lesion_level": (2, lesion.LEVELS)}[metadata["task"]]
        assert answer_of(record) == f"Answer: {names[int(middle[axis] > 0)]}"
        seen[metadata["task"]] += 1
    assert seen == {"lesion_side": 6, "lesion_level": 6}


def test_a_lesion_stays_clear_of_the_midline_and_within_the_brain(lesions):
    for scan in (scan for scan in lesions[1] if scan.lesion):
        x = to_world_mm(scan.lesion.centre_mm, scan.acquisition)[0]
        assert abs(x) > scan.lesion.radius_mm + lesion.FROM_MIDLINE_MM
        # A brain is an ellipsoid here: no place of the ball's surface lies beyond it.
        axes = np.array(scan.anatomy.semi_axes_mm) - sum(
            (scan.anatomy.scalp_mm, scan.anatomy.skull_mm, scan.anatomy.csf_mm)
        )
        directions = np.random.default_rng(0).standard_normal((200, 3))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        surface = np.array(scan.lesion.centre_mm) + scan.lesion.radius_mm * directions
        assert (np.sum((surface / axes) ** 2, axis=1) < 1).all()


@pytest.mark.slow
@pytest.mark.parametrize("generator", [lesion, activation])
def test_heads_and_acquisitions_do_not_depend_on_the_labels(generator, request):
    """Other labels: the same heads, acquisitions, files and noise. So nothing of these can tell of a label."""
    records, scans = generator.plan_split("train", 1, 60, seed=3)
    request.getfixturevalue("other_labels")
    other_records, other_scans = generator.plan_split("train", 1, 60, seed=3)
    for one, other in zip(scans, other_scans, strict=True):
        assert (one.path, one.anatomy, one.acquisition, one.protocol) == (
            other.path,
            other.anatomy,
            other.acquisition,
            other.protocol,
        )
    first = records[0]["task_type"]  # the question that all are asked
    truths, others = (
        {r["metadata"]["subject_id"]: answer_of(r) for r in of_run if r["task_type"] == first}
        for of_run in (records, other_records)
    )
    assert truths.keys() == others.keys() and truths != others


# ------------------------------------------------------------------------------------------------ activation


def test_each_answer_is_a_third():
    records, scans = activation.plan_split("train", 1, 90, seed=0)
    assert labels_of(records, "activation") == dict.fromkeys(activation.LABELS, 30)
    assert len(scans) == 90 == len({scan.path for scan in scans})
    assert {r["conversations"][0]["content"][-1]["text"] for r in records} == set(activation.QUESTIONS)
    for record in records:
        assert answer_of(record) == f"Answer: {record['metadata']['subject_label']}"


def test_whatever_the_label_each_voxel_takes_the_same_values_over_time():
    """So mean and variance over time are equal, exactly, and so is every statistic that forgets the order."""
    _, scans = activation.plan_split("train", 1, 4, seed=0)
    draw = np.random.default_rng(7)
    for scan in scans:
        series = [replace(scan, orders=activation.draw_orders(draw, label)).make() for label in activation.LABELS]
        assert not np.array_equal(series[0], series[1]) and not np.array_equal(series[1], series[2])
        for other in series[1:]:
            np.testing.assert_array_equal(np.sort(series[0], axis=-1), np.sort(other, axis=-1))


def test_no_voxel_belongs_to_both_regions():
    """One that did would be put into order twice, and its values would tell of both orders."""
    for scan in activation.plan_split("train", 1, 200, seed=0)[1]:
        shares = [share_in_ball(region, scan.acquisition, scan.protocol) for region in activation.REGIONS.values()]
        assert not ((shares[0] > 0) & (shares[1] > 0)).any()


def test_the_region_of_the_answer_follows_the_blocks_and_no_other_does(volume_data):
    """The mean over each half of the written head: its correlation with the design is 1 or 0."""
    folder, seen = volume_data["activation"], set()
    for path in sorted(folder.glob("*/*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        label, design = record["metadata"]["subject_label"], record["metadata"]["design"]
        voxels, places = read_series(folder, record["images"][0]["path"])
        assert voxels.shape[3] == len(design) == 16
        for side, sign in (("left", -1), ("right", 1)):
            course = voxels[places[..., 0] * sign > 0].mean(axis=0)
            assert np.corrcoef(course, design)[0, 1] == pytest.approx(float(side == label), abs=0.05)
        seen.add(label)
    assert seen == set(activation.LABELS)


def test_the_courses_of_a_label_agree_in_half_of_the_frames_or_are_the_same():
    """So in an order of the frames that is drawn at random the two regions look alike whatever the label."""
    draw, design = np.random.default_rng(0), activation.DESIGN
    for label in activation.LABELS * 20:
        left, right = (design[list(order)] for order in activation.draw_orders(draw, label))
        agreements = [np.sum(left == design), np.sum(right == design), np.sum(left == right)]
        expected = {"left": [16, 8, 8], "right": [8, 16, 8], "neither": [8, 8, 8]}[label]
        assert agreements == expected
        assert left.sum() == right.sum() == design.sum() == 8


def test_every_question_of_a_task_says_the_labels_or_asks_for_yes_or_no():
    """The words of the answers stand in the questions, all or none: none leads."""
    for labels, wordings in (
        (lesion.SIDES, lesion.QUESTIONS["lesion_side"]),
        (lesion.LEVELS, lesion.QUESTIONS["lesion_level"]),
        (activation.LABELS, activation.QUESTIONS),
    ):
        for wording in wordings:
            named = set(labels) & set(re.findall(r"\w+", wording.lower()))
            assert named in (set(), set(labels))
