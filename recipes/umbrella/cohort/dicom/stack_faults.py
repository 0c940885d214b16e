"""Why the slices of a series make no volume: some are missing, uneven, of other sizes, or taken more often."""

from collections import Counter
from typing import NamedTuple

from umbrella.cohort.dicom.geometry import (
    Gap,
    count_repeats,
    find_bend,
    find_gap,
    is_same_orientation,
)
from umbrella.cohort.dicom.instances import Series
from umbrella.cohort.dicom.rules import Rule

Fault = tuple[str, str]  # the reason, and the sentence
LEAST_SLICES = 3
MOST_NAMED = 3
AGAIN = "Export it again from the archive"


class Shape(NamedTuple):
    """How many slices a series has, and how often each was taken."""

    n_slices: int
    n_volumes: int


def count_slices(series: Series) -> Shape | None:
    """Of a series without fault; None of mosaics that do not say how many slices lie in them."""
    mosaic = series.first.mosaic
    if mosaic:
        return Shape(mosaic, len(series.instances)) if mosaic > 0 else None
    counts = count_repeats(list_positions(series), series.first.orientation)
    return Shape(len(counts), counts[0])


def find_stack_fault(series: Series, rule: Rule | None = None) -> Fault | None:
    """The first reason for which slices make no volume; of mosaics, which hold a volume each, their sizes alone are
    looked at. A last slice that is missing is found where ImagesInAcquisition (0020,1002) is stated."""
    return _find_sizes(series) or (None if series.first.mosaic else _find_order(series)) or _find_repeats(series, rule)


def _find_sizes(series: Series) -> Fault | None:
    sizes = Counter((*one.matrix, one.mosaic) for one in series.instances)
    if len(sizes) > 1:
        found = ", ".join(f"{rows} × {columns} ({n})" for (rows, columns, _), n in sizes.most_common(MOST_NAMED))
        return (
            "uneven slices",
            f"expected pictures of one size, found {found}. {AGAIN}, without what does not belong to it",
        )
    return None


def _find_order(series: Series) -> Fault | None:
    n_lacking = sum(not (one.positions and one.orientation) for one in series.instances)
    if n_lacking:
        what = "ImagePositionPatient and ImageOrientationPatient (0020,0032), (0020,0037)"
        return "no positions", f"expected {what} of each picture, found {n_lacking} of {len(series.instances)} without"
    orientation = series.first.orientation
    n_others = sum(not is_same_orientation(one.orientation, orientation) for one in series.instances)
    if n_others or any(one.n_orientations > 1 for one in series.instances):
        return "localizer", "expected slices of one orientation, found several, as a localizer has"
    positions = list_positions(series)
    counts = count_repeats(positions, orientation)
    if len(counts) < LEAST_SLICES:
        return "too few slices", f"expected at least {LEAST_SLICES} slices, found {len(counts)}"
    gap = find_gap(positions, orientation)
    if gap:
        return _describe_gap(gap)
    bend = find_bend(positions, orientation)
    if bend:
        return "uneven slices", f"expected slices on a straight line, found some {bend:.3g} mm beside it"
    n_stated, n_found = max(one.n_stated for one in series.instances), series.n_pictures
    if n_stated > n_found > 0:
        stated = f"expected {n_stated} pictures, as ImagesInAcquisition (0020,1002) states, found {n_found}"
        return "missing slices", f"{stated}. {AGAIN}"
    return None


def _describe_gap(gap: Gap) -> Fault:
    steps = [f"{mm:.4g} mm after slice {after}" for after, mm in gap.found[:MOST_NAMED]]
    if len(gap.found) > MOST_NAMED:
        steps.append(f"{len(gap.found) - MOST_NAMED} more")
    found = f"found {'a step' if len(gap.found) == 1 else 'steps'} of {', '.join(steps)}"
    if not gap.n_missing:
        return "uneven slices", f"expected slices {gap.step_mm:.4g} mm apart, {found}. {AGAIN}"
    verb = "is" if gap.n_missing == 1 else "are"
    missing = f"{gap.n_missing} of {gap.n_slices + gap.n_missing} {verb} missing"
    return "missing slices", f"expected slices {gap.step_mm:.4g} mm apart, {found}: {missing}. {AGAIN}"


def _find_repeats(series: Series, rule: Rule | None) -> Fault | None:
    if series.first.mosaic:
        counts: tuple[int, ...] = (len(series.instances),)
    else:
        counts = count_repeats(list_positions(series), series.first.orientation)
    most, least = max(counts), min(counts)
    if least < most:
        lacking = sum(count < most for count in counts)
        found = f"found {lacking} of {len(counts)} slices in fewer, as {least}"
        return "incomplete volume", f"expected each slice in all of {most} volumes, {found}. {AGAIN}"
    if rule is not None and rule.datatype == "anat" and most > 1:
        return "several volumes", f"expected one volume, as {rule.suffix} has, found {most} at the same places"
    return None


def list_positions(series: Series) -> list[tuple[float, ...]]:
    """(n, 3), mm: of all frames of all files, in their order."""
    return [position for one in series.instances for position in one.positions]
