"""In which ways the rows of a split can be divided: by each of their metadata, by their truth, by their scans."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from datasets import Dataset

from umbrella.evaluation.evidence.scan_measures import ScanMeasures
from umbrella.evaluation.results import NOT_STATED, bin_numbers, read_metadata, read_numbers

MOST_GROUPS = 20  # of words: more are names of subjects, files, dates
MOST_PLAIN = 6  # different numbers that are groups as they are: sessions, tesla
NOT_MEASURED = "not measured"
NO_COLUMNS = {"extra", "_record", "subject_id", "subject_label"}  # parts of the format, the subject, the truth


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
    modalities = [images[-1]["modality"] if images else NOT_STATED for images in rows.with_format(None)["images"]]
    columns.append(Column("modality of the scan", modalities))
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
