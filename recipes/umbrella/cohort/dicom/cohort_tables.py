"""participants.tsv and sessions.tsv of a converted tree: what the user's table says, then what the headers say.

Ids are hashed in memory; of the table only the columns that flags name are taken, and no date of a visit.
"""

import csv
import io
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from umbrella.cohort.dicom.identity import Pseudonyms, name_visit
from umbrella.cohort.dicom.source import DicomSource
from umbrella.cohort.shared.visits import CohortError, Exclusions, Visit, is_missing
from umbrella.cohort.tables.header_cells import AGE, SEX, add_header_cells
from umbrella.cohort.tables.table_rows import read_table
from umbrella.cohort.tables.visit_rows import match_rows
from umbrella.cohort.tables.visits import SESSION_COLUMN, to_visits
from umbrella.files.json_files import read_json, write_json
from umbrella.files.written_files import write_whole
from umbrella.privacy.mask import Mask
from umbrella.records.cohort import to_key

NONE = "n/a"
_LEAST_DIGITS = 6  # a shorter number may be the same as an id by chance, as an age
DESCRIBED = {
    SEX: {"Description": "Sex, where the DICOM headers state it", "Levels": {"M": "male", "F": "female"}},
    AGE: {"Description": "Age at the visit, where the DICOM headers state it", "Units": "years"},
}


class Person(NamedTuple):
    """What the headers say of a participant, "" where they do not.

    ages, days  of each visit: years; "20250131"
    scanned     the visits of which a scan is in the tree
    id          PatientID, which is not written
    mask        hides the names, ids and birth dates
    """

    sex: str
    ages: dict[int, str]
    days: dict[int, str]
    scanned: frozenset[int]
    id: str
    mask: Mask


Rows = dict[str, list[Visit]]  # participant → its rows
Cells = dict[str, dict[int, dict[str, str]]]  # participant → visit → column → value


def list_columns(source: DicomSource) -> list[str]:
    """The columns that flags may name."""
    return [*dict.fromkeys([*_list_own_columns(source), SEX, AGE])]


def _list_own_columns(source: DicomSource) -> list[str]:
    return [] if source.table is None else read_table(source.table, source.said).columns


def read_rows(source: DicomSource, pseudonyms: Pseudonyms, exclusions: Exclusions) -> Rows | None:
    """The table's rows by the hashes of their ids; None where there is no table. What cannot be used is counted, under
    the hash."""
    if source.table is None:
        return None
    table, said = read_table(source.table, source.said), source.said
    exclusions.notes += table.notes
    found = Exclusions()
    visits = to_visits(table, said.id_column, said.session_column, found, said.session_column is not None)
    for row in found.rows:
        exclusions.add(row.reason, row.detail, pseudonyms.subject(row.participant_id) if row.participant_id else "")
    if said.id_column in source.columns:
        raise CohortError(
            f"--id_column {said.id_column}: expected a column that no other flag names, found it named: its ids would "
            "be written. Leave it out there"
        )
    rows = defaultdict(list)
    for visit in visits:
        rows[pseudonyms.subject(visit.participant_id)].append(visit)
    return dict(rows)


def write_tables(
    source: DicomSource, tree: Path, people: dict[str, Person], rows: Rows | None, exclusions: Exclusions
) -> None:
    """Write participants.tsv and .json, and sessions.tsv where a column differs between someone's visits.

    Raises CohortError for a cell that holds the participant's own name, id or birth date, and for a column of ids.
    """
    cells: Cells = {subject: {visit: {} for visit in person.scanned} for subject, person in people.items()}
    columns: list[str] = []
    if rows is not None:
        skipped = {source.said.session_column or SESSION_COLUMN}
        columns = [name for name in _list_own_columns(source) if name in source.columns and name not in skipped]
        for subject, person in people.items():
            matched = match_rows(rows.get(subject, []), columns, person.days, subject, exclusions)
            cells[subject] = {visit: values for visit, values in matched.items() if visit in person.scanned}
            _refuse_names(cells[subject], person.mask, source)
        _refuse_ids(cells, people, columns, source)
    of_header: dict[str, dict[str, dict[int, str]]] = {SEX: {}, AGE: {}}
    for subject, person in people.items():
        of_header[SEX][subject] = dict.fromkeys(person.scanned, person.sex)
        of_header[AGE][subject] = {visit: person.ages.get(visit, "") for visit in person.scanned}
    all_cells = [cell for visits in cells.values() for of_visit in visits.values() for cell in of_visit.items()]
    told = {name for name, value in all_cells if not is_missing(value)}
    columns = add_header_cells(cells, columns, of_header, exclusions)
    varying = {name for name in columns if any(_varies(name, visits) for visits in cells.values())}
    fixed = [name for name in columns if name not in varying]
    lines = [[subject, *_pick(next(iter(visits.values())), fixed)] for subject, visits in sorted(cells.items())]
    write_whole(tree / "participants.tsv", _to_tsv(["participant_id", *fixed], lines))
    write_json(tree / "participants.json", _describe(source, columns, told))
    for subject, visits in cells.items():
        path = tree / subject / f"{subject}_sessions.tsv"
        if varying:
            names = [name for name in columns if name in varying]
            lines = [[f"ses-{name_visit(visit)}", *_pick(values, names)] for visit, values in sorted(visits.items())]
            write_whole(path, _to_tsv([SESSION_COLUMN, *names], lines))
        else:
            path.unlink(missing_ok=True)


def _refuse_names(visits: dict[int, dict[str, str]], mask: Mask, source: DicomSource) -> None:
    for values in visits.values():
        for name, cell in values.items():
            is_short = cell.replace(".", "", 1).isdecimal() and len(cell) < _LEAST_DIGITS
            if not is_short and mask.holds(cell):
                raise _make_refusal(source, name)


def _refuse_ids(cells: Cells, people: dict[str, Person], columns: list[str], source: DicomSource) -> None:
    """A short number may be an id by chance in one row, and not in all."""
    for name in columns:
        values = {subject: {visit[name] for visit in cells[subject].values() if name in visit} for subject in people}
        told = {subject: some for subject, some in values.items() if not all(map(is_missing, some))}
        if len(told) > 1 and all({to_key(one) for one in some} == {people[who].id} for who, some in told.items()):
            raise _make_refusal(source, name)


def _make_refusal(source: DicomSource, name: str) -> CohortError:
    return CohortError(
        f"{source.table}: column {name}: expected no name, id or birth date of the DICOM headers, found a "
        "participant's own in its row: it would be written. Name another column, or take it out"
    )


def _varies(name: str, visits: dict[int, dict[str, str]]) -> bool:
    return len({values.get(name, NONE) for values in visits.values()}) > 1


def _pick(values: dict[str, str], names: Iterable[str]) -> list[str]:
    return [values.get(name) or NONE for name in names]


def _to_tsv(header: list[str], lines: list[list[str]]) -> str:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, delimiter="\t", lineterminator="\n").writerows([header, *lines])
    return buffer.getvalue()


def _describe(source: DicomSource, columns: list[str], told: set[str]) -> dict:
    """What the user's sidecar says of these columns' levels and units; of sex and age what the headers mean, where
    nothing is said of them by the table: `told` are the columns that it has cells of."""
    path = source.table and source.table.with_suffix(".json")
    theirs = read_json(path, dict) if path and path.is_file() else {}
    described = {}
    for name in columns:
        said = theirs.get(name)
        kept = {key: said[key] for key in ("Levels", "Units") if key in said} if isinstance(said, dict) else {}
        described[name] = kept or ({} if name in told else DESCRIBED.get(name, {}))
    return {name: said for name, said in described.items() if said}
