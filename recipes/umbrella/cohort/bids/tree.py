"""A BIDS tree: participants.tsv and sessions.tsv → visits, scans by the entities in their names."""

import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

from umbrella.cohort.bids.labels import is_number, match_labels
from umbrella.cohort.bids.strangers import find_empty, refuse_sessions, refuse_strangers
from umbrella.cohort.shared.findings import Finding
from umbrella.cohort.shared.scan_places import is_folder
from umbrella.cohort.shared.visits import (
    CohortError,
    Exclusions,
    NoScansError,
    Visit,
    check_column,
    is_missing,
)
from umbrella.cohort.tables.table_rows import Table, TableOptions, read_table
from umbrella.cohort.tables.visits import SESSION_COLUMN, to_visits
from umbrella.records.cohort import NO_ROW, to_key


def read_bids(
    bids_dir: Path, derivatives: str | None, table: Path | None, said: TableOptions, exclusions: Exclusions
) -> list[Visit]:
    """The visits of all rows of `table` (default: participants.tsv), one for each session folder of the participant.

    A participant's sessions.tsv adds its columns to the visit's. `said` is of `table`; its column of sessions is that
    of the sessions.tsv too, where they have it. Raises CohortError where the tree, the table or a column is not there,
    and where no participant has a folder.
    """
    if not bids_dir.is_dir():
        raise CohortError(f"--bids_dir: expected a folder, found none at {bids_dir}")
    table = table or bids_dir / "participants.tsv"
    root = find_scan_root(bids_dir, derivatives)
    for folder in (bids_dir, root):
        empty = find_empty(folder)
        if empty is not None:
            raise CohortError(f"{folder}: expected a BIDS tree, found {empty}")
    folders = list_subjects(root)
    by_key = defaultdict(list)
    participants = read_table(table, said)
    exclusions.notes += participants.notes
    _check_session_column(said.session_column, participants, bids_dir)
    in_table = said.session_column if said.session_column in participants.columns else None
    for visit in to_visits(participants, said.id_column, in_table, exclusions, said.session_column is not None):
        by_key[to_key(visit.participant_id)].append(visit)
    if not by_key:
        raise NoScansError(
            f"{table}: expected rows of participants, found none that can be used: {exclusions.summarise()}"
        )
    contradicting = defaultdict(set)  # the sessions whose rows make no visit, and are no missing rows
    for visit in exclusions.contradicting:
        contradicting[to_key(visit.participant_id)].add(visit.session)
    keys = dict.fromkeys((*by_key, *contradicting))
    labels = match_labels(keys, folders, "sub", str(table))
    by_key = {labels[key]: by_key.get(key, []) for key in keys}
    contradicting = {labels[key]: sessions for key, sessions in contradicting.items()}
    if folders.keys().isdisjoint(by_key):
        raise refuse_strangers(bids_dir, table, said.id_column, list(by_key), folders, exclusions)
    visits, sessions_matched = [], Counter()
    for key, of_subject in by_key.items():
        sessions = list_sessions(folders[key]) if key in folders else []
        by_session = {visit.session: visit for visit in of_subject}
        path = bids_dir / f"sub-{key}" / f"sub-{key}_sessions.tsv"
        session_values = _read_sessions(path, f"sub-{key}", said.session_column, exclusions)
        unclear = contradicting.get(key, set())
        stated = sorted({*by_session, *session_values, *unclear} - {""})
        matched = match_labels(stated, sessions, "ses", f"{table}: sub-{key}")
        sessions_matched.update(f"{old} = ses-{new}" for old, new in matched.items() if old != new)
        by_session = {matched.get(session, session): visit for session, visit in by_session.items()}
        session_values = {matched[session]: values for session, values in session_values.items()}
        unclear = {matched.get(session, session) for session in unclear}
        for session in sessions or list(by_session):
            if session in unclear or (session not in by_session and "" in unclear):
                continue
            # A table without sessions says the same of all of them.
            row = by_session.get(session, by_session.get(""))
            values = {**(row.values if row else {}), **session_values.get(session, {})}
            if row is None and not session_values.get(session):
                exclusions.add("session without a row", f"{table}: no row of this session", f"sub-{key}", session)
            else:
                visits.append(Visit(f"sub-{key}", session, values))
        # A session that the participants' table has itself needs no folder where the tree has no sessions.
        expected = {*session_values, *(by_session if sessions else ())} - {"", *(sessions or by_session)}
        for session in sorted(expected):
            exclusions.add("no scan", f"no folder ses-{session}", f"sub-{key}", session)
    for key in sorted(folders.keys() - by_key.keys()):
        exclusions.add(NO_ROW, f"{folders[key]}: no row in {table}", f"sub-{key}")
    exclusions.notes += _describe_matches(labels, sessions_matched)
    if not visits:
        there = dict.fromkeys(session for key in by_key if key in folders for session in list_sessions(folders[key]))
        raise refuse_sessions(table, said.session_column or SESSION_COLUMN, participants, list(there), exclusions)
    return visits


