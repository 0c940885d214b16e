"""Labels of a table and those of folders: a spreadsheet makes 1 of 01, which is sub-01's all the same."""

from collections import defaultdict
from collections.abc import Collection, Iterable

from cohort import CohortError


def match_labels(labels: Iterable[str], folders: Collection[str], kind: str, source: str) -> dict[str, str]:
    """Label → the folder's spelling of it; one that no folder has stays as it is.

    Where a label has no folder and is a number, it is that of the folder with this number (1 is 01). Raises
    CohortError where two folders, or two labels, then share a number: nobody knows which is meant.

    kind    "sub" or "ses"
    source  the table or flag, for the message
    """
    labels = list(labels)
    spellings = defaultdict(list)
    for folder in folders:
        if folder.isdecimal():
            spellings[_to_number(folder)].append(folder)
    numbers = {label: _to_number(label) for label in labels if label.isdecimal()}
    matched = {label: label for label in labels}
    if all(label in folders or number not in spellings for label, number in numbers.items()):
        return matched
    owners: dict[str, str] = {}
    for label, number in numbers.items():
        there = spellings.get(number, [])
        if len(there) > 1:
            found = f"{' and '.join(f'{kind}-{name}' for name in sorted(there))} for {label}"
            raise CohortError(f"{source}: expected one folder for a number, found {found}. {_remedy(kind)}")
        for folder in there:
            if folder in owners:
                found = f"{owners[folder]} and {label} for {kind}-{folder}"
                raise CohortError(f"{source}: expected one label for a folder, found {found}. {_remedy(kind)}")
            owners[folder], matched[label] = label, folder
    return matched


def _to_number(label: str) -> str:
    return label.lstrip("0") or "0"


def _remedy(kind: str) -> str:
    return f"Write the labels as the folders do, with {kind}- before them and all their zeros"
