"""The order of a participant's visits in time."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime

from umbrella.answers.numbers import find_number_format
from umbrella.cohort.shared.visits import CohortError, Visit, is_missing
from umbrella.cohort.tables.column_kind import read_numbers

Order = Callable[[list[Visit]], list[Visit]]

_DAY_MONTH_YEAR = re.compile(r"(\d{1,2})([./-])(\d{1,2})\2(\d{4})")
_ISO = re.compile(r"\d{4}-\d\d-\d\d")


def make_session_order(visits: list[Visit], chosen: Sequence[str], column: str | None) -> Order:
    """A function that puts a participant's visits in order of time.

    By the order of `chosen` sessions, else by a column of numbers or dates, else by the number in labels that
    differ in nothing else (ses-1, ses-2, ses-10). Raises CohortError where none of them tells.
    """
    if chosen:
        return lambda some: sorted(some, key=lambda visit: chosen.index(visit.session))
    if column is not None:
        times = _read_times(visits, column)
        return lambda some: sorted(some, key=lambda visit: _get_time(visit, column, times))
    labels = sorted({visit.session for visit in visits})
    parts = {label: re.fullmatch(r"(\D*)(\d+)", label) for label in labels}
    if not all(parts.values()) or len({part[1] for part in parts.values()}) != 1:
        found = ", ".join(filter(None, labels[:8])) or "no sessions"
        raise CohortError(
            f"sessions: expected labels whose order in time can be told (1, 2, 10), found {found}. "
            "Give --sessions in their order, or --order_by COLUMN"
        )
    return lambda some: sorted(some, key=lambda visit: int(parts[visit.session][2]))


def _read_times(visits: list[Visit], column: str) -> Mapping[str, float | date]:
    """Cell → when, of one kind in the whole column: numbers, dates as 2020-01-31 (with a time or without), or dates
    that end in the year, whose day and month are told from the whole column. Raises CohortError for any other cell."""
    cells = [cell for visit in visits if not is_missing(cell := visit.values.get(column))]
    numbers = read_numbers(cells, find_number_format(cells)[0])
    if all(cell in numbers for cell in cells):
        return numbers
    if all(_ISO.match(cell) for cell in cells):
        read = _read_iso_date
    elif all(_DAY_MONTH_YEAR.fullmatch(cell) for cell in cells):
        read = _make_date_reader(cells, column)
    else:
        raise _make_error(column, " and ".join(map(repr, _pick_examples(cells, numbers))))
    times = {}
    for cell in cells:
        try:
            times[cell] = read(cell)
        except ValueError:
            raise _make_error(column, repr(cell)) from None
    return times


def _get_time(visit: Visit, column: str, times: Mapping[str, float | date]) -> float | date:
    cell = visit.values.get(column)
    if is_missing(cell):
        raise _make_error(column, f"{cell!r} at {visit.participant_id} session {visit.session}")
    return times[cell]


def _make_error(column: str, found: str) -> CohortError:
    return CohortError(
        f"--order_by {column}: expected numbers or dates of one form in the whole column (2020-01-31 or 31.01.2020), "
        f"found {found}. Mend the table, or give --sessions in their order"
    )


def _pick_examples(cells: list[str], numbers: dict[str, float]) -> list[str]:
    """A cell that is neither a number nor a date, else one cell of each of two kinds."""
    kinds: dict[str, str] = {}
    for cell in cells:
        is_date = _ISO.match(cell) or _DAY_MONTH_YEAR.fullmatch(cell)
        kinds.setdefault("number" if cell in numbers else "date" if is_date else "", cell)
    return [kinds[""]] if "" in kinds else list(kinds.values())


def _read_iso_date(cell: str) -> datetime:
    when = datetime.fromisoformat(cell)
    return when if when.tzinfo is None else when.astimezone(UTC).replace(tzinfo=None)


def _make_date_reader(cells: list[str], column: str) -> Callable[[str], date]:
    """A reader of dates that end in the year. Points mean day first; with slashes or dashes a part above 12 tells."""
    parts = [_DAY_MONTH_YEAR.fullmatch(cell) for cell in cells]
    day_first = any(part[2] == "." or int(part[1]) > 12 for part in parts)
    month_first = any(int(part[3]) > 12 for part in parts)
    if day_first == month_first:
        found = "both" if day_first else f"neither, as in {cells[0]!r}"
        raise CohortError(
            f"--order_by {column}: expected dates that tell whether the day or the month stands first (one above 12), "
            f"found {found}. Write them as 2020-01-31, or give --sessions in their order"
        )
    day, month = (1, 3) if day_first else (3, 1)

    def read(cell: str) -> date:
        part = _DAY_MONTH_YEAR.fullmatch(cell)
        return date(int(part[4]), int(part[month]), int(part[day]))

    return read
