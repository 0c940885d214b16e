"""Why the slices of a series make no volume: some are missing, uneven, of other sizes, or taken more often."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from umbrella.cohort.dicom.instances import Series
from umbrella.cohort.dicom.rules import Rule
from umbrella.scans.slice_places import (
    SAME_MM,
    SAME_STEP,
    Gap,
    count_repeats,
    find_bend,
    find_gap,
    find_step,
    is_same_orientation,
    sort_slices,
)

LEAST_SLICES = 3
MOST_NAMED = 3
AGAIN = "Export it again from the archive"


class Fault(NamedTuple):
    """Why a series is in no row: a short name to count by, and a sentence without a path or a name."""

    reason: str
    detail: str


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
    if series.first.mosaic:
        return _find_sizes(series) or _find_repeats(series, rule)
    return _find_sizes(series) or _find_places(series) or _find_repeats(series, rule) or _find_disorder(series)


def find_echo_faults(all_series: Sequence[Series]) -> dict[int, Fault]:
    """By the index of each echo that lacks slices which another one of its SeriesInstanceUID has: where a scanner
    states the echo slice by slice, every second slice looks like a volume of its own."""
    of_uid = defaultdict(list)
    for index, series in enumerate(all_series):
        if series.first.series_uid and series.first.orientation and all(one.positions for one in series.instances):
            of_uid[series.first.series_uid, series.first.part, series.first.orientation].append(index)
    faults = {}
    for (_, _, orientation), some in of_uid.items():
        of_echo = {index: list_positions(all_series[index]) for index in some}
        n_all = len(count_repeats([place for places in of_echo.values() for place in places], orientation))
        for index, places in of_echo.items():
            n_own = len(count_repeats(places, orientation))
            if n_own < n_all:
                said = f"expected {n_all} slices, as its echoes have together (EchoNumbers (0018,0086) or EchoTime"
                faults[index] = Fault("missing slices", f"{said} (0018,0081)), found {n_own}. {AGAIN}")
    return faults


def _find_sizes(series: Series) -> Fault | None:
    sizes = Counter((*one.matrix, one.mosaic) for one in series.instances)
    if len(sizes) > 1:
        found = ", ".join(f"{rows} × {columns} ({n})" for (rows, columns, _), n in sizes.most_common(MOST_NAMED))
        return Fault(
            "uneven slices",
            f"expected pictures of one size, found {found}. {AGAIN}, without what does not belong to it",
        )
    spacings = [one.pixel_mm for one in series.instances]
    if not all(spacings):
        said = "expected PixelSpacing (0028,0030) of each picture, found"
        return Fault("no positions", f"{said} {spacings.count(())} of {len(spacings)} without")
    if (np.ptp(spacings, axis=0) > SAME_MM).any():
        said = "expected one PixelSpacing (0028,0030) of all pictures, found several"
        return Fault("uneven slices", f"{said}. {AGAIN}, without what does not belong to it")
    return None


def _find_places(series: Series) -> Fault | None:
    n_lacking = sum(not (one.positions and one.orientation) for one in series.instances)
    if n_lacking:
        what = "ImagePositionPatient and ImageOrientationPatient (0020,0032), (0020,0037)"
        return Fault(
            "no positions", f"expected {what} of each picture, found {n_lacking} of {len(series.instances)} without"
        )
    orientation = series.first.orientation
    n_others = sum(not is_same_orientation(one.orientation, orientation) for one in series.instances)
    if n_others or any(one.n_orientations > 1 for one in series.instances):
        return Fault("localizer", "expected slices of one orientation, found several, as a localizer has")
    positions = list_positions(series)
    counts = count_repeats(positions, orientation)
    if len(counts) < LEAST_SLICES:
        return Fault("too few slices", f"expected at least {LEAST_SLICES} slices, found {len(counts)}")
    gap = find_gap(positions, orientation)
    if gap:
        return _describe_gap(gap)
    step, stated = find_step(positions, orientation), series.first.spacing
    if stated > 0 and round(step / stated) > 1 and abs(step / stated - round(step / stated)) < SAME_STEP:
        as_stated = f"expected slices {stated:.4g} mm apart, as SpacingBetweenSlices (0018,0088) states"
        return Fault("missing slices", f"{as_stated}, found them {step:.4g} mm apart. {AGAIN}")
    bend = find_bend(positions, orientation)
    if bend:
        return Fault("uneven slices", f"expected slices on a straight line, found some {bend:.3g} mm beside it")
    n_stated, n_found = max(one.n_stated for one in series.instances), series.n_pictures
    if n_stated > n_found > 0:
        stated = f"expected {n_stated} pictures, as ImagesInAcquisition (0020,1002) states, found {n_found}"
        return Fault("missing slices", f"{stated}. {AGAIN}")
    return None


def _describe_gap(gap: Gap) -> Fault:
    steps = [f"{mm:.4g} mm after slice {after}" for after, mm in gap.found[:MOST_NAMED]]
    if len(gap.found) > MOST_NAMED:
        steps.append(f"{len(gap.found) - MOST_NAMED} more")
    found = f"found {'a step' if len(gap.found) == 1 else 'steps'} of {', '.join(steps)}"
    if not gap.n_missing:
        return Fault("uneven slices", f"expected slices {gap.step_mm:.4g} mm apart, {found}. {AGAIN}")
    verb = "is" if gap.n_missing == 1 else "are"
    missing = f"{gap.n_missing} of {gap.n_slices + gap.n_missing} {verb} missing"
    return Fault("missing slices", f"expected slices {gap.step_mm:.4g} mm apart, {found}: {missing}. {AGAIN}")


def _find_repeats(series: Series, rule: Rule | None) -> Fault | None:
    if series.first.mosaic:
        counts: tuple[int, ...] = (len(series.instances),)
    else:
        counts = count_repeats(list_positions(series), series.first.orientation)
    most, least = max(counts), min(counts)
    if least < most:
        lacking = sum(count < most for count in counts)
        found = f"found {lacking} of {len(counts)} slices in fewer, as {least}"
        return Fault("incomplete volume", f"expected each slice in all of {most} volumes, {found}. {AGAIN}")
    if rule is not None and rule.datatype == "anat" and most > 1:
        return Fault("several volumes", f"expected one volume, as {rule.suffix} has, found {most} at the same places")
    return None


def _find_disorder(series: Series) -> Fault | None:
    """Of several volumes in files of one picture: whether their numbers tell which volume each is of. Of others
    dcm2niix exchanges slices, and ends well."""
    n_slices, n_volumes = count_slices(series) or (0, 0)
    if n_volumes < 2 or any(len(one.positions) > 1 for one in series.instances):
        return None
    places = find_places(series)
    numbers = np.array([one.instance_number for one in series.instances])
    ordered = places[np.argsort(numbers, kind="stable")]
    by_volume, by_slice = ordered.reshape(n_volumes, n_slices), ordered.reshape(n_slices, n_volumes)
    upwards = np.arange(n_slices)
    in_order = [(by_volume == way).all() or (way == by_slice.T).all() for way in (upwards, upwards[::-1])]
    if any(in_order) and len(np.unique(numbers)) == len(numbers):
        return None
    expected = "expected pictures that InstanceNumber (0020,0013) counts slice after slice, volume after volume"
    return Fault("no order", f"{expected}, found another order, in which their volumes cannot be told. {AGAIN}")


def find_places(series: Series) -> np.ndarray:
    """(n,): which slice along the normal, from 0, each frame of `list_positions` is."""
    normal = np.cross(*np.reshape(series.first.orientation, (2, 3)))
    offsets = np.asarray(list_positions(series)) @ normal
    return np.searchsorted(sort_slices(list_positions(series), series.first.orientation)[0], offsets - SAME_MM)


def list_positions(series: Series) -> list[tuple[float, ...]]:
    """(n, 3), mm: of all frames of all files, in their order."""
    return [position for one in series.instances for position in one.positions]
