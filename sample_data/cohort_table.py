"""A participants table: rows → visits, and the scans that an image template names for them."""

import csv
import glob
import os
import string
from pathlib import Path

from cohort import CohortError, Exclusions, Visit, check_column, is_missing, suggest, to_key

_DELIMITERS = {".tsv": "\t", ".csv": ","}


def read_table(path: str | Path) -> list[dict[str, str]]:
    """The rows of a .tsv or .csv file with a header line, all cells text without outer white space.

    Raises CohortError that names the line: no such file, no rows, a column named twice, a line with too many or too
    few cells, text that is not UTF-8.
    """
    path = Path(path)
    if not path.is_file():
        raise CohortError(f"{path}: expected a table (.tsv or .csv), found no such file. Check the path")
    if path.suffix.lower() not in _DELIMITERS:
        raise CohortError(f"{path}: expected a name that ends in .tsv or .csv, found {path.name}")
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, delimiter=_DELIMITERS[path.suffix.lower()])
            header = [name.strip() for name in next(reader, [])]
            rows = []
            for cells in reader:
                if len(cells) == len(header):
                    rows.append(dict(zip(header, map(str.strip, cells), strict=True)))
                elif any(cells):  # a blank line holds no participant
                    raise CohortError(
                        f"{path}:{reader.line_num}: expected {len(header)} cells as in the header, found "
                        f"{len(cells)}. Mend the line, or name the file by its delimiter (.tsv or .csv)"
                    )
    except UnicodeDecodeError as error:
        raise CohortError(f"{path}: expected UTF-8 text, found byte {error.object[error.start]:#04x}") from None
    except csv.Error as error:
        raise CohortError(f"{path}:{reader.line_num}: expected cells of text, found: {error}") from None
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise CohortError(f"{path}: expected every column once, found {twice[0]!r} twice. Rename one")
    if not rows:
        raise CohortError(f"{path}: expected a header and at least one row, found no row")
    return rows


def to_visits(
    rows: list[dict[str, str]], source: str, id_column: str, session_column: str, exclusions: Exclusions
) -> list[Visit]:
    """One visit a row. The ids "01" and "sub-01" are one participant, written as in its first row.

    Left out and counted: rows without an id, repeated rows, and all rows of a visit whose rows contradict each other.
    """
    check_column(id_column, rows[0], source, "--id_column")
    has_sessions = session_column in rows[0]
    spelling: dict[str, str] = {}
    visits: dict[tuple[str, str], Visit] = {}
    contradicting: dict[tuple[str, str], str] = {}
    for number, row in enumerate(rows, 2):
        if is_missing(row[id_column]):
            exclusions.add("no id", f"{source}: row {number}: {id_column} is {row[id_column]!r}")
            continue
        session = row[session_column].removeprefix("ses-") if has_sessions else ""
        session = "" if is_missing(session) else session
        name = spelling.setdefault(to_key(row[id_column]), row[id_column])
        first = visits.setdefault((name, session), Visit(name, session, row))
        if first.values is row:
            continue
        if _compared(first.values, id_column) == _compared(row, id_column):
            exclusions.add("duplicate row", f"{source}: row {number}", name, session)
        else:
            columns = [column for column in row if column != id_column and row[column] != first.values[column]]
            contradicting[name, session] = (
                f"{source}: row {number}: another {', '.join(columns)} than before "
                f"(if these are sessions: --session_column COLUMN)"
            )
    for (name, session), detail in contradicting.items():
        exclusions.add("contradicting rows", detail, name, session)
    return [visit for key, visit in visits.items() if key not in contradicting]


def _compared(row: dict[str, str], id_column: str) -> list[str]:
    return [value for column, value in row.items() if column != id_column]


def find_scans(
    visits: list[Visit], templates: dict[str, str], root: str, id_column: str, exclusions: Exclusions
) -> list[Visit]:
    """The visits that have a scan of every modality of `templates` (modality → path with `{column}` fields).

    Relative paths count from `root`. An id is tried as written, then with the other form of its `sub-` prefix. Folders
    are listed once each; no scan is opened. Scans that fit a template and belong to no row are counted too.
    Raises CohortError for an unknown field, and where no row has a scan.
    """
    for modality, template in templates.items():
        _check_fields(template, modality, visits)
    listings: dict[str, frozenset[str]] = {}
    known: set[str] = set()
    complete = []
    for visit in visits:
        missing = None
        for modality, template in templates.items():
            path, reason = _find_scan(visit, template, root, id_column, listings)
            if path is None:
                missing = missing or (f"{modality}: {reason}")
            else:
                visit.scans[modality] = path
                known.add(path)
        if missing is None:
            complete.append(visit)
        else:
            exclusions.add_visit(visit, "no scan", missing)
    if not complete:
        raise CohortError(
            f"--image_template: expected scans of the {len(visits)} rows, found none; the first looked for is "
            f"{exclusions.rows[-len(visits)].detail}. Relative paths count from {root}"
        )
    for path in sorted(_find_all(templates, root) - known):
        exclusions.add("scan without a participant", path)
    return complete


def _check_fields(template: str, modality: str, visits: list[Visit]) -> None:
    columns = visits[0].values if visits else {}
    for field in _fields(template):
        if field not in columns:
            raise CohortError(
                f"--image_template ({modality}): expected fields that are columns of the table, found "
                f"{{{field}}}{suggest(field, columns)}"
            )


def _fields(template: str) -> list[str]:
    try:
        return [field for _, field, _, _ in string.Formatter().parse(template) if field is not None]
    except ValueError as error:
        raise CohortError(f"--image_template {template!r}: expected {{column}} fields, found: {error}") from None


def _find_scan(
    visit: Visit, template: str, root: str, id_column: str, listings: dict[str, frozenset[str]]
) -> tuple[str | None, str]:
    """(path, "") or (None, what was looked for)."""
    empty = [field for field in _fields(template) if is_missing(visit.values[field])]
    if empty:
        return None, f"the column {empty[0]} is {visit.values[empty[0]]!r}"
    written = visit.values[id_column]
    key = to_key(written)
    candidates = []
    for participant_id in dict.fromkeys((written, key, f"sub-{key}")):
        path = os.path.join(root, template.format_map({**visit.values, id_column: participant_id}))
        candidates.append(os.path.normpath(path))
    for path in candidates:
        if _exists(path, listings):
            return path, ""
    return None, candidates[0]


def _exists(path: str, listings: dict[str, frozenset[str]]) -> bool:
    folder, name = os.path.split(path)
    if folder not in listings:
        try:
            with os.scandir(folder) as entries:
                # Follows links: one that leads nowhere (data not fetched) is no file.
                listings[folder] = frozenset(entry.name for entry in entries if entry.is_file())
        except (FileNotFoundError, NotADirectoryError):
            listings[folder] = frozenset()
    return name in listings[folder]


def _find_all(templates: dict[str, str], root: str) -> set[str]:
    """All files whose names fit a template, whatever stands in its fields."""
    found = set()
    for template in templates.values():
        parts = [
            glob.escape(literal) + ("*" if field is not None else "")
            for literal, field, _, _ in string.Formatter().parse(template)
        ]
        pattern = "".join(parts)
        if pattern.strip("*/."):
            found |= {os.path.normpath(path) for path in glob.iglob(os.path.join(glob.escape(root), pattern))}
    return found
