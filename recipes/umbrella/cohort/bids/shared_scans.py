"""One scan of several visits: what BIDS derivatives keep above the session folders belongs to all sessions."""

from collections import defaultdict

from umbrella.cohort.shared.visits import Exclusions, Visit, is_missing

_UNKNOWN = "n/a"


def merge_visits_of_one_scan(visits: list[Visit], column: str, exclusions: Exclusions) -> list[Visit]:
    """One visit, without a session, for those of a participant that have the same scans; its values are those that
    all of them share. Where their values of `column` differ, nobody knows of which the scan is: all are left out."""
    groups = defaultdict(list)
    for visit in visits:
        groups[visit.participant_id, tuple(visit.scans.items())].append(visit)
    merged = []
    for same in groups.values():
        if len(same) == 1:
            merged += same
            continue
        cells = {cell for visit in same if not is_missing(cell := visit.values.get(column))}
        where = (
            f"{next(iter(same[0].scans.values()))} lies above the session folders, so it is the scan of all of them"
        )
        if len(cells) > 1:
            for visit in same:
                detail = f"{where}, and their {column} differs; choose one with --sessions"
                exclusions.add_visit(visit, "one scan of several sessions", detail)
            continue
        names = {name for visit in same for name in visit.values}
        values = {name: _share(name, same) for name in sorted(names)}
        values |= dict.fromkeys([column] if cells else [], next(iter(cells), ""))
        merged.append(Visit(same[0].participant_id, "", values, same[0].scans))
        for visit in same[1:]:
            exclusions.add_visit(visit, "scan of another session", f"{where}: asked about once")
    return merged


def _share(name: str, visits: list[Visit]) -> str:
    values = {visit.values.get(name, "") for visit in visits}
    return values.pop() if len(values) == 1 else _UNKNOWN
