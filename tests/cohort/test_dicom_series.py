"""Which files are one series, and why a series is no scan: each reason, by headers alone."""

from dataclasses import replace

import pytest
from dicom_files import INSTANCE, make_instances, make_series
from hypothesis import given
from hypothesis import strategies as st
from properties import examples

from umbrella.cohort.dicom.faults import find_fault
from umbrella.cohort.dicom.instances import Series
from umbrella.cohort.dicom.patient_faults import find_patient_faults
from umbrella.cohort.dicom.rules import Rule, Unmatched, choose_rule
from umbrella.cohort.dicom.rules_file import load_rules
from umbrella.cohort.dicom.series import group_series
from umbrella.cohort.dicom.stack_faults import Shape, count_slices, find_echo_faults

T1 = Rule("t1", "anat", "T1w", (" t1 ",))
REST = Rule("rest", "func", "bold", (" rest ",), entities={"task": "rest"})
EVEN = list(range(0, 36, 3))
CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


def without(*lost, n_volumes=1):
    return [mm for t in range(n_volumes) for z, mm in enumerate(EVEN) if z not in lost and (t, z) not in lost]


def enhance(offsets_mm, **fields):
    """One file with a frame at each height."""
    positions = tuple((0.0, 0.0, float(mm)) for mm in offsets_mm)
    return make_series([0], **{"positions": positions, **fields})


def number(order, offsets_mm=EVEN * 3):
    """A series of three volumes whose InstanceNumbers are those."""
    instances = make_instances(offsets_mm)
    pairs = zip(instances, order, strict=True)
    return Series(tuple(one._replace(instance_number=n) for one, n in pairs), n_pictures=36)


def turn_last(**fields):
    """A series whose last file differs in those fields."""
    instances = make_instances()
    return Series((*instances[:-1], instances[-1]._replace(**fields)), n_pictures=12)


