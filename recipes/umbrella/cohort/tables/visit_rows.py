"""Which row of a participants table is of which visit: by the day of the study, or by the order of both."""

import re

from umbrella.cohort.shared.visits import Exclusions, Visit

_DATE = re.compile(r"(\d{4})-?(\d\d)-?(\d\d)(?:[T ].*)?")
_DAY_FIRST = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})")
_NUMBER = re.compile(r"\D*(\d+(?:\.\d+)?)")


def match_rows(
    rows: list[Visit], columns: list[str], days: dict[int, str], subject: str, exclusions: Exclusions
) -> dict[int, dict[str, str]]:
    """Visit → its row's cells, of `columns` alone. A row without a session is of all visits.

    rows  of one participant
    days  visit → "20250131", "" where its header states none

    Sessions that are dates (2025-01-31, 31.01.2025) are matched with the days, numbers by their order where there are
    as many rows as visits. A row of no visit is counted; no date is.
    """
    values: dict[int, dict[str, str]] = {visit: {} for visit in days}
    for row in rows:
        if not row.session:
            for visit in days:
                values[visit].update({name: row.values[name] for name in columns})
    of_session = {row.session: row for row in rows if row.session}
    matched = _match(list(of_session), days)
    for session, row in of_session.items():
        if session in matched:
            values[matched[session]].update({name: row.values[name] for name in columns})
        else:
            exclusions.add("no scan", _explain(session, of_session, days), subject)
    return values


def _match(sessions: list[str], days: dict[int, str]) -> dict[str, int]:
    of_day = {day: visit for visit, day in days.items() if day}
    dates = {session: day for session in sessions if (day := to_day(session))}
    if dates:
        return {session: of_day[day] for session, day in dates.items() if day in of_day}
    numbers = {session: found[1] for session in sessions if (found := _NUMBER.fullmatch(session))}
    is_ordered = len(numbers) == len(sessions) == len(days) and (all(days.values()) or len(days) == 1)
    ordered = sorted(numbers, key=lambda session: float(numbers[session])) if is_ordered else []
    return dict(zip(ordered, sorted(days), strict=False))


def to_day(text: str) -> str:
    """A date as the headers write it, "" for what is none."""
    if found := _DATE.fullmatch(text):
        return "".join(found.groups())
    if found := _DAY_FIRST.fullmatch(text):
        return f"{found[3]}{int(found[2]):02d}{int(found[1]):02d}"
    return ""


def _explain(session: str, sessions: dict[str, Visit], days: dict[int, str]) -> str:
    if to_day(session):
        return f"expected a study on the day of the row, found {len(days)} visits on others"
    return (
        f"expected as many rows with a session as visits in the headers, found {len(sessions)} and {len(days)}, or "
        "sessions that are no numbers: which is which cannot be told. Name a column of dates by --session_column"
    )
