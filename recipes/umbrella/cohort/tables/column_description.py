"""What a table's JSON sidecar (BIDS: participants.json) says of a column: Levels, the meanings of codes, and Units."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from umbrella.answers.text_folding import fold
from umbrella.cohort.shared.visits import is_missing
from umbrella.files.json_files import parse_json
from umbrella.scans.not_a_scan import find_unfetched

_LONGEST_LABEL = 40  # characters; a longer description is a sentence about the level, not a name for it
_LONGEST_UNIT = 20
_NO_UNIT = frozenset(
    "none na n/a tbd todo unitless string text str integer int number numeric float categorical category code codes "
    "arbitrary a.u. au boolean bool date".split()
) | {"arbitrary units", "arbitrary unit", "no unit", "no units", "not applicable"}
# BIDS recommends the singular, a sentence takes the plural.
_PLURALS = {unit: f"{unit}s" for unit in ("year", "month", "week", "day", "hour")} | {"yr": "years", "yrs": "years"}
_MEANS_MISSING = frozenset(
    """\
missing
missing data
missing value
not available
no data
not applicable
not reported
not recorded
not collected
not acquired
no answer
unknown
""".splitlines()
)


@dataclass(frozen=True)
class ColumnDescription:
    """Levels and unit of a column, with what could not be used.

    levels   folded value → its name, in the sidecar's order
    missing  folded values whose level says that they are missing, as {"-9": "not available"}
    """

    source: str = ""
    levels: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    unit: str = ""
    unused: tuple[str, ...] = ()


def describe_column(sidecars: Iterable[Path], column: str) -> ColumnDescription:
    """The description in the first of the files that is there and names the column, by its name or, where only one
    name does, by it in other letter case. A file that is no JSON object describes nothing, and `unused` says so."""
    unused = []
    for path in sidecars:
        unfetched = find_unfetched(path, "file")
        if unfetched is not None:
            unused.append(f"{path.name} is {unfetched}; until then its Levels and Units are not known")
            continue
        if not path.is_file():
            continue
        try:
            record = parse_json(path.read_text(encoding="utf-8-sig"))
        except (ValueError, RecursionError, OSError) as error:
            unused.append(f"{path.name} cannot be read as JSON ({error}): its Levels and Units are not known")
            continue
        if not isinstance(record, dict):
            unused.append(f"{path.name} is no JSON object: its Levels and Units are not known")
            continue
        entry = record.get(column)
        if entry is None:
            alike = [name for name in record if fold(name) == fold(column)]
            entry = record[alike[0]] if len(alike) == 1 else None
        if isinstance(entry, dict):
            return _read_entry(path.name, entry, unused)
    return ColumnDescription(unused=tuple(unused))


def _read_entry(source: str, entry: dict, unused: list[str]) -> ColumnDescription:
    levels, missing = {}, {}
    stated = entry.get("Levels")
    if isinstance(stated, dict):
        for value, level in stated.items():
            text = level.get("Description", level.get("LongName")) if isinstance(level, dict) else level
            name = " ".join(text.split()) if isinstance(text, str) else ""
            if is_missing(value):
                continue
            if name and (is_missing(name) or fold(name) in _MEANS_MISSING):
                missing[fold(value)] = name
            elif not name or len(name) > _LONGEST_LABEL:
                unused.append(f"{source}: Levels: {value} has {'a sentence' if name else 'no text'}, not a name")
            else:
                levels[fold(value)] = name
        if len(levels) > 1 and len({fold(name) for name in levels.values()}) == 1:
            unused.append(f"{source}: Levels: all are {next(iter(levels.values()))!r}")
            levels = {}
    unit = _read_unit(source, entry.get("Units"), unused)
    return ColumnDescription(source, levels, missing, unit, tuple(unused))


def _read_unit(source: str, stated: object, unused: list[str]) -> str:
    if not isinstance(stated, str) or is_missing(stated) or fold(stated) in _NO_UNIT:
        return ""
    unit = " ".join(stated.split())
    if len(unit) > _LONGEST_UNIT:
        unused.append(f"{source}: Units: {unit!r} is a sentence, not a unit")
        return ""
    return _PLURALS.get(fold(unit), unit)
