"""Rows whose scans cannot be read: none by default; with `--max_unreadable N` they are left out, counted and listed.

Every scan is then read to its end before training, by rank 0 with all cores; where there is a cache of views, that
fills it. What was left out stands in `unreadable_scans.tsv` beside the model, and a run that goes on leaves out the
same rows, whatever has become of the scans: their order, hence what is still to be seen, must be the same.
"""

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from datasets import Dataset

from umbrella.files.arrow_tables import read_tables
from umbrella.files.contained_files import split_root
from umbrella.files.written_files import write_whole
from umbrella.options.arguments import N_CORES
from umbrella.options.commands.progress import show_progress
from umbrella.options.training_arguments import TrainArguments
from umbrella.rows.cache_filling import PlacedScans, look_at_all
from umbrella.rows.scan_list import Place, list_scans
from umbrella.rows.transform import ConversationTransform
from umbrella.scans.volumes import ScanError
from umbrella.training.main_process import on_main_process
from umbrella.training.preflight import check_scans, show_first

FILE_NAME = "unreadable_scans.tsv"


class Unreadable(NamedTuple):
    """A scan that cannot be read: its path, the row that first names it, why, and as what it was to be read."""

    path: str
    source: str
    reason: str
    modality: str


def leave_out_unreadable(
    splits: Mapping[str, Dataset],
    transform: ConversationTransform,
    arguments: TrainArguments,
    checkpoint: str | None,
) -> tuple[dict[str, Dataset], list[Unreadable]]:
    """The splits without the rows that name an unreadable scan, on every process the same, and these scans.

    Args:
        splits: the splits that are used.
        transform: reads the scans, as training will; one without augmentation.
        checkpoint: from which a run goes on; None for a new one.

    Raises SystemExit for an unreadable header where none may be left out; ValueError for more unreadable scans than
    `--max_unreadable`, for a split without a row that is left, and for a run that goes on with other readable scans.
    """
    run = Path(checkpoint).parent if checkpoint else None
    unreadable = on_main_process(_find_unreadable, splits, transform, arguments.max_unreadable, run)
    if not unreadable:
        return dict(splits), unreadable
    left_out = {(scan.path, scan.modality) for scan in unreadable}
    kept = {name: _keep_rows(name, rows, left_out) for name, rows in splits.items()}
    if arguments.process_index == 0:
        counts = ", ".join(f"{len(rows) - len(kept[name])} of {len(rows)} in {name}" for name, rows in splits.items())
        print(f"left out: rows with an unreadable scan: {counts}; {len(unreadable)} scans:", end="")
        print(show_first([f"{scan.source}: {scan.reason}" for scan in unreadable]))
    return kept, unreadable


def write_unreadable(output_dir: str | Path, unreadable: list[Unreadable], max_unreadable: int) -> None:
    """Write `unreadable_scans.tsv`, with its header alone when all scans can be read; nothing where none may be left
    out."""
    if max_unreadable:
        lines = io.StringIO(newline="")
        csv.writer(lines, delimiter="\t", lineterminator="\n").writerows([Unreadable._fields, *unreadable])
        write_whole(Path(output_dir) / FILE_NAME, lines.getvalue())


def read_unreadable(run: str | Path) -> list[Unreadable] | None:
    """What a run has left out; None where it has not looked. Raises ValueError for a file that is no such table."""
    path = Path(run) / FILE_NAME
    if not path.is_file():
        return None
    try:
        text = path.read_bytes().decode()
        header, *lines = csv.reader(io.StringIO(text, newline=""), delimiter="\t", strict=True)
        is_whole = tuple(header) == Unreadable._fields and text.endswith("\n") and all(map(_is_line, lines))
    except (ValueError, csv.Error):  # no text, no line at all, a quote that does not end
        is_whole = False
    if not is_whole:
        raise ValueError(
            f"{path}: expected the table of scans that the run has left out, under {', '.join(Unreadable._fields)}, "
            "found another file, or one cut short. Restore it, or start a new run: without it the order of the rows "
            "is not known"
        )
    return [Unreadable(split_root(path)[1], *rest) for path, *rest in lines]