def _check_session_column(column: str | None, participants: Table, bids_dir: Path) -> None:
    """Raises CohortError where neither the participants' table nor any sessions.tsv has the column that is stated."""
    if column is None or column in participants.columns:
        return
    tables = [read_table(path) for path in bids_dir.glob("sub-*/sub-*_sessions.tsv")]
    if not any(column in table.columns for table in tables):
        source = f"{participants.path}{' and the sessions.tsv' if tables else ''}"
        columns = dict.fromkeys(name for table in (participants, *tables) for name in table.columns)
        check_column(column, columns, source, "--session_column")


def _describe_matches(labels: dict[str, str], sessions: Counter[str]) -> list[str]:
    participants = Counter(f"{old} = sub-{new}" for old, new in labels.items() if old != new)
    texts = []
    for matches, what in ((participants, "participants"), (sessions, "sessions")):
        for how, by_number in (("their number", True), ("their name in other letters, small or capital", False)):
            some = {pair: n for pair, n in matches.items() if is_number(pair.split(" = ")[0]) == by_number}
            if some:
                shown = ", ".join(list(some)[:3])
                texts.append(f"{sum(some.values())} {what} by {how}, as {shown}: no other folder has it")
    return [Finding("folders", text).to_line(frozenset()) for text in texts]


def resolve_sessions(chosen: tuple[str, ...], visits: list[Visit]) -> tuple[str, ...]:
    """--sessions as the visits spell them. Raises CohortError for one that no visit has."""
    counts = Counter(visit.session for visit in visits)
    matched = match_labels(chosen, counts, "ses", "--sessions")
    for session, name in matched.items():
        if name not in counts:
            there = ", ".join(f"{other} ({n})" for other, n in counts.most_common(10) if other) or "none"
            raise CohortError(f"--sessions {session}: expected sessions of the cohort, found none. There are: {there}")
    return tuple(matched.values())


def find_sidecars(bids_dir: Path, table: Path | None) -> Iterator[Path]:
    """The JSON files that describe the columns of `table` (default: participants.tsv) and of the sessions.tsv."""
    yield (table or bids_dir / "participants.tsv").with_suffix(".json")
    yield bids_dir / "sessions.json"
    yield from sorted(bids_dir.glob("sub-*/sub-*_sessions.json"))


def find_scan_root(bids_dir: Path, derivatives: str | None) -> Path:
    """The folder with the sub-* folders of the scans: the tree itself, or a derivative of it (a name or a path)."""
    if derivatives is None:
        return bids_dir
    for root in (bids_dir / "derivatives" / derivatives, Path(derivatives)):
        if root.is_dir():
            return root.resolve()
    there = ", ".join(list_derivatives(bids_dir)) or "none"
    raise CohortError(f"--derivatives {derivatives}: expected a folder in {bids_dir / 'derivatives'}, found {there}")


def list_derivatives(bids_dir: Path) -> list[str]:
    """The names of the folders in `derivatives/`, none where there is no such folder."""
    parent = bids_dir / "derivatives"
    return sorted(path.name for path in parent.iterdir() if path.is_dir()) if parent.is_dir() else []


def list_subjects(root: Path) -> dict[str, str]:
    """Participant without "sub-" → its folder."""
    with os.scandir(root) as entries:
        names = sorted(entry.name for entry in entries if entry.name.startswith("sub-") and is_folder(entry))
    return {to_key(name): os.path.join(root, name) for name in names}


def list_sessions(folder: str) -> list[str]:
    """The sessions of a participant's folder, without "ses-"."""
    with os.scandir(folder) as entries:
        return sorted(entry.name[4:] for entry in entries if entry.name.startswith("ses-") and is_folder(entry))


def _read_sessions(
    path: Path, participant_id: str, stated: str | None, exclusions: Exclusions
) -> dict[str, dict[str, str]]:
    """Session without "ses-" → its row; empty where there is no such file.

    The sessions are in the column that is `stated`, where the table has it, else in session_id. Rows without a session
    and repeated ones are left out and counted. Raises CohortError for a table without such a column, and for two rows
    of a session that contradict each other.
    """
    if not os.path.lexists(path):  # a link that leads nowhere is a table that was not fetched
        return {}
    table = read_table(path)
    exclusions.notes += table.notes
    column = stated if stated in table.columns else SESSION_COLUMN
    if column not in table.columns:
        expected = column if stated is None else f"{stated} (--session_column) or {SESSION_COLUMN}"
        raise CohortError(f"{path}: expected a column {expected}, found {', '.join(table.columns)}. Name it so")
    of_session: dict[str, dict[str, str]] = {}
    for line, row in zip(table.lines, table.rows, strict=True):
        session = row[column].removeprefix("ses-")
        if is_missing(session):
            exclusions.add("no id", f"{path}:{line}: {column} is {session!r}", participant_id)
        elif of_session.setdefault(session, row) is row:
            continue
        elif of_session[session] | {column: ""} == row | {column: ""}:
            exclusions.add("duplicate row", f"{path}:{line}", participant_id, session)
        else:
            raise CohortError(
                f"{path}:{line}: expected one row of session {session}, found another with other values. Delete one"
            )
    return of_session
