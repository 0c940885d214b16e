"""What --dry_run says of a cohort: what the tree and the table hold, and which scans the flags choose."""

from collections import Counter
from dataclasses import replace

from umbrella.answers.numbers import find_number_format
from umbrella.cohort.bids.inventory import describe_inventory, join_counts, take_inventory
from umbrella.cohort.bids.tree import find_scan_root, list_derivatives, list_subjects, resolve_sessions
from umbrella.cohort.options import Options
from umbrella.cohort.shared.visits import CohortError, Exclusions, NoScansError, is_missing
from umbrella.cohort.sources import find_visits_scans, read_visits
from umbrella.cohort.tables.column_kind import infer_kind, read_numbers
from umbrella.cohort.tables.table_rows import read_table


def describe_source(options: Options) -> str:
    """What there is. Raises CohortError, after printing the tree, where its table cannot be read."""
    if options.bids_dir is not None and options.bids_dir.is_dir():
        root = find_scan_root(options.bids_dir, options.derivatives)
        folders = [*list_subjects(root).values()]
        print("\n".join([f"{root}:", *(f"  {line}" for line in describe_inventory(take_inventory(folders)))]))
        derivatives = list_derivatives(options.bids_dir)
        if derivatives:
            print(f"  derivatives (--derivatives NAME): {', '.join(derivatives)}")
    source = options.participants or options.bids_dir / "participants.tsv"
    try:
        visits = read_visits(options, Exclusions())
    except CohortError:  # its columns are there all the same; what is wrong is said with the choice
        rows = read_table(source, options.table).rows
        lines = [f"{source}: {len(rows)} rows"]
    else:
        rows = [visit.values for visit in visits]
        participants = {visit.participant_id for visit in visits}
        lines = [f"{source}: {len(participants)} participants, {len(visits)} visits"]
    columns = dict.fromkeys(name for row in rows for name in row)
    return "\n".join([*lines, *(f"  {_describe_column(name, rows)}" for name in columns)]) + "\n"


def _describe_column(name: str, rows: list[dict[str, str]]) -> str:
    cells = [cell for row in rows if not is_missing(cell := row.get(name))]
    missing = f"; {len(rows) - len(cells)} missing" if len(cells) < len(rows) else ""
    if not cells:
        return f"{name}: no value{missing}"
    numbers = read_numbers(cells, find_number_format(cells)[0])
    kind = infer_kind(cells, numbers)
    if kind.name == "categorical":
        return f"{name}: categorical, {join_counts(Counter(cells))}{missing} ({kind.evidence})"
    values = [numbers[cell] for cell in cells if cell in numbers]
    return f"{name}: numeric, {min(values):g} to {max(values):g}{missing} ({kind.evidence})"


def describe_choice(options: Options) -> str:
    """Which visits have the scans that the flags ask for, or why none has."""
    exclusions = Exclusions()
    try:
        visits = read_visits(options, exclusions)
    except CohortError as error:
        return f"chosen: no scan. {error}"
    sessions = resolve_sessions(options.selection.sessions, visits)
    options = replace(options, selection=replace(options.selection, sessions=sessions))
    try:
        visits = find_visits_scans(visits, options, exclusions)
    except NoScansError as error:
        return f"chosen: no scan. {error}"
    n_participants = len({visit.participant_id for visit in visits})
    lines = [f"chosen: scans of {len(visits)} visits, {n_participants} participants, as"]
    lines += [f"  {modality}: {path}" for modality, path in visits[0].scans.items()]
    lines += [f"left out: {n} {reason}" for reason, n in exclusions.count_reasons().most_common()]
    return "\n".join([*lines, *exclusions.notes])
