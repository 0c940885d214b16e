"""Controls exchange what they say and nothing else, and know whose scan they show."""

import json
from types import SimpleNamespace

import pytest
from datasets import Dataset
from generate_longitudinal_change_conversations import plan_split

from umbrella.cohort.questions.writer import write_conversations
from umbrella.evaluation.controls import build_controls, swap_references, swap_subjects
from umbrella.evaluation.donors import draw_givers, read_scan_sets
from umbrella_dataset import load_umbrella


@pytest.fixture(scope="module")
def rows(small_data):
    """8 rows of 4 subjects, each with a reference scan and the subject's."""
    return load_umbrella(str(small_data), split="test")


@pytest.fixture(scope="module")
def by_name(rows):
    return {control.name: control for control in build_controls(rows, seed=0, most_rows=500)}


@pytest.fixture(scope="module")
def longitudinal(tmp_path_factory):
    """16 rows of 8 subjects; the scans that they name are never read."""
    folder = tmp_path_factory.mktemp("longitudinal")
    records, _ = plan_split("test", 1, 8, seed=0)
    write_conversations(records, folder / "test")
    return load_umbrella(str(folder), split="test")


def facts(rows):
    """A row's parts, by who is on the scans."""
    label_of = {entry["subject_id"]: entry["subject_label"] for entry in rows["metadata"]}

    def subject(scan):
        return scan["path"].split("/")[-1].split("_")[0]

    return [
        SimpleNamespace(
            reference=subject(images[0]),
            subject=subject(images[1]),
            labels=[label_of.get(subject(scan)) for scan in images],
            text=json.dumps(turns),
            metadata=entry,
        )
        for images, turns, entry in zip(rows["images"], rows["conversations"], rows["metadata"], strict=True)
    ]


def give(rows, seed):
    return draw_givers(read_scan_sets(rows), [entry["subject_id"] for entry in rows["metadata"]], seed)


def test_givers_of_scans_are_each_row_once_and_never_of_the_same_subject(rows):
    givers, of_rows = give(rows, seed=0), facts(rows)
    assert sorted(givers) == list(range(len(rows)))
    assert all(of_rows[row].subject != of_rows[giver].subject for row, giver in enumerate(givers))
    assert give(rows, seed=0) == givers != give(rows, seed=1)


def test_each_exchange_touches_one_scan_and_keeps_or_changes_its_label(rows, by_name):
    expected = {  # control → (which scan is another's, whether its label is another)
        "subject_swapped": (1, True),
        "reference_same_label": (0, False),
        "reference_other_label": (0, True),
    }
    for name, (place, other_label) in expected.items():
        control = by_name[name]
        for before, after in zip(facts(rows.select(control.indices)), facts(control.rows), strict=True):
            who = [(before.reference, after.reference), (before.subject, after.subject)]
            assert who[1 - place][0] == who[1 - place][1], name
            assert who[place][0] != who[place][1], name
            assert after.reference != after.subject, name
            assert (before.labels[place] != after.labels[place]) == other_label, name
            assert after.text == before.text


def test_a_control_names_the_person_whose_scan_it_shows(rows, by_name):
    for name, place in (("scans_shuffled", 1), ("subject_swapped", 1), ("reference_other_label", 0)):
        control = by_name[name]
        shown = [fact.subject if place else fact.reference for fact in facts(control.rows)]
        assert control.donors == shown, name
    assert by_name["text_only"].donors is None and by_name["scans_blanked"].donors is None


def test_text_only_has_no_scan_and_every_word(rows, by_name):
    control = by_name["text_only"]
    assert control.rows["images"] == [[]] * 8
    for before, after in zip(rows["conversations"], control.rows["conversations"], strict=True):
        for turn, bare in zip(before, after, strict=True):
            assert bare["content"] == [item for item in turn["content"] if item["type"] == "text"]


def test_a_reversing_reference_lies_on_the_other_side_by_at_least_the_same_change(longitudinal):
    controls = {control.name: control for control in build_controls(longitudinal, 0, 500)}
    control = controls["reference_reversed"]
    size_of = {
        images[0]["path"]: json.loads(entry["extra"])["reference_size"]
        for images, entry in zip(longitudinal["images"], longitudinal["metadata"], strict=True)
    }
    assert 0 < len(control.rows) < len(longitudinal)
    for images, entry in zip(control.rows["images"], control.rows["metadata"], strict=True):
        extra = json.loads(entry["extra"])
        change = extra["subject_size"] - extra["reference_size"]
        assert (extra["subject_size"] - size_of[images[0]["path"]]) / change <= -1
    assert "reference_other_label" not in controls  # all references have the label "baseline"
    assert "reference_reversed" not in {c.name for c in build_controls(longitudinal.select(range(1)), 0, 500)}


def test_the_sex_task_has_no_sizes_hence_no_reversal_and_controls_n_bounds_the_rows(rows, by_name):
    assert "reference_reversed" not in by_name
    few = build_controls(rows, seed=0, most_rows=3)
    assert max(len(control.rows) for control in few) == 3
    assert len(set().union(*(control.indices for control in few))) == 3
    for control in few:  # and a row's exchange does not depend on which others are asked
        whole = by_name[control.name]
        for i, images in zip(control.indices, control.rows["images"], strict=True):
            assert images == whole.rows["images"][whole.indices.index(i)], control.name


def test_rows_without_scans_have_no_controls(rows, by_name):
    assert build_controls(by_name["text_only"].rows, 0, 500) == []
    assert swap_references(by_name["text_only"].rows, list(range(8)), 0, same_label=True) == {}


def test_labels_that_differ_by_case_alone_are_one_where_scans_are_exchanged():
    entries = [("a", "Male"), ("b", "male"), ("c", "MALE "), ("d", "female")]
    metadata = [
        {"subject_id": f"{i}", "subject_label": label, "reference_id": i, "reference_label": label}
        for i, label in entries
    ]
    images = [[{"path": f"{i}{scan}", "modality": "sMRI"} for scan in (1, 2)] for i, _ in entries]
    parts = {"subject_ids": [], "conversations": []}
    rows = Dataset.from_list(
        [{"images": scans, "metadata": entry, **parts} for scans, entry in zip(images, metadata, strict=True)]
    )
    swapped = swap_subjects(rows, [0, 1, 2], seed=0)
    assert swapped == {0: 3, 1: 3, 2: 3}
    same = swap_references(rows, [0, 1, 2, 3], seed=0, same_label=True)
    assert set(same) == {0, 1, 2} and set(same.values()) <= {0, 1, 2}


def test_shuffled_scans_are_right_by_chance_where_ids_tell_the_label():
    """100 subjects whose ids begin with their group: a lent scan is of the own group as often as drawn at random."""
    labels = ["AD"] * 50 + ["CN"] * 50
    entries = [{"subject_id": f"{label}{i:03d}"} for i, label in enumerate(labels)]
    rows = Dataset.from_list([{"images": [{"path": "x", "modality": "sMRI"}], "metadata": entry} for entry in entries])
    shares = []
    for seed in range(60):
        givers = give(rows, seed)
        assert sorted(givers) == list(range(100)) and all(i != giver for i, giver in enumerate(givers))
        shares.append(sum(labels[giver] == label for giver, label in zip(givers, labels, strict=True)) / 100)
    assert min(shares) > 0.25 and max(shares) < 0.75  # five standard deviations; a shift of sorted ids gives 0 and 1
