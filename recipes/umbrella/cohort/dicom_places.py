"""Where --dicom_dir and the flags beside it read and write: no secret in what is shared, no folder within another."""

import argparse
from collections.abc import Iterable
from pathlib import Path

from umbrella.cohort.dicom.source import DicomSource
from umbrella.cohort.shared.visits import CohortError
from umbrella.cohort.tables.table_rows import TableOptions
from umbrella.options.extras import check_extra


def to_dicom_source(
    flags: argparse.Namespace, said: TableOptions, columns: frozenset[str], suffixes: Iterable[str]
) -> DicomSource:
    """`columns`: those that other flags name; `suffixes`: of the scans that are asked for. Raises CohortError for
    places that do not go together; ImportError, with the command, where a package is missing."""
    for package in ("pydicom", "dcm2niix", "ancpbids"):
        check_extra(package, "--dicom_dir", "dicom")
    folder = _to_path(flags.dicom_dir)
    if not folder.is_dir():
        raise CohortError(f"--dicom_dir: expected a folder, found none at {folder}")
    if flags.split_file is not None and flags.split_file.suffix != ".json":
        raise CohortError(
            f"--split_file {flags.split_file}: expected the splits.json of an earlier run, whose participants have "
            "hashed names, found a table. Add its column to --participants, or leave it out"
        )
    key = tree = None
    if not flags.dry_run:
        output = _to_path(flags.output_dir)
        tree = _to_path(flags.bids_out or output.with_name(f"{output.name}_bids"))
        key = _to_path(flags.dicom_key or output.with_name(f"{output.name}.dicom_key"))
        _check_places(folder, output, tree, key)
    rules = flags.dicom_rules and _to_path(flags.dicom_rules)
    table = flags.participants and _to_path(flags.participants)
    return DicomSource(folder, rules, key, tree, flags.jobs, table, said, tuple(sorted(columns)), tuple(suffixes))


def _to_path(path: Path) -> Path:
    return path.expanduser().resolve()


def _check_places(folder: Path, output: Path, tree: Path, key: Path) -> None:
    for shared, name in ((output, "--output_dir"), (tree, "--bids_out")):
        if key.is_relative_to(shared):
            raise CohortError(
                f"--dicom_key {key}: expected a file outside what is shared, found it in {name}. Name another place"
            )
    for place, name in ((output, "--output_dir"), (tree, "--bids_out")):
        for other, other_name in ((folder, "--dicom_dir"), (tree, "--bids_out"), (output, "--output_dir")):
            if other_name != name and place.is_relative_to(other):
                raise CohortError(
                    f"{name} {place}: expected a folder beside {other_name}, found it in there. Name another place"
                )
