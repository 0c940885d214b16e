"""Which character divides a table's columns: what the user says, Excel's first line, or what all lines fit."""

import csv
import io
import re
from pathlib import Path
from typing import NamedTuple

from umbrella.cohort.shared.visits import CohortError

DELIMITERS = {"tab": "\t", "comma": ",", "semicolon": ";", "pipe": "|"}
_NAMES = {character: name for name, character in DELIMITERS.items()}
SUFFIXES = {".tsv": "\t", ".csv": ","}
_SEP_LINE = re.compile(r'"?sep=([^"\r\n])"?[ \t]*(?:\r\n|\r|\n|$)', re.IGNORECASE)  # Excel's first line


class Division(NamedTuple):
    """How a table's text is divided."""

    delimiter: str
    text: str  # without Excel's line
    n_skipped: int  # lines before the text
    notes: list[str]  # what was inferred, and from what


def divide(path: Path, text: str, said: str | None, has_flags: bool) -> Division:
    """Raises CohortError where two delimiters would do; the remedy is a flag where the table `has_flags`."""
    by_name = SUFFIXES[path.suffix.lower()]
    first = _SEP_LINE.match(text)
    text, n_skipped = (text, 0) if first is None else (text[first.end() :], 1)
    delimiter = said or (first and first[1]) or _choose(path, text, by_name, has_flags)
    notes = []
    if not said and delimiter != by_name:
        evidence = _compare(text, delimiter, by_name) if first is None else "as its first line says"
        flag = " (else: --delimiter)" if has_flags else ""
        notes.append(f"{path}: columns are divided by {name_delimiter(delimiter)}: {evidence}{flag}")
    return Division(delimiter, text, n_skipped, notes)


def name_delimiter(character: str) -> str:
    """A delimiter as a sentence calls it."""
    return _NAMES.get(character, repr(character))


def _choose(path: Path, text: str, by_name: str, has_flags: bool) -> str:
    """The name's delimiter where the header has it and no other, or where all lines fit it and it makes most columns;
    else the only one that they fit, if it makes more columns than the name's makes of the header."""
    counts = {delimiter: _count_columns(text, delimiter) for delimiter in DELIMITERS.values()}
    counts = {delimiter: count for delimiter, count in counts.items() if count > 1}
    if len(counts) <= 1:
        return next(iter(counts), by_name)
    fitting = {delimiter: count for delimiter, count in counts.items() if _fits(text, delimiter, count)}
    most = [delimiter for delimiter, count in fitting.items() if count == max(fitting.values())]
    if (len(fitting) == 1 and counts[most[0]] > counts.get(by_name, 0)) or most == [by_name]:
        return most[0]
    if by_name not in fitting and by_name in counts:  # the line that does not fit it is the error to come
        return by_name
    if not fitting:
        return max(counts, key=lambda delimiter: counts[delimiter])
    found = " and ".join(f"{count} columns by {_NAMES[delimiter]}" for delimiter, count in fitting.items())
    remedy = "Give --delimiter" if has_flags else "Put cells in double quotes that have such a character in them"
    raise CohortError(f"{path}: expected one delimiter that all lines fit, found {found}. {remedy}")


def _count_columns(text: str, delimiter: str) -> int:
    """The number of cells in the first line that is not blank; 0 where it has none by this delimiter."""
    try:
        records = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        return len(next(filter(any, records), []))
    except csv.Error:
        return 0


def _fits(text: str, delimiter: str, n_columns: int) -> bool:
    try:
        records = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        return all(len(cells) == n_columns for cells in records if any(map(str.strip, cells)))
    except csv.Error:
        return False


def _compare(text: str, delimiter: str, by_name: str) -> str:
    return (
        f"by it the header and all rows have {_count_columns(text, delimiter)} cells; by {_NAMES[by_name]}, as the "
        f"file's name says, the header has {_count_columns(text, by_name) or 'none'}"
    )
