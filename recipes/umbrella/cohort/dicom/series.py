"""Files become series, by their headers alone, wherever they lie."""

from collections import Counter, defaultdict
from collections.abc import Iterable

from umbrella.cohort.dicom.instances import Instance, Series


def group_series(instances: Iterable[Instance]) -> list[Series]:
    """Series of one SeriesInstanceUID, echo and part, in the order of those; the order of the files does not matter.

    Files without a SeriesInstanceUID are a series for each patient, study and series number. Of a patient's copies of
    one picture within a series the largest is kept, the first by path of equal ones. A SOPInstanceUID alone makes no
    copy: some exports give one to pictures of other places and numbers.
    """
    groups: dict[tuple[str, ...], list[Instance]] = defaultdict(list)
    for instance in instances:
        groups[(*_find_uid(instance), instance.echo, instance.part)].append(instance)
    kept, n_pictures = {}, Counter[tuple[str, ...]]()
    for key, group in sorted(groups.items()):
        pictures: dict[tuple[object, ...], Instance] = {}
        for one in sorted(group, key=lambda one: (one.sop_uid, -one.size, one.path)):
            pictures.setdefault((one.sop_uid, one.patient_id, one.instance_number, one.positions), one)
        kept[key] = tuple(pictures.values())
        n_pictures[key[:-2]] += sum(max(len(one.positions), 1) for one in kept[key])
    return [Series(found, len(groups[key]) - len(found), n_pictures[key[:-2]]) for key, found in kept.items()]


def _find_uid(instance: Instance) -> tuple[str, ...]:
    if instance.series_uid:
        return (instance.series_uid,)
    return ("", instance.patient_id, instance.study_uid, instance.number)
