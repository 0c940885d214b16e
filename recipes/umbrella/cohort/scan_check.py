"""Reads every scan of a cohort: visits with a scan that cannot be read, or with another's voxels, are left out."""

from collections import defaultdict

from umbrella.cohort.shared.visits import Exclusions, Visit
from umbrella.files.studies import find_modality
from umbrella.validation.scans import hash_scans


def drop_bad_scans(visits: list[Visit], exclusions: Exclusions) -> list[Visit]:
    """The visits all of whose scans can be read to the end and are of them alone.

    Of equal voxels within a participant the first visit keeps them. Of equal voxels under two participants nobody
    knows whose they are: all those visits are left out.
    """
    scans = [(path, find_modality(name)) for visit in visits for name, path in visit.scans.items()]
    digests = dict(hash_scans(scans))
    owners = defaultdict(list)
    for visit in visits:
        for name, path in visit.scans.items():
            digest, error = digests[path, find_modality(name)]
            if error is None:
                owners[digest].append(visit)
    kept = []
    for visit in visits:
        reason, detail = _find_fault(visit, digests, owners)
        if reason is None:
            kept.append(visit)
        else:
            exclusions.add_visit(visit, reason, detail)
    return kept


def _find_fault(visit: Visit, digests: dict, owners: dict[bytes, list[Visit]]) -> tuple[str | None, str]:
    for name, path in visit.scans.items():
        digest, error = digests[path, find_modality(name)]
        if error is not None:
            return "unreadable", error
        same = owners[digest]
        others = [other for other in same if other.participant_id != visit.participant_id]
        if others:
            return "duplicate voxels", f"{name}: the voxels of {path} are those of {others[0].participant_id} too"
        if same[0] is not visit:
            return "duplicate voxels", f"{name}: the voxels of {path} are those of session {same[0].session} too"
        if sum(other is visit for other in same) > 1:
            return "duplicate voxels", f"{name}: the voxels of {path} are those of another scan of the visit too"
    return None, ""
