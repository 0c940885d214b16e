"""What of the view "volume" can be told before training: series that are too short, b-values, heads that are cut."""

import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from datasets import Dataset

from umbrella.files.contained_files import split_root
from umbrella.rows.scan_list import list_scans
from umbrella.scans.scan_files import find_source
from umbrella.scans.volumes import ScanError
from umbrella.training.preflight import MOST_OPENED, look_in_pieces, show_first, space_evenly
from umbrella.views.expectations import check_expected
from umbrella.views.frames import FoundFrames, find_frames
from umbrella.views.grid import Cut
from umbrella.views.loading import measure_cut
from umbrella.views.packed_views import is_view_packed
from umbrella.views.settings import (
    VOLUME,
    VOLUME_SIZE,
    VOLUME_SPACING,
    ViewSettings,
    parse_volume_size,
    write_volume_size,
)

MOST_MEASURED, MOST_SECONDS = 16, 10.0  # scans whose heads are looked for, and how long
MOST_LOST = 0.02  # of a head that may lie beyond the grid without a word
SIZE_STEP = 16  # voxels: sizes that are advised are multiples of it, as patches of 8 that are pooled in pairs want
MOST_NAMED = 3


def check_volumes(splits: Mapping[str, Dataset], settings: ViewSettings) -> None:
    """Print what of a series' frames was found and a warning where heads do not fit into the grid; nothing for the
    views of pictures.

    Raises SystemExit with all series that are too short for `--frames`, or whose .bval does not fit, and with all
    scans whose headers say that they cannot be what the model's encoder expects.
    """
    if settings.view != VOLUME:
        return
    scans = [
        placed for placed in list_distinct(splits) if not is_view_packed(find_source(placed[1]), placed[1]["modality"])
    ]
    check_headers(scans, settings)
    if settings.frames:
        for line in describe_series(scans, settings.frames):
            print(line)
    if warning := warn_of_cuts(scans, settings):
        print(warning)


def list_distinct(splits: Mapping[str, Dataset]) -> list[tuple[str, dict]]:
    """Every scan once, with the source of the row that first names it; of more than 10,000 as many, evenly spaced, and
    then this is printed."""
    scans = list_scans(splits)
    looked = scans[space_evenly(len(scans), MOST_OPENED)]
    if len(looked) < len(scans):
        print(f"volumes: {len(looked):,} of {len(scans):,} scans, evenly spaced, are looked at", flush=True)
    plain = {name: rows.with_format(None).select_columns(["images", "source"]) for name, rows in splits.items()}
    rows_of = ((plain[place.split][place.row], place.number) for place in looked)
    return [(row["source"], row["images"][number]) for row, number in rows_of]


def check_headers(scans: list[tuple[str, dict]], settings: ViewSettings) -> None:
    """Raise SystemExit with all scans that the settings' `expects` refuses, which tells by their headers."""
    if not settings.expects:
        return

    def look(placed: tuple[str, dict]) -> str | None:
        try:
            check_expected(find_source(placed[1]), settings)
        except ScanError as error:
            return f"{placed[0]}: {error}"
        return None

    problems = [problem for problem in look_in_pieces(look, scans) if problem is not None]
    if problems:
        raise SystemExit(f"error: {len(problems)} scans are not as the encoder expects:{show_first(problems)}")


def describe_series(scans: list[tuple[str, dict]], frames: str) -> list[str]:
    """What `--frames` finds in the series among the scans. Raises SystemExit as `check_volumes` does."""

    def look(placed: tuple[str, dict]) -> FoundFrames | ScanError:
        try:
            return find_frames(find_source(placed[1]), placed[1]["modality"], frames)
        except ScanError as error:
            return error

    found = list(look_in_pieces(look, scans))
    problems = [
        f"{source}: {each}" for (source, _), each in zip(scans, found, strict=True) if isinstance(each, ScanError)
    ]
    if problems:
        raise SystemExit(f"error: --frames {frames}: {len(problems)} scans do not have them:{show_first(problems)}")
    series = [each for each in found if isinstance(each, FoundFrames) and each.n_volumes > 1]
    told_apart = [(each.n_volumes - each.n_b0, each.n_b0) for each in series if each.n_b0 is not None]
    n_untold = sum(
        scan["modality"] == "dMRI" and isinstance(each, FoundFrames) and each.n_volumes > 1 and each.n_b0 is None
        for (_, scan), each in zip(scans, found, strict=True)
    )
    lines = []
    if told_apart:
        weighted, b0 = (_span(numbers) for numbers in zip(*told_apart, strict=True))
        lines.append(
            f"frames {frames}: {len(told_apart)} series with a .bval, {weighted} weighted volumes and {b0} b0"
        )
    if n_untold:
        lines.append(f"frames {frames}: {n_untold} dMRI series without a .bval, all of their volumes count alike")
    return lines


def warn_of_cuts(scans: list[tuple[str, dict]], settings: ViewSettings) -> str | None:
    """A warning where more than 2 % of a head lie beyond the grid, with a size that holds those heads; of at most 16
    scans evenly spaced over all, and within 10 seconds."""
    cuts: dict[str, Cut] = {}
    end = time.monotonic() + MOST_SECONDS
    for place in np.unique(np.linspace(0, len(scans) - 1, MOST_MEASURED).astype(int)) if scans else ():
        source, scan = scans[place]
        name = Path(split_root(scan["path"])[1]).name if scan["path"] else source
        try:
            cuts[name] = measure_cut(find_source(scan), scan["modality"], settings)
        except ScanError:  # is said where the scan is read
            continue
        if time.monotonic() > end:
            break
    lost = {name: cut for name, cut in cuts.items() if cut.share > MOST_LOST}
    if not lost:
        return None
    worst = sorted(lost, key=lambda name: -lost[name].share)
    named = ", ".join(f"{name} {100 * lost[name].share:.1f} %" for name in worst[:MOST_NAMED])
    more = ", ..." if len(worst) > MOST_NAMED else ""
    largest_mm = np.max([cut.head_mm for cut in lost.values()], axis=0)
    voxels = (
        np.ceil((largest_mm / (settings.volume_spacing or VOLUME_SPACING) + 1) / SIZE_STEP).astype(int) * SIZE_STEP
    )
    x, y, z = np.maximum(voxels, parse_volume_size(settings.volume_size or VOLUME_SIZE)).tolist()
    return (
        f"warning: {len(lost)} of {len(cuts)} scans looked at lose more than {100 * MOST_LOST:g} % of the head, which "
        f"lies beyond the grid: {named}{more}. --volume_size {write_volume_size((x, y, z))} would hold it"
    )


def _span(numbers: Iterable[int]) -> str:
    least, most = min(numbers), max(numbers)
    return f"{least}" if least == most else f"{least} to {most}"
