"""Sex and age of the headers into the cells that a table leaves empty, where both mean the same."""

from umbrella.answers.text_folding import fold
from umbrella.cohort.shared.findings import Finding
from umbrella.cohort.shared.visits import Exclusions, is_missing

SEX, AGE = "sex", "age"
MOST_APART = 1.0  # years between the table's age and the header's: a birthday, or the table's is of another day
_SAME = ({"m", "male", "man"}, {"f", "female", "woman"})  # folded; of a header M or F

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
        if not words.keys() <= set().union(*_SAME):
            return None, (
                f"the DICOM headers' is not used where the table has none: expected the table's words to be M and F, "
                f"male and female, found {', '.join(sorted(words.values())[:4])}"
            )
        return {code: next((words[word] for word in sorted(same) if word in words), code)
                for code, same in zip("MF", _SAME, strict=True)}, ""  # fmt: skip
    far = [key for key, value in given.items() if key in stated and not _is_near(value, stated[key])]
    both = given.keys() & stated.keys()
    if far:
        return None, (
            f"the DICOM headers' is not used where the table has none: of {len(both)} visits with both, {len(far)} "
            f"are more than {MOST_APART:g} year apart"
        )
    return {}, f" (of {len(both)} visits with both none is more than {MOST_APART:g} year apart)" if both else ""


def _is_near(value: str, header: str) -> bool:
    try:
        return abs(float(value.replace(",", ".")) - float(header)) <= MOST_APART
    except ValueError:
        return False
