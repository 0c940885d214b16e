"""What several series tell together: that one holds two patients or two studies, that two persons share an id."""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence

from umbrella.cohort.dicom.instances import Instance, Series
from umbrella.cohort.dicom.stack_faults import Fault
from umbrella.records.cohort import to_key


def find_patient_faults(all_series: Sequence[Series]) -> dict[int, Fault]:
    """By the index of each series that has one: `two patients in a series`, `two studies in a series` (of one
    SeriesInstanceUID, whose echoes and parts are left out with it), `contradicting patients` (one PatientID with two
    birth dates or names: all its series are left out, since none of them can be told from the other's)."""
    by_uid, by_patient = defaultdict(list), defaultdict(list)
    for series in all_series:
        for instance in series.instances:
            by_uid[instance.series_uid].append(instance)
            by_patient[to_key(instance.patient_id)].append(instance)
    of_uid = {uid: _find_two(instances) for uid, instances in by_uid.items() if uid}
    of_patient = {patient: _find_contradiction(instances) for patient, instances in by_patient.items() if patient}
    faults = {}
    for index, series in enumerate(all_series):
        patients = dict.fromkeys(to_key(instance.patient_id) for instance in series.instances)
        found = [of_uid.get(series.first.series_uid), *(of_patient.get(patient) for patient in patients)]
        fault = next(filter(None, found), None)
        if fault:
            faults[index] = fault
    return faults


def _find_two(instances: Sequence[Instance]) -> Fault | None:
    for reason, what, values in (
        ("two patients in a series", "PatientID (0010,0020)", [to_key(one.patient_id) for one in instances]),
        ("two studies in a series", "StudyInstanceUID (0020,000D)", [one.study_uid for one in instances]),
        ("two studies in a series", "StudyDate (0008,0020)", [one.study_date for one in instances if one.study_date]),
    ):
        counts = Counter(values)
        if len(counts) > 1:
            files = " and ".join(map(str, sorted(counts.values(), reverse=True)))
            found = f"found {len(counts)}, in {files} files"
            return Fault(reason, f"expected one {what} in a series, {found}. Export each study again from the archive")
    return None


def _find_contradiction(instances: Sequence[Instance]) -> Fault | None:
    dates = {re.sub(r"\D", "", one.birth_date) for one in instances} - {""}
    names = {words for one in instances if (words := _fold_name(one.patient_name))}
    full = max(names, key=len, default=frozenset())
    found = [f"{len(dates)} birth dates"] if len(dates) > 1 else []
    if not all(words <= full for words in names):  # a name without its middle part is the same
        found.append("different names")
    if not found:
        return None
    advice = "Give each person an id of its own, or correct the headers"
    return Fault(
        "contradicting patients", f"expected one person of a PatientID, found {' and '.join(found)}. {advice}"
    )


def _fold_name(name: str) -> frozenset[str]:
    """The words of a name, in whatever order and with whatever between them."""
    return frozenset(re.findall(r"[^\W_]+", name.casefold()))
