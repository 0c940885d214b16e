"""Whether a scan lies where its name is, as far as a look tells: data that was not fetched, a web page, an archive."""

import os

from cohort import Exclusions, Visit

from umbrella.not_a_scan import N_BYTES, find_broken_link, find_foreign

# A pointer has 200 bytes and a web page some thousands; larger files are scans, or --check_images finds them.
_MOST_BYTES_LOOKED_INTO = 1 << 20
_GZIP_MAGIC = b"\x1f\x8b"


def drop_unfetched(visits: list[Visit], exclusions: Exclusions) -> list[Visit]:
    """The visits whose scans are there. A pointer, a broken link and what a failed download leaves are counted as
    `not fetched`, with the command that fetches them; empty files are taken, and warned of."""
    kept, empty = [], []
    for visit in visits:
        fault = None
        for modality, path in visit.scans.items():
            found = find_broken_link(path) or _look_into(path)
            if found is not None:
                fault = fault or f"{modality}: {path}: {found}"
            elif os.path.getsize(path) == 0:
                empty.append(path)
        if fault is None:
            kept.append(visit)
        else:
            exclusions.add_visit(visit, "not fetched", fault)
    if empty:
        exclusions.notes.append(
            f"WARNING {len(empty)} of the scans are empty files (0 bytes), which no training reads: the first is "
            f"{empty[0]}; --check_images leaves them out"
        )
    return kept


def _look_into(path: str) -> str | None:
    if not os.path.isfile(path):
        return "no regular file, but a pipe, a device or the like: put the scan in its place"
    if os.path.getsize(path) > _MOST_BYTES_LOOKED_INTO:
        return None
    with open(path, "rb") as file:
        start = file.read(N_BYTES)
    return None if start.startswith(_GZIP_MAGIC) else find_foreign(start, path)
