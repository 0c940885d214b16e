"""What --dicom_dir and the flags beside it say."""

from pathlib import Path
from typing import NamedTuple

from umbrella.cohort.tables.table_rows import TableOptions


class DicomSource(NamedTuple):
    """Where DICOM files are read, and where and how they become a BIDS tree.

    folder   read with all that it holds, never written to
    rules    a YAML file; None: the rules that come with the library
    key      of the hashes; made where it is not there. None: a dry run, which hashes nothing
    tree     the BIDS tree to write, kept and gone on with by a second run. None: a dry run
    jobs     processes that read headers, conversions at once
    table    of the participants, whose ids are in PatientID; None: only the headers say something of them
    said     how to read that table
    columns  those that other flags name: no other column of the table is written
    suffixes those of the scans that the conversations need, each of some series
    """

    folder: Path
    rules: Path | None
    key: Path | None
    tree: Path | None
    jobs: int
    table: Path | None
    said: TableOptions
    columns: tuple[str, ...]
    suffixes: tuple[str, ...]
