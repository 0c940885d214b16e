"""A participants table: rows → visits, and the scans that an image template names for them."""

import os

from umbrella.cohort.shared.scan_places import drop_unfetched, is_folder
from umbrella.cohort.shared.study import Study
from umbrella.cohort.shared.visits import (
    CohortError,
    Exclusions,
    NoScansError,
    Visit,
    check_column,
    is_missing,
)
from umbrella.cohort.tables.image_template import ImageTemplate, parse_template
from umbrella.cohort.tables.table_rows import Table
from umbrella.files.contained_files import find_size, is_remote
from umbrella.records.cohort import CONTRADICTING, NO_ROW, to_key
from umbrella.rows.remote_scans import know_files

SESSION_COLUMN = "session_id"


def to_visits(
    table: Table,
    id_column: str,
    session_column: str | None,
    exclusions: Exclusions,
    is_stated: bool = False,
) -> list[Visit]:
    """One visit a row. The ids "01" and "sub-01" are one participant, written as in its first row. The sessions are in
    `session_column`; None: in session_id, where the table has it. `is_stated`: a flag says where they are.

    Left out and counted: rows without an id, repeated rows, and all rows of a visit whose rows contradict each other.
    """
    check_column(id_column, table.columns, str(table.path), "--id_column")
    has_sessions = session_column is not None or SESSION_COLUMN in table.columns
    session_column = session_column or SESSION_COLUMN
    spelling: dict[str, str] = {}
    visits: dict[tuple[str, str], Visit] = {}
    contradicting: dict[tuple[str, str], str] = {}
    for line, row in zip(table.lines, table.rows, strict=True):
        if is_missing(row[id_column]):
            exclusions.add("no id", f"{table.path}:{line}: {id_column} is {row[id_column]!r}")
            continue
        session = row[session_column].removeprefix("ses-") if has_sessions else ""
        session = "" if is_missing(session) else session
        name = spelling.setdefault(to_key(row[id_column]), row[id_column])
        first = visits.setdefault((name, session), Visit(name, session, row))
        if first.values is row:
            continue
        if _compared(first.values, id_column) == _compared(row, id_column):
            exclusions.add("duplicate row", f"{table.path}:{line}", name, session)
        else:
            columns = [column for column in row if column != id_column and row[column] != first.values[column]]
            advice = "" if is_stated else " (if these are sessions: --session_column COLUMN)"
            contradicting[name, session] = f"{table.path}:{line}: another {', '.join(columns)} than before{advice}"
    for (name, session), detail in contradicting.items():
        exclusions.add(CONTRADICTING, detail, name, session)
        exclusions.contradicting.append(visits[name, session])
    return [visit for key, visit in visits.items() if key not in contradicting]


def _compared(row: dict[str, str], id_column: str) -> list[str]:
    return [value for column, value in row.items() if column != id_column]


REPEATED = "Correct or remove one of the rows"
REPEATED_BY_TEMPLATE = "Add the {column} that tells them apart"


def find_scans(
    visits: list[Visit],
    templates: dict[str, str],
    root: str,
    id_column: str,
    exclusions: Exclusions,
    column: str | None = None,
    study: Study | None = None,
) -> list[Visit]:
    """The visits that have a scan of every modality of `templates` (modality → path with `{column}` fields). Of a
    study a sequence may be absent: its cell is empty, or there is no file where the template says it would be.

    Relative paths count from `root`. An id is tried as written, then with the other form of its `sub-` prefix. Folders
    are listed once each; no scan is opened. Scans that fit a template and belong to no row are counted too.
    `column`: that --image_column names, where the template is that alone; what is wrong is then said of it.
    Raises CohortError for a template that does not fit the table (see `parse_template`), one that gives two rows, or
    two modalities of a row, the same scan, and where no row has a scan.
    """
    if not visits:
        reasons = ", ".join(f"{n} {reason}" for reason, n in exclusions.count_reasons().most_common(4))
        raise NoScansError(f"expected rows to look for scans of, found none; left out: {reasons or 'nothing'}")
    flag = "--image_column" if column else "--image_template"
    parsed = {
        modality: parse_template(os.path.expanduser(text), visits[0].values, f"{flag} ({modality})")
        for modality, text in templates.items()
    }
    places = (_list_places(visit, template, root, id_column) for visit in visits for template in parsed.values())
    know_files(path for paths in places for path in paths)
    listings: dict[str, frozenset[str]] = {}
    owners: dict[str, tuple[Visit, str]] = {}
    complete = []
    for visit in visits:
        missing = None
        for modality, template in parsed.items():
            path, reason = _find_scan(visit, template, root, id_column, listings)
            if path is None and study is not None and _is_absent(visit, template):
                continue
            if path is None:
                missing = missing or (f"{modality}: {reason}")
            else:
                visit.scans[modality] = path
                given = f"--image_column {column}" if column else f"--image_template ({modality}) {template.text!r}"
                _check_owner(path, visit, modality, owners, given, REPEATED if column else REPEATED_BY_TEMPLATE)
        if missing is not None:
            exclusions.add_visit(visit, "no scan", missing)
        elif study is None or study.is_enough(visit, exclusions):
            complete.append(visit)
    complete = drop_unfetched(complete, exclusions)
    if not complete:
        raise NoScansError(
            f"{flag}: expected scans of the {len(visits)} rows, found none; the first looked for is "
            f"{exclusions.rows[-len(visits)].detail}. Relative paths count from {root}"
        )
    owned = {*owners}
    for visit in (*exclusions.contradicting, *exclusions.not_chosen):
        owned |= {_find_scan(visit, template, root, id_column, listings)[0] for template in parsed.values()}
    fitting = set() if is_remote(root) else set().union(*(template.find_all(root) for template in parsed.values()))
    for path in sorted(fitting - owned):
        exclusions.add(NO_ROW, path)
    return complete


