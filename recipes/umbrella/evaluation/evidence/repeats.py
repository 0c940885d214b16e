"""Which rows ask the same about another scan of the same subject: by the sessions in their metadata, or by --pairs."""

import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import xxhash
from datasets import Dataset

from umbrella.conversations.layout import drop_names
from umbrella.evaluation.evidence.pairs_table import PairsTable, read_pairs
from umbrella.evaluation.results import read_metadata, subjects_of_rows
from umbrella.files.contained_files import is_remote, split_root
from umbrella.scans.scan_files import find_source

SESSION_NAMES = ("subject_session", "session", "session_id")  # the first one is generate_conversations.py's
ONE_SESSION = "of a subject of whom there is one session"
UNMATCHED = "whose question is not asked at every session that is compared"
LATER = "of further sessions, which not all subjects have"
CHANGE = "that ask what changed since an earlier scan, which is no repeat"
SAME_SCANS = "that show the same scan as their repeat"
NO_SCANS = "that show no scan, or whose repeat shows none"
NO_SESSION = "that do not state their session"
NOT_NAMED = "that the table of repeats does not name"


@dataclass(frozen=True)
class Repeats:
    """Rows that are repeats of one another.

    sets         row indices, as many in each set, two or more, in the order of the sessions
    found_by     what they were told from, in words
    left_out     reason → rows
    is_reworded  of each set, whether its rows differ in wording or reference scan
    """

    sets: list[tuple[int, ...]]
    found_by: str
    left_out: dict[str, int] = field(default_factory=dict)
    is_reworded: list[bool] = field(default_factory=list)


@dataclass(frozen=True)
class _Row:
    """What of a row tells of what it is a repeat.

    kind     of question
    asked    its reference and its wording
    n_shown  how many scans it shows last: the subject's; 0 where the question shows none, but what stands before it
    """

    index: int
    subject: str
    session: str | None
    kind: tuple
    asked: tuple
    n_shown: int
    is_of_change: bool


def find_repeats(rows: Dataset, pairs: str | None) -> Repeats:
    """Sets of rows that ask the same of one subject at several sessions.

    By a table, see `pairs_table`; else by the sessions that the metadata state, in the order of their labels (numbers
    by size). Every set has as many sessions as the subject with the fewest of those that have two or more: the first.

    Raises ValueError for a table that does not fit the rows.
    """
    read, name = _read_rows(rows)
    table = None if pairs is None else read_pairs(pairs)
    if table is not None and table.subjects is None:
        sets = _find_by_ids(table, list(rows["task_id"]), read)
        return _sort_out(rows, sets, "the table of repeats", Counter({NOT_NAMED: len(read) - sum(map(len, sets))}))
    if name is not None:
        return _sort_out(rows, *_find_by_sessions(read, name, table))
    names = " or ".join(SESSION_NAMES)
    if table is not None:
        raise ValueError(
            f"--pairs {pairs}: expected rows that state their session ({names} in the metadata), found none. Name "
            "rows instead: columns task_id_1, task_id_2"
        )
    return Repeats([], f"no row states its session ({names} in its metadata)")


def _find_by_sessions(
    rows: list[_Row], name: str, table: PairsTable | None
) -> tuple[list[tuple[_Row, ...]], str, Counter]:
    """The sets, what they were told from, and what was left out."""
    stated = [row for row in rows if row.session is not None]
    asked = [row for row in stated if not row.is_of_change]
    chosen = _choose_sessions(asked) if table is None else _read_sessions(table, asked)
    sessions_of = {subject: sessions for subject, sessions in chosen.items() if len(sessions) > 1}
    several = [row for row in asked if row.subject in sessions_of]
    among = [row for row in several if row.session in sessions_of[row.subject]]
    sets = list(_line_up(among, sessions_of))
    left_out = Counter({NO_SESSION: len(rows) - len(stated), CHANGE: len(stated) - len(asked)})
    left_out[ONE_SESSION if table is None else NOT_NAMED] += len(asked) - len(several)
    left_out[LATER if table is None else NOT_NAMED] += len(several) - len(among)
    left_out[UNMATCHED] = len(among) - sum(map(len, sets))
    found_by = f"metadata.{name}" if table is None else f"the table of repeats and metadata.{name}"
    return sets, found_by, left_out


def _read_rows(rows: Dataset) -> tuple[list[_Row], str | None]:
    """All rows, and which of the metadata states their sessions."""
    sessions, name = [None] * len(rows), None
    for candidate in reversed(SESSION_NAMES):
        values = read_metadata(rows, candidate, required=False)
        if any(value is not None for value in values):
            sessions, name = values, candidate
    targets = read_metadata(rows, "target", required=False)
    reference_sessions = read_metadata(rows, "reference_session", required=False)
    plain = rows.with_format(None).select_columns(["metadata", "task_type", "conversations"])
    subjects, read = subjects_of_rows(rows), []
    for i, row in enumerate(plain):
        metadata, turns = row["metadata"], row["conversations"][:-1]
        items = [item for turn in turns for item in drop_names(turn["content"])]
        n_shown = sum(item["type"] == "image" for item in turns[-1]["content"])
        wording = tuple(item["text"] for item in items if item["type"] == "text")
        kind = (row["task_type"], metadata["task"], metadata["comparison_type"], str(targets[i]))
        asked = (metadata["reference_id"], str(reference_sessions[i]), wording)
        is_of_change = metadata["reference_id"] is not None and metadata["reference_id"] == metadata["subject_id"]
        session = None if sessions[i] is None else str(sessions[i])
        read.append(_Row(i, subjects[i], session, kind, asked, n_shown, is_of_change))
    return read, name


