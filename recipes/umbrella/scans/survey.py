"""What scans are like, and which of them are unlike the others: size, spacing, orientation, intensity."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from nibabel.orientations import aff2axcodes

from umbrella.scans.scan_files import open_scan
from umbrella.scans.volumes import load_volume

FAR = 6.0  # robust standard deviations from the median that make an intensity odd
MAD_TO_SD = 1.4826  # of a normal distribution
LEAST_SCANS = 8  # below, nothing can be told to be unlike the others


@dataclass(frozen=True)
class ScanFacts:
    """What a scan's file says, and its intensities as they are scaled, before any normalisation.

    shape, spacing_mm  along the stored axes
    orientation        the codes of the stored axes ("LIA"), or "not stated"
    p1, median, p99    percentiles of the intensity; share_zero: the share of voxels that are exactly 0
    """

    name: str
    modality: str
    shape: tuple[int, ...]
    spacing_mm: tuple[float, ...]
    orientation: str
    dtype: str
    p1: float
    median: float
    p99: float
    share_zero: float


def states_orientation(source: str | bytes) -> bool:
    """Whether a scan's header says which way its axes point. Without it left and right are not known."""
    with open_scan(source) as (header, _):
        return header.affine is not None


def survey_scan(source: str | bytes, modality: str) -> tuple[ScanFacts, np.ndarray]:
    """The facts of a scan, and its intensities (X, Y, Z). Raises ScanError."""
    with open_scan(source) as (header, _):
        orientation = "not stated" if header.affine is None else "".join(aff2axcodes(header.affine))
        shape, dtype, name = header.shape, header.dtype.name, header.name
        spacing = header.zooms if header.affine is None else np.sqrt((header.affine[:3, :3] ** 2).sum(axis=0))
    volume, _ = load_volume(source, modality, normalize=False, standardize=False)
    p1, median, p99 = (float(value) for value in np.percentile(volume, [1, 50, 99]))
    rounded = tuple(round(float(value), 3) for value in spacing)
    zero = float((volume == 0).mean())
    return ScanFacts(name, modality, shape, rounded, orientation, dtype, p1, median, p99, zero), volume


def find_oddities(scans: Sequence[ScanFacts]) -> list[tuple[str, str]]:
    """(scan, what is odd about it) for scans unlike most others of their modality; empty for fewer than eight.

    A field of view (shape times spacing, any order of axes) or a spacing is odd where under 5 % have it and over half
    share another; an intensity where its 99th percentile is more than six robust standard deviations from the median.
    """
    found = []
    for modality in sorted({scan.modality for scan in scans}):
        alike = [scan for scan in scans if scan.modality == modality]
        if len(alike) < LEAST_SCANS:
            continue
        found += _find_rare(alike, "size", lambda scan: tuple(sorted(scan.shape[:3])), "voxels")
        found += _find_rare(alike, "spacing", lambda scan: tuple(sorted(scan.spacing_mm)), "mm")
        found += _find_rare(alike, "stored number type", lambda scan: scan.dtype, "")
        found += [
            (scan.name, "orientation not stated in the header") for scan in alike if scan.orientation == "not stated"
        ]
        found += _find_far(alike)
    return sorted(found)


def _find_rare(
    scans: Sequence[ScanFacts], what: str, value_of: Callable[[ScanFacts], Any], unit: str
) -> list[tuple[str, str]]:
    counts = Counter(value_of(scan) for scan in scans)
    common, n_common = counts.most_common(1)[0]
    if n_common * 2 <= len(scans):
        return []
    return [
        (
            scan.name,
            f"{what} {_join(value_of(scan))} {unit}".rstrip()
            + f", where {n_common} of {len(scans)} have {_join(common)}",
        )
        for scan in scans
        if counts[value_of(scan)] * 20 < len(scans)
    ]


def _find_far(scans: Sequence[ScanFacts]) -> list[tuple[str, str]]:
    """By logarithm: scanners differ in gain, which multiplies."""
    brightness = np.log(np.maximum([scan.p99 - scan.p1 for scan in scans], 1e-6))
    centre = np.median(brightness)
    spread = max(MAD_TO_SD * np.median(np.abs(brightness - centre)), 0.05)
    return [
        (
            scan.name,
            f"intensities from {scan.p1:.4g} to {scan.p99:.4g}, {np.exp(value - centre):.2g} times the usual range",
        )
        for scan, value in zip(scans, brightness, strict=True)
        if abs(value - centre) > FAR * spread
    ]


def _join(value: Any) -> str:
    return " × ".join(f"{part:g}" for part in value) if isinstance(value, tuple) else str(value)
