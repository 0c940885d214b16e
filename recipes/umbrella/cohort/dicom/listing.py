"""What --dry_run says of a folder of DICOM files: which series a rule names, and why the others are left out."""

from collections import defaultdict

from umbrella.cohort.dicom.source import DicomSource
from umbrella.cohort.dicom.survey import Judged, find_lacking, survey_folder

MOST_LINES = 60


def describe_series(source: DicomSource) -> str:
    """A line for each description, with how many series and slices it has and what becomes of them. Words of names and
    ids are hidden in it. Raises CohortError: see `survey_folder`."""
    survey = survey_folder(source)
    groups = defaultdict(list)
    for one in survey.judged:
        description = one.series.first.description or one.series.first.protocol
        groups[survey.mask.show(description) or "(none)", _describe_fate(one)].append(one)
    rows = [["series", "slices", "description", "becomes"]]
    for (description, fate), some in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0])):
        slices = sorted({_count_pictures(one) for one in some})
        rows.append([str(len(some)), "-".join(map(str, dict.fromkeys((slices[0], slices[-1])))), description, fate])
    more = [f"and {len(rows) - MOST_LINES - 1} other descriptions"] if len(rows) > MOST_LINES + 1 else []
    widths = [max(map(len, column)) for column in list(zip(*rows, strict=True))[:3]]
    lines = [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]])
        for row in rows[: MOST_LINES + 1]
    ]
    n_used = sum(one.fault is None for one in survey.judged)
    end = f"{n_used} of {len(survey.judged)} series are to be converted; dcm2niix has not looked at them yet"
    lacking = find_lacking(source.suffixes, (one.rule for one in survey.judged if one.rule))
    asked = (
        [f"WARNING no series becomes {' or '.join(lacking)}, which the conversations are to show"] if lacking else []
    )
    return "\n".join([*survey.notes, *lines, *more, end, *asked])


def _count_pictures(one: Judged) -> int:
    return sum(max(1, len(instance.positions)) for instance in one.series.instances)


def _describe_fate(one: Judged) -> str:
    if one.fault is not None:
        return f"left out: {one.fault.reason}"
    assert one.rule is not None
    entities = "".join(f"{name}-{value}_" for name, value in one.rule.entities.items())
    return f"{one.rule.datatype}/{entities}{one.rule.suffix} (rule {one.rule.name})"
