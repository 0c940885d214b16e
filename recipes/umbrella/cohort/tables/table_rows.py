"""A .tsv or .csv file → rows, so that no line can vanish: a line is in one row, is blank, or is the error's.

Quotes are those of RFC 4180 in both kinds (BIDS, too, has cells with tabs in double quotes): a cell that begins with a
quote ends with one, a quote within it is written twice. Any other quote is a character like others.
"""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from umbrella.cohort.shared.visits import CohortError
from umbrella.cohort.tables.delimiter import DELIMITERS, SUFFIXES, Division, divide, name_delimiter
from umbrella.cohort.tables.text import decode_table, split_lines
from umbrella.scans.not_a_scan import find_unfetched


@dataclass(frozen=True)
class TableOptions:
    """What the user says of the participants' table."""

    delimiter: str | None = None  # None: told from the file, as is the encoding
    encoding: str | None = None
    id_column: str = "participant_id"
    session_column: str | None = None  # None: session_id, where the table has it


@dataclass(frozen=True)
class Table:
    """Rows under their columns, all cells text without outer white space."""

    path: Path
    columns: list[str]
    rows: list[dict[str, str]]
    lines: list[int]  # where each row begins
    notes: list[str] = field(default_factory=list)  # what was inferred, and from what


class _Record(NamedTuple):
    """The cells of one line, or of several where a line break is inside quotes."""

    line: int
    n_lines: int
    cells: list[str]


def read_table(path: str | Path, said: TableOptions | None = None) -> Table:
    """The rows of a table with a header line. `said` is None for a table that no flag speaks of.

    The delimiter is that of the name (.tsv: tab, .csv: comma), that of Excel's first line `sep=;`, or the only one
    that the header and all rows fit. Blank lines, and lines of delimiters alone, hold no row.
    Raises CohortError that names the line for all else: a quote that is not closed, too many or too few cells, a
    column without a name or named twice, the header again, text of an unknown encoding, no row, no data fetched.
    """
    path = Path(path)
    unfetched = find_unfetched(path, "table")
    if unfetched is not None:
        raise CohortError(f"{path}: expected a table (.tsv or .csv), found {unfetched}")
    if not path.is_file():
        raise CohortError(f"{path}: expected a table (.tsv or .csv), found no such file. Check the path")
    if path.suffix.lower() not in SUFFIXES:
        raise CohortError(
            f"{path}: expected a name that ends in .tsv or .csv, found {path.name}. Save the table as one of them"
        )
    has_flags, said = said is not None, said or TableOptions()
    text, notes = decode_table(path, path.read_bytes(), said.encoding, has_flags)
    division = divide(path, text, said.delimiter, has_flags)
    records = [record for record in _read_records(path, division) if any(record.cells)]
    if len(records) < 2:
        raise CohortError(
            f"{path}: expected a header and at least one row, found {'no row' if records else 'neither'}"
        )
    _check_line_breaks(path, records, division)
    header, *rows = records
    notes += division.notes + _drop_trailing(path, header, rows, division.delimiter)
    _check_header(path, header, rows, division.delimiter)
    _check_cells(path, header, rows, division.delimiter)
    notes += _describe_line_breaks(path, rows)
    values = [dict(zip(header.cells, row.cells, strict=True)) for row in rows]
    return Table(path, header.cells, values, [row.line for row in rows], notes)


def _read_records(path: Path, division: Division) -> Iterator[_Record]:
    """All records, blank ones included; cells without outer white space."""
    reader = csv.reader(io.StringIO(division.text, newline=""), delimiter=division.delimiter, strict=True)
    end = 0
    while True:
        line = end + 1 + division.n_skipped
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise CohortError(f"{path}:{line}: {_describe_csv_error(error, reader.line_num - end)}") from None
        for cell in cells:
            if cell[:1] == " " and cell.lstrip()[:1] == '"':
                raise CohortError(
                    f"{path}:{line}: expected quotes around a whole cell, found a space before one in {cell!r}. "
                    "Delete the space"
                )
        yield _Record(line, reader.line_num - end, [cell.strip() for cell in cells])
        end = reader.line_num