def _find_by_ids(table: PairsTable, task_ids: list[str], rows: list[_Row]) -> list[tuple[_Row, ...]]:
    by_id, used, sets = {task_id: rows[i] for i, task_id in enumerate(task_ids)}, set(), []
    for place, line in zip(table.places, table.lines, strict=True):
        for task_id in line:
            if task_id not in by_id:
                raise ValueError(
                    f"--pairs {place}: expected task_ids of the evaluated rows, found {task_id!r}. Correct it, or "
                    "evaluate the split that has it: --split"
                )
            if task_id in used:
                raise ValueError(f"--pairs {place}: expected each row once, found {task_id!r} again. Remove one")
            used.add(task_id)
        found = tuple(by_id[task_id] for task_id in line)
        if len({row.subject for row in found}) > 1:
            raise ValueError(
                f"--pairs {place}: expected rows of one subject, found {found[0].subject!r} and "
                f"{next(row.subject for row in found if row.subject != found[0].subject)!r}. Correct the line"
            )
        sets.append(found)
    return sets


def _choose_sessions(rows: list[_Row]) -> dict[str, tuple[str, ...]]:
    """Subject → the sessions that are compared; as many for each who has several."""
    found: dict[str, set[str]] = {}
    for row in rows:
        found.setdefault(row.subject, set()).add(str(row.session))
    ordered = {subject: tuple(sorted(sessions, key=_in_order)) for subject, sessions in found.items()}
    fewest = min((len(sessions) for sessions in ordered.values() if len(sessions) > 1), default=1)
    return {subject: sessions[:fewest] for subject, sessions in ordered.items()}


def _in_order(label: str) -> list[tuple[int, str]]:
    """Labels by their numbers: 2 before 10, M6 before M12."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", label)]


def _read_sessions(table: PairsTable, rows: list[_Row]) -> dict[str, tuple[str, ...]]:
    there = {(row.subject, row.session) for row in rows}
    chosen: dict[str, tuple[str, ...]] = {}
    for place, subject, sessions in zip(table.places, table.subjects or (), table.lines, strict=True):
        missing = [session for session in sessions if (subject, session) not in there]
        if missing:
            raise ValueError(
                f"--pairs {place}: expected sessions of the evaluated rows, found no row of {subject!r} at "
                f"{missing[0]!r}. Correct the line, or remove it"
            )
        if subject in chosen or len(set(sessions)) < len(sessions):
            raise ValueError(f"--pairs {place}: expected each subject and session once, found one again. Remove it")
        chosen[subject] = sessions
    return chosen


def _line_up(rows: list[_Row], sessions_of: dict[str, tuple[str, ...]]) -> Iterator[tuple[_Row, ...]]:
    """Rows of one kind of question to one subject, those of the same wording and reference together, then the rest in
    their order."""
    groups: dict[tuple, dict[str | None, list[_Row]]] = {}
    for row in rows:
        groups.setdefault((row.subject, row.kind), {}).setdefault(row.session, []).append(row)
    for (subject, _), by_session in groups.items():
        first, *others = (by_session.get(session, []) for session in sessions_of[subject])
        columns = [_match(first, other) for other in others]
        for i, row in enumerate(first):
            found = [column[i] for column in columns]
            if None not in found:
                yield row, *(other for other in found if other is not None)


def _match(first: list[_Row], other: list[_Row]) -> list[_Row | None]:
    free = list(other)
    matched: list[_Row | None] = [None] * len(first)
    for is_alike in (lambda a, b: a.asked == b.asked, lambda a, b: a.asked[:2] == b.asked[:2], lambda a, b: True):
        for i, row in enumerate(first):
            alike = next((candidate for candidate in free if is_alike(row, candidate)), None)
            if matched[i] is None and alike is not None:
                matched[i] = alike
                free.remove(alike)
    return matched


def _sort_out(rows: Dataset, sets: list[tuple[_Row, ...]], found_by: str, left_out: Counter) -> Repeats:
    """Without the sets that show one scan twice, or of which a row shows none: a repeated answer tells nothing."""
    images = rows.with_format(None).select_columns(["images"])

    def name_scans(row: _Row) -> tuple[str, ...]:
        return tuple(map(_name_scan, images[row.index]["images"][-row.n_shown :]))

    shown = [found for found in sets if all(map(name_scans, found))]
    kept = [found for found in shown if len(set(map(name_scans, found))) == len(found)]
    left_out[NO_SCANS] = sum(map(len, sets)) - sum(map(len, shown))
    left_out[SAME_SCANS] = sum(map(len, shown)) - sum(map(len, kept))
    is_reworded = [len({row.asked for row in found}) > 1 for found in kept]
    indices = [tuple(row.index for row in found) for found in kept]
    return Repeats(indices, found_by, {reason: n for reason, n in left_out.items() if n}, is_reworded)


def _name_scan(scan: dict) -> str:
    source = find_source(scan)
    if isinstance(source, str):
        return source if is_remote(source) else os.path.realpath(split_root(source)[1])
    return xxhash.xxh3_128_hexdigest(source)
