"""In which ways the rows of a split can be divided: by each of their metadata, by their truth, by their scans."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from datasets import Dataset

from umbrella.evaluation.evidence.scan_measures import ScanMeasures
from umbrella.evaluation.results import NOT_STATED, bin_numbers, read_metadata, read_numbers
from umbrella.rows.scan_places import find_subject_places, name_kinds, read_suffixes

MOST_GROUPS = 20  # of words: more are names of subjects, files, dates
MOST_PLAIN = 6  # different numbers that are groups as they are: sessions, tesla
NOT_MEASURED = "not measured"
# Parts of the format, the subject, the truth; the scans' sequences are a column of their own.
NO_COLUMNS = {"extra", "_record", "subject_id", "subject_label", "suffixes", "absent"}


@dataclass(frozen=True)
class Column:
    """One way: its name, and the group of each row."""

    name: str
    groups: list[str]


def list_columns(rows: Dataset, records: Sequence[dict], measures: ScanMeasures) -> tuple[list[Column], list[str]]:
    """The columns that have groups to compare, and sentences on what has not."""
    columns = [Column(name, _group(name, read_metadata(rows, name))) for name in list_names(rows)]
    truths = [record.get("expected_label", record.get("expected_number")) for record in records]
    columns.append(Column("true answer", _group("true answer", truths)))
    columns.append(Column("modality of the scan", [_name_modalities(row) for row in rows.with_format(None)]))
    if any(map(read_suffixes, rows.with_format(None))):
        columns.append(Column("sequences", [_name_sequences(row) for row in rows.with_format(None)]))
    for name in sorted({name for of_row in measures.rows for name in of_row}):
        values = [of_row.get(name) for of_row in measures.rows]
        grouped = zip(values, _group(name, values), strict=True)
        columns.append(Column(name, [NOT_MEASURED if value is None else group for value, group in grouped]))
    notes = list(measures.notes)
    same = [column.name for column in columns if len(set(column.groups)) < 2]
    many = [column.name for column in columns if len(set(column.groups)) > MOST_GROUPS]
    if same:
        notes.append(f"The same in all rows: {', '.join(same)}.")
    if many:
        notes.append(f"Of more than {MOST_GROUPS} different values, and not compared: {', '.join(many)}.")
    return [column for column in columns if column.name not in {*same, *many}], notes


def _name_modalities(row: dict) -> str:
    own = dict.fromkeys(row["images"][place]["modality"] for place in find_subject_places(row))
    return " and ".join(sorted(own)) or NOT_STATED


def _name_sequences(row: dict) -> str:
    kinds = name_kinds(row)
    return ", ".join(sorted(kinds[place] for place in find_subject_places(row))) or NOT_STATED


def list_names(rows: Dataset) -> list[str]:
    """The names in the rows' metadata that at least one row has a value of, but for the subject and the truth."""
    entries = rows.with_format(None)["metadata"]
    merged = [{**json.loads(entry["extra"] or "{}"), **entry} for entry in entries]
    return sorted({name for entry in merged for name, value in entry.items() if value is not None} - NO_COLUMNS)


def _group(name: str, values: Sequence) -> list[str]:
    """Numbers in bins where they are many, all else as it is."""
    numbers, other = read_numbers(values)
    if other is None and len(set(numbers[numbers == numbers].tolist())) > MOST_PLAIN:
        return bin_numbers(name, values)
    return [
        NOT_STATED if value is None else f"{value:g}" if isinstance(value, float) else str(value) for value in values
    ]