FAULTS = {
    "no id": [make_series(patient_id=""), make_series(patient_id="sub-")],
    "no series uid": [make_series(series_uid="")],
    "secondary capture": [
        make_series(sop_class=CAPTURE, modality="OT"),
        make_series(sop_class=f"{CAPTURE}.4"),
        turn_last(sop_class=CAPTURE),
        make_series(conversion="WSD"),
        make_series(image_type=("DERIVED", "SECONDARY")),
    ],
    "burnt-in text": [make_series(burnt_in="YES"), turn_last(burnt_in="YES"), make_series(overlay_bits=(0, 12))],
    "not MR": [make_series(modality=name) for name in ("CT", "SR", "SEG", "", "Quentina")]
    + [turn_last(modality="CT"), make_series(matrix=(0, 0))],
    "localizer": [
        make_series(image_type=("ORIGINAL", "PRIMARY", "LOCALIZER")),
        turn_last(orientation=(0.0, 1.0, 0.0, 0.0, 0.0, -1.0)),
        enhance(EVEN, n_orientations=3),
    ],
    "derived": [make_series(image_type=("DERIVED", "PRIMARY", "MPR"))],
    "not a magnitude": [make_series(part=part) for part in "PRI"],
    "no positions": [
        make_series(positions=()),
        turn_last(positions=()),
        turn_last(orientation=()),
        turn_last(pixel_mm=()),
        enhance([]),
    ],
    "too few slices": [make_series([0]), make_series([0, 3]), make_series([0, 3] * 40), enhance([0, 3])],
    "missing slices": [
        make_series(without(5)),
        make_series(without(3, 4, 8)),
        enhance(without(5)),
        make_series(without(5, n_volumes=3)),
        make_series(without(11), n_stated=12),
    ],
    "uneven slices": [
        make_series([mm + 1.1 * (mm > 15) for mm in EVEN]),
        turn_last(matrix=(40, 32)),
        turn_last(pixel_mm=(2.0, 1.6)),
        turn_last(positions=((5.0, -20.0, 33.0),)),
    ],
    "incomplete volume": [make_series(without((2, 5), n_volumes=3)), enhance(without((1, 11), n_volumes=2))],
    "no order": [
        number([0] * 36),
        number(list(range(12)) * 3),
        number(
            [36 * t + (z % 2 * 6 + z // 2) for t in range(3) for z in range(12)]
        ),  # interleaved, as they were taken
        number([n * 7 % 36 + n * 7 // 36 for n in range(36)]),
    ],
    "several volumes": [make_series(EVEN * 2), enhance(EVEN * 2), make_series([0, 0], mosaic=30)],
}
CASES = [(reason, number) for reason, some in FAULTS.items() for number in range(len(some))]


@pytest.mark.parametrize(("reason", "number"), CASES)
def test_each_fault_has_its_reason_and_a_sentence_without_a_word_of_the_patient(reason, number):
    series = FAULTS[reason][number]
    found, sentence = find_fault(series, REST if reason == "no order" else T1)
    assert found == reason and sentence.startswith("expected ") and "found" in sentence
    if reason != "several volumes":
        assert find_fault(series, REST)[0] == reason
    for word in (
        *INSTANCE.identifiers,
        INSTANCE.patient_id,
        INSTANCE.birth_date,
        "Quentina",
        "mprage",
        "IM00",
        "2.25.",
    ):
        assert word.lower() not in sentence.lower()


@pytest.mark.parametrize(
    ("series", "said"),
    [
        (
            make_series(without(5)),
            "expected slices 3 mm apart, found a step of 6 mm after slice 5: 1 of 12 is missing. Export it again from "
            "the archive",
        ),
        (
            make_series(without(3, 4, 8)),
            "expected slices 3 mm apart, found steps of 9 mm after slice 3, 6 mm after slice 6: 3 of 12 are missing. "
            "Export it again from the archive",
        ),
        (
            make_series(without(11), n_stated=12),
            "expected 12 pictures, as ImagesInAcquisition (0020,1002) states, found 11. Export it again from the "
            "archive",
        ),
        (
            make_series(without((2, 5), n_volumes=3)),
            "expected each slice in all of 3 volumes, found 1 of 12 slices in fewer, as 2. Export it again from the "
            "archive",
        ),
        (make_series(modality="CT"), "expected Modality MR (0008,0060), found CT"),
        (
            turn_last(matrix=(40, 32)),
            "expected pictures of one size, found 20 × 16 (11), 40 × 32 (1). Export it again",
        ),
    ],
)
def test_the_sentence_says_what_was_expected_and_what_was_found(series, said):
    assert find_fault(series, T1)[1].startswith(said)


@pytest.mark.parametrize(
    ("series", "rule", "shape"),
    [
        (make_series(), T1, Shape(12, 1)),
        (enhance(EVEN), T1, Shape(12, 1)),
        (make_series(EVEN * 5), REST, Shape(12, 5)),
        (
            number([3 * z + t for t in range(3) for z in range(12)]),
            REST,
            Shape(12, 3),
        ),  # all of a slice, then the next
        (number([12 * t + 11 - z for t in range(3) for z in range(12)]), REST, Shape(12, 3)),
        (number([99 * t + z for t in range(3) for z in range(12)]), REST, Shape(12, 3)),
        (make_series([0] * 7, mosaic=30), REST, Shape(30, 7)),
        (make_series([0] * 7, mosaic=-1), REST, None),
        (make_series(n_stated=12), T1, Shape(12, 1)),
        (make_series(EVEN * 2, n_stated=12), REST, Shape(12, 2)),  # stated of one acquisition
        (make_series(overlay_bits=(0,)), T1, Shape(12, 1)),  # beside the voxels, not in them
        (make_series(burnt_in="NO"), T1, Shape(12, 1)),
        (make_series(image_type=("DERIVED", "SECONDARY")), replace(T1, derived=True), Shape(12, 1)),
        (make_series(part="P"), replace(T1, entities={"part": "phase"}), Shape(12, 1)),
    ],
)
def test_a_scan_has_no_fault_and_its_slices_are_counted(series, rule, shape):
    assert find_fault(series, rule) is None
    assert count_slices(series) == shape


def test_what_no_rule_names_is_told_after_what_is_no_picture_and_before_what_is_missing():
    rules = load_rules()
    scout = make_series(without(5), description="scout")
    assert find_fault(scout)[0] == "missing slices"
    assert find_fault(scout, choose_rule(scout, rules))[0] == "ignored by the rules"
    assert find_fault(make_series(modality="CT"), Unmatched("no rule", "expected"))[0] == "not MR"
    assert find_fault(make_series(without(5)), choose_rule(make_series(), rules))[0] == "missing slices"


def test_echoes_and_parts_of_one_uid_are_series_of_their_own():
    kinds = [("1", "M"), ("2", "M"), ("1", "P"), ("2", "P")]
    piles = [make_instances(echo=echo, part=part) for echo, part in kinds]
    found = group_series([one for pile in piles for one in pile])
    assert sorted((series.first.echo, series.first.part) for series in found) == sorted(kinds)
    assert {len(series.instances) for series in found} == {12} and {series.n_pictures for series in found} == {48}


@pytest.mark.parametrize(("spacing", "reason"), [(0.0, None), (3.0, None), (1.5, "missing slices"), (2.2, None)])
def test_slices_that_are_missing_everywhere_are_found_by_the_spacing_that_is_stated(spacing, reason):
    fault = find_fault(make_series(spacing=spacing), T1)
    assert (fault and fault.reason) == reason


@pytest.mark.parametrize("n", (2, 3, 12))
def test_an_echo_without_slices_that_another_has_is_no_volume(n):
    instances = [one._replace(echo=str(i % n)) for i, one in enumerate(make_instances())]
    found = group_series(instances)
    assert {fault.reason for fault in find_echo_faults(found).values()} == {"missing slices"}
    assert len(find_echo_faults(found)) == len(found) == n
    whole = make_instances(echo="A")  # goes after the others
    assert set(find_echo_faults(group_series(instances + whole))) == set(range(n))
    assert find_echo_faults(group_series(whole + make_instances(echo="B"))) == {}


def test_the_pictures_stated_are_those_of_all_echoes():
    instances = [one for echo in "12" for one in make_instances(echo=echo, n_stated=24)]
    assert [find_fault(series, T1) for series in group_series(instances)] == [None, None]
    assert {find_fault(series, T1)[0] for series in group_series(instances[:-1])} == {"missing slices"}


def test_of_files_with_one_uid_the_largest_is_kept_and_counted_once():
    first = make_instances()
    again = [one._replace(path=f"copy/{one.path}") for one in first]
    cut = [one._replace(path=f"a/{one.path}", size=10) for one in first]
    [series] = group_series(cut + again + first)
    assert series == Series(tuple(sorted(first, key=lambda one: one.sop_uid)), n_duplicates=24, n_pictures=12)


def test_pictures_that_an_export_gave_one_uid_are_no_copies():
    first = [one._replace(sop_uid="2.25.7") for one in make_instances()]
    [series] = group_series(first + [one._replace(path=f"copy/{one.path}") for one in first])
    assert (len(series.instances), series.n_duplicates, find_fault(series, T1)) == (12, 12, None)
    twice = [one._replace(instance_number=one.instance_number + 12) for one in first]
    [series] = group_series(first + twice)
    assert (len(series.instances), find_fault(series, T1)[0]) == (24, "several volumes")


def test_files_without_a_series_uid_are_apart_by_patient():
    instances = [one for patient in "AB" for one in make_instances(series_uid="", patient_id=patient)]
    found = group_series(instances)
    assert [len(series.instances) for series in found] == [12, 12]
    assert {find_fault(series, T1)[0] for series in found} == {"no series uid"}


PILES = st.lists(
    st.tuples(st.sampled_from(sorted(FAULTS)), st.integers(0, 6), st.sampled_from("AB"), st.integers(0, 2)),
    max_size=6,
)


@examples(40)
@given(PILES, st.randoms(use_true_random=False))
def test_of_a_random_pile_each_file_is_in_one_series_and_each_fault_is_found(pile, draw):
    instances, planned = [], {}
    for number, (reason, which, patient, n_copies) in enumerate(pile):
        if reason in ("no id", "no series uid", "no order", "several volumes"):
            reason, series = None, make_series()
        else:
            series = FAULTS[reason][which % len(FAULTS[reason])]
        own = [
            one._replace(series_uid=f"2.25.{number}", study_uid=patient, patient_id=patient, sop_uid=f"{number}.{k}")
            for k, one in enumerate(series.instances)
        ]
        copies = [one._replace(path=f"copy{n}/{one.path}") for n in range(n_copies) for one in own]
        instances += own + copies
        planned[f"2.25.{number}"] = (reason, len(own), len(copies))
    draw.shuffle(instances)
    found = group_series(instances)
    assert find_patient_faults(found) == {}
    assert sum(len(series.instances) + series.n_duplicates for series in found) == len(instances)
    assert [series.first.series_uid for series in found] == sorted(planned)
    for series in found:
        fault = find_fault(series, T1)
        assert (fault and fault[0], len(series.instances), series.n_duplicates) == planned[series.first.series_uid]


def find_reasons(*piles):
    """Of a series for each pile of headers: the reason that several series tell together, or None."""
    found = group_series([one for pile in piles for one in pile])
    faults = find_patient_faults(found)
    return {series.first.series_uid: faults.get(index, (None,))[0] for index, series in enumerate(found)}


def test_two_patients_in_a_series_are_left_out_with_its_echoes_and_nobody_else():
    half = make_instances()
    other = [one._replace(patient_id="B", patient_name="B", sop_uid=f"9{one.sop_uid}") for one in half[:4]]
    second = make_instances(series_uid="2.25.7", patient_id="B", patient_name="B")
    assert find_reasons(half + other, second) == {"2.25.1.3": "two patients in a series", "2.25.7": None}
    echoes = find_patient_faults(group_series(make_instances() + [one._replace(echo="2") for one in other]))
    assert len(echoes) == 2
    assert echoes[0][1].startswith(
        "expected one PatientID (0010,0020) in a series, found 2, in 12 and 4 files. Export"
    )
    same_uids = [one._replace(patient_id="B") for one in half]  # no copies of one another
    assert find_reasons(half + same_uids) == {"2.25.1.3": "two patients in a series"}


@pytest.mark.parametrize("field", ("study_uid", "study_date"))
def test_two_studies_in_a_series_are_left_out(field):
    instances = [one._replace(**{field: "20250401"} if n > 5 else {}) for n, one in enumerate(make_instances())]
    assert find_reasons(instances) == {"2.25.1.3": "two studies in a series"}


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"birth_date": "19790101"}, "contradicting patients"),
        ({"patient_name": "Other^Person"}, "contradicting patients"),
        ({"patient_name": "Zyxwvut^Robert"}, "contradicting patients"),
        ({"patient_id": "sub-PAT-998877", "birth_date": "19790101"}, "contradicting patients"),
        ({"birth_date": ""}, None),
        ({"birth_date": "1980.01.17"}, None),
        ({"patient_name": ""}, None),
        ({"patient_name": "ZYXWVUT, Quentina"}, None),
        ({"patient_name": "Zyxwvut^Quentina^Maria"}, None),
        ({"patient_id": "B", "birth_date": "19790101"}, None),
    ],
)
def test_one_id_of_two_persons_is_found(fields, reason):
    found = find_reasons(make_instances(), make_instances(series_uid="2.25.7", **fields))
    assert found == {"2.25.1.3": reason, "2.25.7": reason}


def test_the_sentence_about_two_persons_names_neither():
    instances = make_instances() + make_instances(series_uid="2.25.7", birth_date="19790101", patient_name="B^C")
    [sentence] = {sentence for _, sentence in find_patient_faults(group_series(instances)).values()}
    assert sentence == (
        "expected one person of a PatientID, found 2 birth dates and different names. Give each person an id of its "
        "own, or correct the headers"
    )
