"""The scans that are asked about, one a row of the answers: of a BIDS tree, of a table's rows, or all in a folder."""

import os
from argparse import Namespace
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from umbrella.cohort.bids.scans import find_bids_scans
from umbrella.cohort.bids.selection import to_selection
from umbrella.cohort.bids.shared_scans import merge_visits_of_one_scan
from umbrella.cohort.bids.tree import find_scan_root, list_sessions, list_subjects, read_bids, resolve_sessions
from umbrella.cohort.many.arguments import ManyArguments
from umbrella.cohort.shared.study import ORDERS, make_study
from umbrella.cohort.shared.visits import CohortError, Exclusions, NoScansError, Visit, is_text, to_text
from umbrella.cohort.tables.delimiter import DELIMITERS
from umbrella.cohort.tables.image_template import IMAGES
from umbrella.cohort.tables.table_rows import TableOptions, read_table
from umbrella.cohort.tables.text import is_encoding
from umbrella.cohort.tables.visits import find_scans, to_visits
from umbrella.files.contained_files import is_remote
from umbrella.files.studies import read_named, write_named
from umbrella.records.cohort import NO_ROW

# What was found and asks for no answer: all other exclusions are rows with their reason.
NO_ANSWER = (NO_ROW, "duplicate row", "scan of another session", "session not chosen", "session without a row")
NO_CHOICE = {"sequence_order": ORDERS[0], "least_sequences": 1}  # of a study: whatever of it is there


@dataclass(frozen=True)
class AskedScan:
    """A row of the answers. `image` is a scan, or those of a study as `read_named` reads them; "" where there is none,
    and `error` then says why."""

    participant_id: str
    session: str
    image: str
    error: str = ""


@dataclass(frozen=True)
class FoundScans:
    """The rows of the answers, and sentences on how they were found; these may name participants and paths."""

    rows: list[AskedScan]
    notes: list[str]
    ignored: dict[str, int]  # reason → what was found and asks for no answer

    def describe(self) -> str:
        """How many there are; names nobody."""
        without = sum(not row.image for row in self.rows)
        ignored = "".join(f"; {n} × {reason}: not asked about" for reason, n in self.ignored.items())
        return f"scans: {len(self.rows) - without} found, {without} rows without one{ignored}"


def find_asked_scans(asked: ManyArguments) -> FoundScans:
    """Raises CohortError for a source that is not there or does not fit, NoScansError where it has no scan."""
    exclusions = Exclusions()
    if asked.folder is not None:
        rows = _list_folder(Path(asked.folder).expanduser())
        return FoundScans(rows, [], {})
    if asked.encoding is not None and not is_encoding(asked.encoding):
        raise CohortError(f"--encoding: expected an encoding of text, as cp1252 or latin-1, found {asked.encoding}")
    visits, complete = (_read_tree if asked.bids_dir is not None else _read_table)(asked, exclusions)
    is_study = bool(asked.modalities_of_visit)
    rows = [
        AskedScan(one.participant_id, one.session, write_named(one.scans) if is_study else one.scans[asked.modality])
        for one in complete
    ]
    ignored = Counter()
    for one in exclusions.rows:
        if one.reason in NO_ANSWER:
            ignored[one.reason] += 1
        else:
            rows.append(AskedScan(one.participant_id, one.session, "", f"{one.reason}: {one.detail}"))
    places: dict[tuple[str, ...], int] = {}
    for place, visit in enumerate(visits):
        places.setdefault((visit.participant_id,), place)
        places[visit.participant_id, visit.session] = place
    last = len(visits)
    rows.sort(key=lambda row: places.get((row.participant_id, row.session), places.get((row.participant_id,), last)))
    return FoundScans(rows, exclusions.notes, dict(ignored))


def _read_tree(asked: ManyArguments, exclusions: Exclusions) -> tuple[list[Visit], list[Visit]]:
    """(all visits, those with a scan) of a BIDS tree; without --participants every folder of a participant counts."""
    bids_dir = Path(asked.bids_dir).expanduser().resolve()
    if asked.run and asked.run not in ("first", "last") and not asked.run.isdigit():
        raise CohortError(f"--run: expected first, last or a number, found {asked.run}")
    flags = {name: getattr(asked, name) or [] for name in ("modalities_of_visit", "suffixes", "sessions", "entities")}
    selection = to_selection(Namespace(modalities=[asked.modality], run=asked.run, **flags, **NO_CHOICE))
    if asked.participants is not None:
        table = Path(asked.participants).expanduser().absolute()
        visits = read_bids(bids_dir, asked.derivatives, table, _to_table_options(asked), exclusions)
    else:
        visits = _list_visits(bids_dir, asked.derivatives)
    sessions = resolve_sessions(selection.sessions, visits)
    selection = replace(selection, sessions=sessions)
    complete = find_bids_scans(visits, find_scan_root(bids_dir, asked.derivatives), selection, exclusions)
    return visits, merge_visits_of_one_scan(complete, "", exclusions)


