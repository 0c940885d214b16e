"""The table of --pairs: which rows, or which sessions of a subject, are repeats of one another."""

import csv
from dataclasses import dataclass
from pathlib import Path

DELIMITERS = {".tsv": "\t", ".csv": ","}
OF_ROWS, OF_SESSIONS = "task_id", "session"
COLUMNS = "task_id_1, task_id_2 (and more), or subject_id, session_1, session_2 (and more)"


@dataclass(frozen=True)
class PairsTable:
    """Lines of the same number of cells, two or more.

    subjects  the subject of each line of sessions; None of a table of task_ids
    lines     task_ids, or sessions, in the order in which they are compared
    places    "FILE:LINE" of each
    """

    path: str
    subjects: list[str] | None
    lines: list[tuple[str, ...]]
    places: list[str]


def read_pairs(path: str) -> PairsTable:
    """Raises ValueError, naming file and line, for what is no such table."""
    file = Path(path)
    if file.suffix.lower() not in DELIMITERS:
        raise ValueError(f"--pairs {path}: expected a name that ends in .tsv or .csv. Save the table as one of them")
    if not file.is_file():
        raise ValueError(f"--pairs {path}: expected a table, found no such file. Check the path")
    try:
        text = file.read_text(encoding="utf-8-sig")
        reader = csv.reader(text.splitlines(), delimiter=_find_delimiter(file, text), strict=True)
        numbered = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader]
    except UnicodeDecodeError as error:
        raise ValueError(f"--pairs {path}: expected text in UTF-8, found {error.reason}. Save it as UTF-8") from None
    except csv.Error as error:
        raise ValueError(f"--pairs {path}: expected a table, found {error}. Mend the line") from None
    filled = [(number, cells) for number, cells in numbered if any(cells)]
    header = filled[0][1] if filled else []
    is_of_sessions = header[:1] == ["subject_id"]
    names = header[1:] if is_of_sessions else header
    kind = OF_SESSIONS if is_of_sessions else OF_ROWS
    if len(names) < 2 or names != [f"{kind}_{i}" for i in range(1, len(names) + 1)]:
        found = ", ".join(header) or "nothing"
        raise ValueError(f"--pairs {path}: expected a first line {COLUMNS}, found {found}. Name the columns so")
    if len(filled) < 2:
        raise ValueError(f"--pairs {path}: expected a line for each pair, found the first line alone. Add them")
    for number, cells in filled[1:]:
        if len(cells) != len(header) or not all(cells):
            expected = f"{len(header)} cells, none of them empty"
            n = f"{sum(map(bool, cells))} filled of {len(cells)}"
            raise ValueError(f"--pairs {path}:{number}: expected {expected}, found {n}. Fill or remove the line")
    subjects = [cells[0] for _, cells in filled[1:]] if is_of_sessions else None
    lines = [tuple(cells[1:] if is_of_sessions else cells) for _, cells in filled[1:]]
    return PairsTable(path, subjects, lines, [f"{path}:{number}" for number, _ in filled[1:]])


def _find_delimiter(file: Path, text: str) -> str:
    """That of the name; a semicolon where the first line of a .csv has no comma, as in countries that write 0,5."""
    first = text.partition("\n")[0]
    delimiter = DELIMITERS[file.suffix.lower()]
    return ";" if delimiter == "," and ";" in first and "," not in first else delimiter
