"""Labels of a table and those of folders: sub-01 is 1 in a spreadsheet, 1.0 in pandas, SUB-01 to some."""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable

from umbrella.cohort.shared.visits import CohortError

_NUMBER = re.compile(r"([0-9]+)(?:\.0+)?")


def match_labels(labels: Iterable[str], folders: Collection[str], kind: str, source: str) -> dict[str, str]:
    """Label → the folder's spelling of it; one that no folder has stays as it is.

    Where a label has no folder, it is that of the folder with its number (1 and 1.0 are 01), or with its name in
    other letter case (SUB-A is a). Raises CohortError where two folders, or two labels, are then alike: nobody knows
    which is meant.

    kind    "sub" or "ses"
    source  the table or flag, for the message
    """
    labels = list(labels)
    spellings = defaultdict(list)
    for folder in folders:
        spellings[_to_alike(folder, kind)].append(folder)
    alike = {label: _to_alike(label, kind) for label in labels}
    matched = {label: label for label in labels}
    if all(label in folders or key not in spellings for label, key in alike.items()):
        return matched
    owners: dict[str, str] = {}
    for label, key in alike.items():
        there = spellings.get(key, [])
        if len(there) > 1:
            found = f"{' and '.join(f'{kind}-{name}' for name in sorted(there))} for {label}"
            what = "a number" if key.isdecimal() else "a name in any letter case"
            raise CohortError(f"{source}: expected one folder for {what}, found {found}. {_remedy(kind)}")
        for folder in there:
            if folder in owners:
                found = f"{owners[folder]} and {label} for {kind}-{folder}"
                raise CohortError(f"{source}: expected one label for a folder, found {found}. {_remedy(kind)}")
            owners[folder], matched[label] = label, folder
    return matched


def is_number(label: str) -> bool:
    """Whether a label is a whole number, as 7, 007 or 7.0."""
    return _NUMBER.fullmatch(label) is not None


def _to_alike(label: str, kind: str) -> str:
    """What spellings of one label share."""
    name = label.lower().removeprefix(f"{kind}-")
    number = _NUMBER.fullmatch(name)
    return number[1].lstrip("0") or "0" if number else name


def _remedy(kind: str) -> str:
    return f"Write the labels as the folders do, with {kind}- before them and all their zeros"