def _list_visits(bids_dir: Path, derivatives: str | None) -> list[Visit]:
    if not bids_dir.is_dir():
        raise CohortError(f"--bids_dir: expected a folder, found none at {bids_dir}")
    folders = list_subjects(find_scan_root(bids_dir, derivatives))
    visits = [
        Visit(f"sub-{key}", session, {})
        for key, folder in folders.items()
        for session in list_sessions(folder) or [""]
    ]
    if not visits:
        raise NoScansError(f"--bids_dir {bids_dir}: expected folders sub-*, found none. Is it no BIDS tree: --folder")
    return visits


def _read_table(asked: ManyArguments, exclusions: Exclusions) -> tuple[list[Visit], list[Visit]]:
    """(all visits, those with a scan) of a table. Without a column of ids the column of the scans names the rows."""
    path = Path(asked.table).expanduser().absolute()
    table = read_table(path, _to_table_options(asked))
    exclusions.notes += table.notes
    id_column = asked.id_column
    if asked.image_column is not None:
        if asked.image_column not in table.columns:
            raise CohortError(
                f"{path}: --image_column: expected a column of the table, found no {asked.image_column!r}. There are: "
                f"{', '.join(table.columns[:30])}"
            )
        if id_column == TableOptions.id_column and id_column not in table.columns:
            id_column = asked.image_column
            exclusions.notes.append(f"no column {TableOptions.id_column}: {id_column} names the rows; --id_column")
    visits = to_visits(table, id_column, asked.session_column, exclusions, asked.session_column is not None)
    chosen = resolve_sessions(tuple(asked.sessions or ()), visits)
    for visit in visits:
        if chosen and visit.session not in chosen:
            exclusions.add_visit(visit, "session not chosen", "")
            exclusions.not_chosen.append(visit)
    visits = [visit for visit in visits if not chosen or visit.session in chosen]
    study = make_study(asked.modalities_of_visit or [], ORDERS[0], 1)
    template = asked.image_template or "{" + asked.image_column + "}"
    templates = {asked.modality: template} if study is None else read_named(template)
    if study is not None and set(templates) != set(study.sequences):
        expected = " ".join(f"{name}=PATH" for name in study.sequences)
        raise CohortError(f"--image_template: expected {expected}, one for each sequence, found {template}")
    root = asked.image_root or str(path.parent)
    root = root if is_remote(root) else str(Path(root).expanduser().resolve())
    return visits, find_scans(list(visits), templates, root, id_column, exclusions, asked.image_column, study)


def _to_table_options(asked: ManyArguments) -> TableOptions:
    delimiter = asked.delimiter and DELIMITERS[asked.delimiter]
    return TableOptions(delimiter, asked.encoding, asked.id_column, asked.session_column)


def _list_folder(folder: Path) -> list[AskedScan]:
    """All scans in a folder and below it, by name; what is hidden, and folders behind links, are passed over. Of a
    pair .hdr and .img, which is one scan, the .hdr is named."""
    if not folder.is_dir():
        raise CohortError(f"--folder: expected a folder, found none at {folder}")
    paths = []
    for parent, folders, names in os.walk(folder.resolve()):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        there = set(names)
        for name in sorted(names):
            is_half = name.endswith((".img", ".img.gz")) and name.replace(".img", ".hdr") in there
            if name.lower().endswith(IMAGES) and not name.startswith(".") and not is_half:
                paths.append(os.path.join(parent, name))
    if not paths:
        raise NoScansError(f"--folder {folder}: expected scans ({', '.join(IMAGES)}), found none in it and below it")
    unnamed = "its name is not UTF-8: rename the file"
    return [
        AskedScan("", "", path) if is_text(path) else AskedScan("", "", "", f"{to_text(path)}: {unnamed}")
        for path in paths
    ]
