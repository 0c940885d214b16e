"""What a cohort is read from, a BIDS tree or a table: its visits, and the scans that are asked for."""

from umbrella.cohort.bids.scans import find_bids_scans
from umbrella.cohort.bids.shared_scans import merge_visits_of_one_scan
from umbrella.cohort.bids.tree import find_scan_root, read_bids
from umbrella.cohort.options import Options
from umbrella.cohort.scan_check import drop_bad_scans
from umbrella.cohort.shared.visits import Exclusions, NoScansError, Visit, check_column
from umbrella.cohort.tables.table_rows import read_table
from umbrella.cohort.tables.visits import find_scans, to_visits


def read_visits(options: Options, exclusions: Exclusions) -> list[Visit]:
    """A visit for every row of the cohort's table, with or without a scan."""
    if options.bids_dir is not None:
        return read_bids(options.bids_dir, options.derivatives, options.participants, options.table, exclusions)
    table = read_table(options.participants, options.table)
    exclusions.notes += table.notes
    session_column = options.table.session_column
    if session_column is not None:
        check_column(session_column, table.columns, str(table.path), "--session_column")
    visits = to_visits(table, options.table.id_column, session_column, exclusions, session_column is not None)
    if not visits:
        raise NoScansError(f"{table.path}: expected rows that can be used, found none: {exclusions.summarise()}")
    return visits


def find_visits_scans(visits: list[Visit], options: Options, exclusions: Exclusions) -> list[Visit]:
    """The visits that have the scans asked for, each its own. Raises NoScansError where none has."""
    visits = _find_scans(visits, options, exclusions)
    if options.check_images and visits:
        visits = drop_bad_scans(visits, exclusions)
    if options.selection.study is not None and visits:
        exclusions.notes.append(options.selection.study.describe(visits).to_line(options.given))
    if not visits:
        reasons = "; ".join(f"{n} {reason}" for reason, n in exclusions.count_reasons().most_common(3))
        raise NoScansError(
            f"expected visits with scans of their own, found none: {reasons} (the last: {exclusions.rows[-1].detail})"
        )
    return visits


def _find_scans(visits: list[Visit], options: Options, exclusions: Exclusions) -> list[Visit]:
    if options.bids_dir is not None:
        root = find_scan_root(options.bids_dir, options.derivatives)
        complete = find_bids_scans(visits, root, options.selection, exclusions)
        return merge_visits_of_one_scan(complete, options.target.column, exclusions)
    sessions = options.selection.sessions
    chosen = [visit for visit in visits if not sessions or visit.session in sessions]
    for visit in visits:
        if sessions and visit.session not in sessions:
            exclusions.add_visit(visit, "session not chosen", f"--sessions {' '.join(sessions)}")
            exclusions.not_chosen.append(visit)
    root = options.image_root or options.participants.parent
    study, id_column = options.selection.study, options.table.id_column
    return find_scans(chosen, options.image_templates, str(root), id_column, exclusions, study=study)