def _is_line(cells: list[str]) -> bool:
    return len(cells) == len(Unreadable._fields)


def _find_unreadable(
    splits: Mapping[str, Dataset], transform: ConversationTransform, most: int, run: Path | None
) -> list[Unreadable]:
    recorded = (read_unreadable(run) if run else None) or []
    if len(recorded) > most:
        raise ValueError(
            f"--max_unreadable {most}: expected at least {len(recorded)}, as many scans as the run in {run} has left "
            f"out, which goes on. Set --max_unreadable {len(recorded)}"
        )
    if most == 0:
        for rows in splits.values():
            check_scans(rows)
        return []
    splits = {name: rows.with_format(None).select_columns(["images", "source"]) for name, rows in splits.items()}
    places = {_identify(splits, place): place for place in list_scans(splits)}
    for scan in recorded:
        if places.pop((scan.path, scan.modality), None) is None:
            raise ValueError(
                f"{run}/{FILE_NAME}: expected the rows that the run began with, found no row with the scan "
                f"{scan.path}. Go on with the same data at the same place, or start a new run"
            )
    found = _read_all(splits, places, transform)
    problems = [f"{scan.source}: {scan.reason}" for scan in found]
    if run is not None and found:
        raise ValueError(
            f"{run}: expected all scans that the run began with, found {len(found)} that cannot be read any more:"
            f"{show_first(problems)}\nWithout their rows the order would be another one: restore them, or start a "
            "new run"
        )
    if len(found) > most:
        raise ValueError(
            f"--max_unreadable {most}: expected at most {most} unreadable scans, found {len(found)} of {len(places)}:"
            f"{show_first(problems)}\nRestore them, correct --image_root, take their rows out, or leave them out with "
            f"--max_unreadable {len(found)}"
        )
    return recorded + found


def _read_all(
    splits: Mapping[str, Dataset], places: dict[tuple[str, str], Place], transform: ConversationTransform
) -> list[Unreadable]:
    scans = _ReadScans(splits, list(places.values()), transform)
    found = look_at_all(scans, min(N_CORES, len(scans)))
    reasons = dict(show_progress(found, total=len(scans), desc="reading every scan", unit="scan"))
    return [
        Unreadable(path, splits[place.split][place.row]["source"], reasons[i], modality)
        for i, ((path, modality), place) in enumerate(places.items())
        if reasons[i]
    ]


class _ReadScans(PlacedScans):
    """Place by place, why a scan cannot be read; None where it can."""

    def __init__(self, splits: Mapping[str, Dataset], places: list[Place], transform: ConversationTransform) -> None:
        super().__init__(splits, places)
        self.transform = transform

    def look(self, row: dict, number: int) -> str | None:
        try:
            self.transform.load_images(row, number)
        except ScanError as error:
            return " ".join(str(error).split())  # one line of the table
        return None


def _identify(splits: Mapping[str, Dataset], place: Place) -> tuple[str, str]:
    row = splits[place.split][place.row]
    return _name_scan(row["images"][place.number], row["source"], place.number)


def _name_scan(scan: dict, source: str, number: int) -> tuple[str, str]:
    """(path without the mark of an image_root, or the scan's place, modality)"""
    return split_root(scan["path"] or f"{source}, scan {number + 1}")[1], scan["modality"]


def _keep_rows(name: str, rows: Dataset, left_out: set[tuple[str, str]]) -> Dataset:
    kept: list[int] = []
    start = 0
    for table in read_tables(rows, ["images", "source"]):
        pairs = zip(table["images"].to_pylist(), table["source"].to_pylist(), strict=True)
        kept += [
            i
            for i, (scans, source) in enumerate(pairs, start)
            if not any(_name_scan(scan, source, number) in left_out for number, scan in enumerate(scans))
        ]
        start += len(table)
    if not kept:
        raise ValueError(f"{name}: expected at least one row whose scans can be read, found none of {len(rows)}")
    return rows.select(kept)