def _describe_csv_error(error: csv.Error, n_lines: int) -> str:
    if "end of data" in str(error):
        return (
            f"expected a closing quote, found none in the {n_lines} lines to the table's end. Close the quote that a "
            "cell of this line begins with, or delete it"
        )
    if "expected after" in str(error):
        return (
            f"expected a cell that begins with a quote to end with one, found text after its second quote"
            f"{f', {n_lines - 1} lines below' if n_lines > 1 else ''}. Close the quote or delete it; a quote within a "
            'quoted cell is written twice ("")'
        )
    return f"expected cells of text, found: {error}"


def _check_line_breaks(path: Path, records: list[_Record], division: Division) -> None:
    """Raises CohortError where a record holds a line that could be a row of its own: its quote may be one that was
    never closed, and that the next quote below closes."""
    n_columns, n_skipped = len(records[0].cells), division.n_skipped
    lines = split_lines(division.text)
    for record in records:
        start = record.line - n_skipped
        for number in range(start, start + record.n_lines - 1):
            if lines[number].count(division.delimiter) >= n_columns - 1:
                raise CohortError(
                    f"{path}:{record.line}: expected quotes that close in their line, found one that goes on over "
                    f"line {number + 1 + n_skipped}, which has the {n_columns} cells of a row. Close the quote or "
                    "delete it; if the cell has a line break, put a space in its place"
                )


def _describe_line_breaks(path: Path, records: list[_Record]) -> list[str]:
    broken = [record for record in records if record.n_lines > 1]
    if not broken:
        return []
    n_lines = sum(record.n_lines for record in records)
    return [
        f"{path}: {len(records)} rows in {n_lines} lines: {len(broken)} with line breaks inside quotes, the first in "
        f"line {broken[0].line}"
    ]


def _drop_trailing(path: Path, header: _Record, records: list[_Record], delimiter: str) -> list[str]:
    """Drop the empty cells that every line ends in. A delimiter that all of several rows, but not the header, end in
    is said. A header or a single row that alone ends in one stays: it may be two lines that have run together."""
    while header.cells and not header.cells[-1]:
        if any(len(record.cells) != len(header.cells) or record.cells[-1] for record in records):
            return []
        for record in (header, *records):
            record.cells.pop()
    n_columns = len(header.cells)
    if len(records) < 2 or any(len(record.cells) != n_columns + 1 or record.cells[-1] for record in records):
        return []
    for record in records:
        record.cells.pop()
    return [f"{path}: all {len(records)} rows end in a {name_delimiter(delimiter)} that the header has not"]


def _check_header(path: Path, header: _Record, records: list[_Record], delimiter: str) -> None:
    names = header.cells
    if len(names) == 1:
        _check_one_column(path, header, records, delimiter)
    if "" in names:
        raise CohortError(
            f"{path}:{header.line}: expected a name for every column, found none for column {names.index('') + 1} of "
            f"{len(names)}. Name it or leave the column out (row numbers: index=False in pandas, row.names=FALSE in R)"
        )
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise CohortError(
            f"{path}:{header.line}: expected every column once, found {', '.join(map(repr, twice))} twice. Rename one"
        )


def _check_one_column(path: Path, header: _Record, records: list[_Record], delimiter: str) -> None:
    """Raises CohortError where other characters, or spaces, divide all rows."""
    for other in (*DELIMITERS.values(), None):
        if all(len(record.cells[0].split(other)) > 1 for record in records):
            raise CohortError(
                f"{path}:{records[0].line}: expected cells that are divided by {name_delimiter(delimiter)}, found "
                f"{'spaces' if other is None else name_delimiter(other)} between them: {records[0].cells[0]!r}, under "
                f"the header {header.cells[0]!r}. Divide header and rows by {name_delimiter(delimiter)}"
            )


def _check_cells(path: Path, header: _Record, records: list[_Record], delimiter: str) -> None:
    name = name_delimiter(delimiter)
    for record in records:
        n_cells = len(record.cells)
        if n_cells != len(header.cells):
            hint = (
                f"A cell with a {name} in it stands in double quotes"
                if n_cells > len(header.cells)
                else f"An empty cell has its {name} too; a cell with a line break in it stands in double quotes"
            )
            raise CohortError(
                f"{path}:{record.line}: expected {len(header.cells)} cells as in the header, found {n_cells}. {hint}"
            )
        if record.cells == header.cells:
            raise CohortError(
                f"{path}:{record.line}: expected one header, found it again: two tables joined? Delete this line"
            )
