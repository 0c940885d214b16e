"""Sex and age of the headers into the cells that a table leaves empty, where both mean the same."""

from umbrella.answers.text_folding import fold
from umbrella.cohort.shared.findings import Finding
from umbrella.cohort.shared.visits import Exclusions, is_missing

SEX, AGE = "sex", "age"
MOST_APART = 1.0  # years between the table's age and the header's: a birthday, or the table's is of another day
_SAME = {"M": {"m", "male", "man"}, "F": {"f", "female", "woman"}}  # the header's code → the table's words, folded
_UNUSED = "the DICOM headers' is not used where the table has none"

Visits = dict[int, dict[str, str]]


def add_header_cells(
    cells: dict[str, Visits],
    columns: list[str],
    of_header: dict[str, dict[str, dict[int, str]]],
    exclusions: Exclusions,
) -> list[str]:
    """Fill empty cells of the columns sex and age in place; returns the columns, with those that are new.

    of_header  column → participant → visit → the header's value, "" where there is none

    What was filled, or why it was not, is noted.
    """
    columns = list(columns)
    for name, of_people in of_header.items():
        found = [value for visits in of_people.values() for value in visits.values() if value]
        if not found:
            continue
        given = {key: value for key, value in _list(cells, name).items() if not is_missing(value)}
        stated = {(who, visit): value for who, some in of_people.items() for visit, value in some.items() if value}
        spelling, evidence = _agree(name, given, stated)
        if spelling is None:
            exclusions.notes.append(Finding(name, evidence).to_line(frozenset()))
            continue
        n_filled = 0
        for (who, visit), value in stated.items():
            if (who, visit) not in given:
                cells[who][visit][name] = spelling.get(value, value)
                n_filled += 1
        if n_filled:
            theirs = f", of {len(given)} from the table{evidence}" if given else ""
            line = f"of {n_filled} visits from the DICOM headers{theirs}"
            advice = f"a column {name} of --participants TABLE goes first"
            exclusions.notes.append(Finding(name, line, (("", advice),)).to_line(frozenset()))
        if name not in columns:
            columns.append(name)
    return columns


def _list(cells: dict[str, Visits], name: str) -> dict[tuple[str, int], str]:
    return {(who, visit): of_visit.get(name, "") for who, some in cells.items() for visit, of_visit in some.items()}


def _agree(
    name: str, given: dict[tuple[str, int], str], stated: dict[tuple[str, int], str]
) -> tuple[dict[str, str] | None, str]:
    """(the table's word for a header's value, evidence); None where the two cannot be told to mean the same."""
    if name == SEX:
        words = {fold(value): value for value in given.values()}
        if not words.keys() <= set().union(*_SAME.values()):
            return None, (
                f"{_UNUSED}: expected the table's words to be M and F, male and female, found "
                f"{', '.join(sorted(words.values())[:4])}"
            )
    both = sorted(given.keys() & stated.keys())
    differing = [key for key in both if not _is_same(name, given[key], stated[key])]
    if differing:
        how = "another sex" if name == SEX else f"an age more than {MOST_APART:g} year apart"
        of_both = f"of {len(both)} visits with both, {len(differing)} have {how}"
        return None, f"{_UNUSED}: {of_both}, as {differing[0][0]}. Correct the table or the headers"
    if name == SEX:
        return {code: next((words[word] for word in sorted(same) if word in words), code)
                for code, same in _SAME.items()}, ""  # fmt: skip
    if given and not both:
        return None, f"{_UNUSED}: no visit has both, by which they could be compared"
    return {}, f" (of {len(both)} visits with both none is more than {MOST_APART:g} year apart)" if both else ""


def _is_same(name: str, value: str, header: str) -> bool:
    if name == SEX:
        return fold(value) in _SAME[header]
    try:
        return abs(float(value.replace(",", ".")) - float(header)) <= MOST_APART
    except ValueError:
        return False
