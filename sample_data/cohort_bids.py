"""A BIDS tree: participants.tsv and sessions.tsv → visits, scans by the entities in their names.

The names are parsed by ancpbids, which has no dependencies of its own and installs beside current numpy and pandas.
The folders are listed here: only `sub-*/[ses-*]/{anat,dwi,func}` is of interest, and a layout of the whole tree would
walk through all derivatives first.
"""

import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cohort import CohortError, Exclusions, Visit, is_missing, to_key
from cohort_table import to_visits
from table_file import TableOptions, read_table

from umbrella.extras import describe_missing

SUFFIXES = {"sMRI": "T1w", "dMRI": "dwi", "fMRI": "bold"}
_DATATYPES = ("anat", "dwi", "func")
_EXTENSIONS = (".nii.gz", ".nii")


@dataclass(frozen=True)
class Selection:
    """Which scans of a BIDS tree."""

    suffixes: dict[str, str]  # modality → suffix
    sessions: tuple[str, ...] = ()  # without "ses-"; none: all
    run: str = ""  # "first", "last" or a run's index; "": a visit with several runs is left out
    entities: dict[str, str] = field(default_factory=dict)  # as {"task": "rest", "space": "MNI152NLin6Asym"}


def read_bids(
    bids_dir: Path, derivatives: str | None, table: Path | None, said: TableOptions, exclusions: Exclusions
) -> list[Visit]:
    """The visits of all rows of `table` (default: participants.tsv), one for each session folder of the participant.

    A participant's sessions.tsv adds its columns to the visit's; `said` is of `table` alone. Raises CohortError where
    the tree or table is not there, and where no participant has a folder.
    """
    if not bids_dir.is_dir():
        raise CohortError(f"--bids_dir: expected a folder, found none at {bids_dir}")
    table = table or bids_dir / "participants.tsv"
    folders = list_subjects(find_scan_root(bids_dir, derivatives))
    by_key = defaultdict(list)
    participants = read_table(table, said)
    exclusions.notes += participants.notes
    for visit in to_visits(participants, said.id_column, said.session_column, exclusions):
        by_key[to_key(visit.participant_id)].append(visit)
    if folders.keys().isdisjoint(by_key):
        raise CohortError(
            f"{bids_dir}: expected a folder for the participants of {table}, found none of them: the table has "
            f"{', '.join(list(by_key)[:3])}, the tree has {', '.join(list(folders)[:3]) or 'no sub-* folder'}"
        )
    visits = []
    for key, of_subject in by_key.items():
        sessions = _list_sessions(folders[key]) if key in folders else []
        by_session = {visit.session: visit for visit in of_subject}
        session_values = _read_sessions(bids_dir / f"sub-{key}" / f"sub-{key}_sessions.tsv", f"sub-{key}", exclusions)
        for session in sessions or list(by_session):
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
        exclusions.add("scan without a participant", f"{folders[key]}: no row in {table}", f"sub-{key}")
    return visits


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
    parent = bids_dir / "derivatives"
    there = sorted(path.name for path in parent.iterdir()) if parent.is_dir() else []
    raise CohortError(
        f"--derivatives {derivatives}: expected a folder in {parent}, found {', '.join(there) or 'none'}"
    )


def list_subjects(root: Path) -> dict[str, str]:
    """Participant without "sub-" → its folder."""
    with os.scandir(root) as entries:
        names = sorted(entry.name for entry in entries if entry.name.startswith("sub-") and entry.is_dir())
    return {to_key(name): os.path.join(root, name) for name in names}


def find_bids_scans(visits: list[Visit], root: Path, selection: Selection, exclusions: Exclusions) -> list[Visit]:
    """The visits that have exactly one selected scan of every modality asked for. The others are left out and counted:
    `no scan`, `several runs`, `several files` (they differ in another entity than run)."""
    complete = []
    for visit in visits:
        if selection.sessions and visit.session not in selection.sessions:
            exclusions.add_visit(visit, "session not chosen", f"--sessions {' '.join(selection.sessions)}")
            continue
        found = _find_files(visit, root)
        for modality, suffix in selection.suffixes.items():
            files = [file for file in found if file[1] == suffix and selection.entities.items() <= file[2].items()]
            path, reason, detail = _pick(files, selection, suffix)
            if path is None:
                exclusions.add_visit(visit, reason, f"{modality}: {detail}")
                break
            visit.scans[modality] = path
        else:
            complete.append(visit)
    if visits and not complete:
        raise CohortError(
            f"{root}: expected scans {', '.join(selection.suffixes.values())}, found none that can be used; "
            f"the last: {exclusions.rows[-1].reason}, {exclusions.rows[-1].detail}"
        )
    return complete


