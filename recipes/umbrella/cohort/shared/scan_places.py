"""Whether a scan lies where its name is, as far as a look tells: data that was not fetched, a web page, an archive."""

import os
from collections import Counter

from umbrella.cohort.shared.visits import Exclusions, Visit
from umbrella.files.contained_files import is_remote
from umbrella.scans.not_a_scan import (
    GZIP_MAGIC,
    N_BYTES,
    NOT_A_SCAN,
    NOT_FETCHED,
    Foreign,
    find_broken_link,
    find_foreign,
)

# A pointer has 200 bytes and a web page some thousands; larger files are scans, or --check_images finds them.
_MOST_BYTES_LOOKED_INTO = 1 << 20


def drop_unfetched(visits: list[Visit], exclusions: Exclusions) -> list[Visit]:
    """The visits whose scans are there. The others are counted by what lies in a scan's place: `not fetched` (a
    pointer, a broken link), `packed`, `not a scan` (a web page, a text, a pipe), `empty file`; the first of each kind
    is warned of, with its remedy."""
    kept, first, counts = [], {}, Counter()
    for visit in visits:
        faults = [(modality, path, fault) for modality, path in visit.scans.items() if (fault := _find_fault(path))]
        if not faults:
            kept.append(visit)
            continue
        modality, path, (kind, found) = faults[0]
        exclusions.add_visit(visit, kind, f"{modality}: {path}: {found}")
        counts[kind] += 1
        first.setdefault(kind, f"{path}: {found}")
    for kind, n in counts.items() if kept else ():  # else the refusal says them
        visits_are = "1 visit is" if n == 1 else f"{n} visits are"
        exclusions.notes.append(f"WARNING {visits_are} left out, {kind}; the first: {first[kind]}")
    return kept


def _find_fault(path: str) -> Foreign | None:
    if is_remote(path):  # its store says that it is there; what it holds is seen when it is read
        return None
    if link := find_broken_link(path):
        return Foreign(NOT_FETCHED, link)
    if not os.path.isfile(path):
        return Foreign(NOT_A_SCAN, "no regular file, but a pipe, a device or the like: put the scan in its place")
    n_bytes = os.path.getsize(path)
    if n_bytes == 0:
        return Foreign("empty file", "a file of 0 bytes: copy or download the scan again")
    if n_bytes > _MOST_BYTES_LOOKED_INTO:
        return None
    with open(path, "rb") as file:
        start = file.read(N_BYTES)
    return None if start.startswith(GZIP_MAGIC) else find_foreign(start, path)


def is_folder(entry: os.DirEntry) -> bool:
    """Of a link, what it leads to; one that leads to itself is none."""
    return entry.is_dir(follow_symlinks=False) or (entry.is_symlink() and os.path.isdir(entry.path))
