"""What is measured of the subjects' scans, to tell whether a model fails on some kind of them; at a bounded cost."""

from dataclasses import dataclass

import numpy as np
from datasets import Dataset

from umbrella.options.commands.progress import show_progress
from umbrella.rows.scan_places import find_subject_places, name_kinds, number_kinds
from umbrella.scans.head import find_head
from umbrella.scans.scan_files import ScanError, ScanHeader, find_source
from umbrella.scans.series import read_series
from umbrella.views.volume_cache import identify_scan

MOST_SCANS = 200  # that are read
LEAST_MM = 6.0  # between the voxels that are looked at: the volume of a head is within a hundredth of that by 3 mm

Measures = dict[str, float]
HEAD_INTENSITY, HEAD_VOLUME, VOXEL_VOLUME = "mean intensity of the head", "head volume in ml", "voxel volume in mm³"


@dataclass(frozen=True)
class ScanMeasures:
    """Of each row the measures of its subject's scans, name → number; none of a scan that was not measured. Where a
    row's subject has several scans, the names say of which kind: "head volume in ml, FLAIR".

    notes  what was not measured, in sentences
    """

    rows: list[Measures]
    notes: list[str]


def measure_scans(rows: Dataset, seed: int, most_scans: int = MOST_SCANS) -> ScanMeasures:
    """Measure all scans of each row's subject; of more scans than `most_scans` as many, drawn by the seed."""
    scans: dict[tuple, dict] = {}
    keys: list[dict[str, tuple]] = []  # of each row: kind → key
    for row in rows.with_format(None):
        kinds, places = name_kinds(row), find_subject_places(row)
        shown = [row["images"][place] for place in places]
        of_row = [(identify_scan(find_source(scan)), scan["modality"]) for scan in shown]
        scans |= {key: scan for key, scan in zip(of_row, shown, strict=True) if key not in scans}
        keys.append(dict(zip(number_kinds([kinds[place] for place in places]), of_row, strict=True)))
    chosen, notes = list(scans), []
    if {} in keys:
        notes.append(f"{keys.count({})} rows have no scan to measure.")
    if len(chosen) > most_scans:
        drawn = np.random.default_rng(seed).choice(len(chosen), most_scans, replace=False)
        notes.append(f"Of {len(chosen):,} scans {most_scans:,}, drawn at random, were measured.")
        chosen = [chosen[i] for i in sorted(drawn.tolist())]
    found: dict[tuple, Measures] = {}
    for key in show_progress(chosen, desc="measuring scans", unit="scan"):
        try:
            found[key] = measure_scan(find_source(scans[key]), scans[key]["modality"])
        except ScanError as error:
            notes.append(f"Not measured: {error}")
    said = "{name}, {kind}" if any(len(of_row) > 1 for of_row in keys) else "{name}"
    measured = [
        {
            said.format(name=name, kind=kind): value
            for kind, key in of_row.items()
            for name, value in found.get(key, {}).items()
        }
        for of_row in keys
    ]
    return ScanMeasures(measured, notes)


def measure_scan(source: str | bytes, modality: str) -> Measures:
    """Intensities as the file scales them; of a series its first volume. Raises ScanError where there is no head."""
    series = read_series(source, modality, _choose_first, normalize=False, standardize=False)
    spacing_mm = np.linalg.norm(series.affine[:3, :3], axis=0)
    steps = np.maximum(1, np.floor(LEAST_MM / spacing_mm)).astype(int)
    volume = series.intensity.apply(series.stored[0][tuple(slice(None, None, step) for step in steps)])
    if volume.min() == volume.max():
        raise ScanError(f"{series.name}: expected a head to measure, found one intensity every {LEAST_MM:g} mm")
    head = find_head(volume, spacing_mm * steps)
    return {
        HEAD_INTENSITY: _round(volume[head].mean(dtype=float)),
        HEAD_VOLUME: _round(head.sum() * np.prod(spacing_mm * steps) / 1000),
        VOXEL_VOLUME: _round(np.prod(spacing_mm)),
    }


def _round(value: float) -> float:
    """To three digits: no bin need be named by more."""
    return float(f"{value:.3g}")


def _choose_first(header: ScanHeader) -> list[list[int]]:
    return [[0]]
