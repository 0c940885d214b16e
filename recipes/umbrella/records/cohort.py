"""What a cohort's data folder tells of its participants: exclusions.tsv and splits.json beside the conversations."""

import csv
from pathlib import Path
from typing import NamedTuple

from umbrella.files.json_files import read_json

EXCLUSIONS, SPLITS_FILE = "exclusions.tsv", "splits.json"
EXTERNAL = "external"  # the held-out site, in a data folder of its own within the cohort's
NO_ROW = "scan without a participant"  # the reason of a scan whose participant no table has
CONTRADICTING = "contradicting rows"  # of a participant, or a visit, of whom a table says two things
REMEDY = "Restore the file, or generate the conversations again"


class Exclusion(NamedTuple):
    """Something that was found and is not used. `reason` is a short name to count by."""

    participant_id: str
    session: str
    reason: str
    detail: str


def to_key(participant_id: str) -> str:
    """What two spellings of one participant share: "sub-01" and "01" are the same."""
    return participant_id.strip().removeprefix("sub-")


def find_cohort_folder(json_dir: str | Path) -> Path:
    """The folder whose records are of these conversations: the data folder itself, or, of a held-out site, the one
    that it lies in."""
    folder = Path(json_dir).expanduser()
    parent = folder.resolve().parent
    if folder.resolve().name == EXTERNAL and not (folder / SPLITS_FILE).is_file():
        record = read_splits(parent) or {"splits": {}}
        return parent if EXTERNAL in record["splits"] else folder
    return folder


def read_exclusions(folder: Path) -> list[Exclusion] | None:
    """What a cohort's folder says was left out; None where it has no exclusions.tsv.

    Raises ValueError for a file that is no such table.
    """
    path = folder / EXCLUSIONS
    if not path.is_file():
        return None
    try:
        with open(path, encoding="utf-8", newline="") as file:
            header, *rows = csv.reader(file, delimiter="\t", strict=True)
    except (ValueError, csv.Error):  # of no row, no UTF-8, an open quote
        header, rows = [], []
    if tuple(header) != Exclusion._fields or any(len(row) != len(header) for row in rows):
        raise ValueError(
            f"{path}: expected a table of {', '.join(Exclusion._fields)}, found other columns or none. {REMEDY}"
        )
    return [Exclusion(*row) for row in rows]


def read_splits(folder: Path) -> dict | None:
    """A cohort's splits.json: `splits` (name → participants), and by what they were divided; None where there is none.

    Raises ValueError for a file that is no such record.
    """
    path = folder / SPLITS_FILE
    return read_json(path, dict, ("splits",), REMEDY) if path.is_file() else None