def _is_absent(visit: Visit, template: ImageTemplate) -> bool:
    """Whether a scan that was not found was not promised either: a cell that holds a whole path promises it."""
    if any(is_missing(visit.values[column]) for column in template.columns):
        return True
    return len(template.parts) > 1 and template.write(visit.values) is not None


def _check_owner(
    path: str, visit: Visit, modality: str, owners: dict[str, tuple[Visit, str]], given: str, remedy: str
) -> None:
    """Raises CohortError where another row has the scan already: one of them would be asked about another's head; and
    where this one has it as another modality, or sequence, than it is."""
    owner, name = owners.setdefault(path, (visit, modality))
    if owner is visit and name != modality:
        who = f"{visit.participant_id}{visit.session and f' session {visit.session}'}"
        raise CohortError(
            f"{given}: expected a scan of its own for each of {name} and {modality}, found {path} for both of {who}. "
            "Correct its row"
        )
    if owner is not visit:
        rows = [f"{other.participant_id}{other.session and f' session {other.session}'}" for other in (owner, visit)]
        raise CohortError(
            f"{given}: expected a scan of its own for every row, found {path} for {rows[0]} and for "
            f"{rows[1]}. {remedy}"
        )


def _find_scan(
    visit: Visit, template: ImageTemplate, root: str, id_column: str, listings: dict[str, frozenset[str]]
) -> tuple[str | None, str]:
    """(path, "") or (None, what was looked for)."""
    for column in template.columns:
        if is_missing(visit.values[column]):
            return None, f"the column {column} is {visit.values[column]!r}"
    candidates = _list_places(visit, template, root, id_column)
    for path in candidates:
        if _exists(path, listings):
            return path, ""
    if candidates:
        return None, candidates[0]
    return None, f"{template.text}: its numbers are none in this row"


def _list_places(visit: Visit, template: ImageTemplate, root: str, id_column: str) -> list[str]:
    """Where the scan of a visit may be, by each spelling of its participant; none where a column has no value."""
    if any(is_missing(visit.values[column]) for column in template.columns):
        return []
    written = visit.values[id_column]
    key = to_key(written)
    names = dict.fromkeys((written, key, f"sub-{key}"))
    paths = [template.write({**visit.values, id_column: name}) for name in names]
    return [_join(root, path) for path in paths if path is not None]


def _join(root: str, path: str) -> str:
    """Addresses of objects stay as they are written."""
    if is_remote(path):
        return path
    return f"{root.rstrip('/')}/{path}" if is_remote(root) else os.path.normpath(os.path.join(root, path))


def _exists(path: str, listings: dict[str, frozenset[str]]) -> bool:
    if is_remote(path):
        return find_size(path) is not None
    folder, name = os.path.split(path)
    if folder not in listings:
        try:
            with os.scandir(folder) as entries:
                # A link that leads nowhere is a scan's place too, whose data was not fetched.
                listings[folder] = frozenset(entry.name for entry in entries if not is_folder(entry))
        except (FileNotFoundError, NotADirectoryError):
            listings[folder] = frozenset()
    return name in listings[folder]