def _find_files(visit: Visit, root: Path) -> list[tuple[str, str, dict[str, str]]]:
    """(path, suffix, entities) of all images of a visit, by name."""
    folder = os.path.join(root, f"sub-{to_key(visit.participant_id)}", f"ses-{visit.session}" if visit.session else "")
    return sorted(image for datatype in _DATATYPES for image in _list_images(os.path.join(folder, datatype)))


def _list_images(folder: str) -> Iterator[tuple[str, str, dict[str, str]]]:
    try:
        entries = os.scandir(folder)
    except FileNotFoundError:
        return
    parse = _import_parser()
    with entries:
        for entry in entries:
            # Follows links: one that leads nowhere (data not fetched) is no file.
            if entry.name.endswith(_EXTENSIONS) and entry.is_file():
                parsed = parse(entry.name)
                if parsed is not None:
                    yield entry.path, parsed["suffix"], parsed["entities"]


def _import_parser():
    try:
        from ancpbids.utils import parse_bids_name
    except ImportError:
        raise CohortError(describe_missing("ancpbids", "--bids_dir", "cohort")) from None
    return parse_bids_name


def _pick(
    files: list[tuple[str, str, dict[str, str]]], selection: Selection, suffix: str
) -> tuple[str | None, str, str]:
    """(path, "", "") or (None, reason, detail)."""
    run = selection.run
    if run.isdigit():
        files = [file for file in files if file[2].get("run", "").isdigit() and int(file[2]["run"]) == int(run)]
    if not files:
        return None, "no scan", f"no {suffix} image" + (f" of run {run}" if run.isdigit() else "")
    if len(files) == 1:
        return files[0][0], "", ""
    names = ", ".join(os.path.basename(path) for path, _, _ in files)
    others = [{name: value for name, value in entities.items() if name != "run"} for _, _, entities in files]
    if any(other != others[0] for other in others):
        differing = sorted({name for other in others for name, _ in other.items() ^ others[0].items()})
        advice = "" if selection.entities else ": choose with --entities"
        return None, "several files", f"{names}; they differ in {', '.join(differing)}{advice}"
    if run in ("first", "last"):
        ordered = sorted(files, key=lambda file: (int(file[2].get("run", "0")), file[0]))
        return ordered[0 if run == "first" else -1][0], "", ""
    return None, "several runs", f"{names}; choose with --run"


def _list_sessions(folder: str) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(entry.name[4:] for entry in entries if entry.name.startswith("ses-") and entry.is_dir())


def _read_sessions(path: Path, participant_id: str, exclusions: Exclusions) -> dict[str, dict[str, str]]:
    """Session without "ses-" → its row; empty where there is no such file.

    Rows without a session and repeated ones are left out and counted. Raises CohortError for two rows of a session
    that contradict each other.
    """
    if not path.is_file():
        return {}
    table = read_table(path)
    exclusions.notes += table.notes
    if "session_id" not in table.columns:
        raise CohortError(f"{path}: expected a column session_id, found {', '.join(table.columns)}")
    of_session: dict[str, dict[str, str]] = {}
    for line, row in zip(table.lines, table.rows, strict=True):
        session = row["session_id"].removeprefix("ses-")
        if is_missing(session):
            exclusions.add("no id", f"{path}:{line}: session_id is {session!r}", participant_id)
        elif of_session.setdefault(session, row) is row:
            continue
        elif of_session[session] | {"session_id": ""} == row | {"session_id": ""}:
            exclusions.add("duplicate row", f"{path}:{line}", participant_id, session)
        else:
            raise CohortError(
                f"{path}:{line}: expected one row of session {session}, found another with other values. Delete one"
            )
    return of_session
