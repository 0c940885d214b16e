"""Read all scans of a data set in parallel: what cannot be read, and what is the same brain under two names."""

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

from umbrella.files.contained_files import split_root
from umbrella.options.commands.progress import show_progress
from umbrella.validation.worker_processes import start_workers
from umbrella_dataset import Problem

SCANS_PER_TASK = 4
MOST_LOOKED_FOR = 100  # paths that are looked for in shards


def use_packed(shards: Sequence[str], image_root: str | None, folders: Iterable[str], paths: Sequence[str]) -> None:
    """Read scans from `--scan_shards` where they were packed, which are told from others by some of the `paths`.
    Raises ShardError and RemoteError, OSErrors."""
    if shards:
        from umbrella.files.shards.fitting import check_fits  # here: what no flag asks for costs nothing
        from umbrella.files.shards.reading import use_shards

        packed = use_shards(shards, [image_root] if image_root else list(dict.fromkeys(folders)))
        if packed is not None:
            some = paths[:: 1 + len(paths) // MOST_LOOKED_FOR]
            check_fits(packed, ((name, root) for root, name in map(split_root, some)))


def find_scan_problems(uses: Iterable) -> list[tuple[str, Problem]]:
    """(source, problem) of every scan that cannot be read and of equal voxels under two subjects or in two splits.

    `uses` have source, path, modality, subject (None: not known) and split (None: in no split). Voxels are
    compared in RAS+ and scaled, so that a copy with another storage order, type or compression is found too.
    """
    by_scan = defaultdict(list)
    for use in uses:
        by_scan[use.path, use.modality].append(use)
    problems, by_voxels = [], defaultdict(list)
    for scan, (digest, error) in hash_scans(by_scan):
        if error is None:
            by_voxels[digest] += by_scan[scan]
        else:
            expected = f"a whole, readable {scan[1]} scan"
            problems += [(use.source, Problem("scan", "images", expected, error)) for use in by_scan[scan][:1]]
    for same in by_voxels.values():
        problems += _compare_owners(same)
    return problems


def hash_scans(
    scans: Collection[tuple[str, str]],
) -> Iterator[tuple[tuple[str, str], tuple[bytes | None, str | None]]]:
    """((path, modality), (sha256 of the voxels, None) or (None, why they cannot be read)) of each scan, in order.

    Raises ChildProcessError where a process that reads is killed.
    """
    with start_workers(len(scans)) as pool:
        results = pool.map(hash_voxels, scans, chunksize=SCANS_PER_TASK)
        yield from zip(scans, show_progress(results, desc="reading scans", total=len(scans), unit="scan"), strict=True)


def hash_voxels(scan: tuple[str, str]) -> tuple[bytes | None, str | None]:
    """(sha256 of the voxels of (path, modality), None), or (None, why `load_image` cannot load them)."""
    import numpy as np  # in the worker: the parent needs neither this nor nibabel

    from umbrella.scans.volumes import ScanError, read_scan

    path, modality = scan
    try:
        scan = read_scan(path, modality, normalize=True, standardize=True)
    except ScanError as error:
        return None, str(error)
    ends = scan.slope * np.array([scan.stored.min(), scan.stored.max()], np.float64) + scan.inter
    exponent = int(np.frexp(np.abs(ends).max())[1])  # by this power of two float32 holds the values, whatever they are
    digest = hashlib.sha256(repr((scan.stored.shape, exponent)).encode())
    for plane in np.moveaxis(scan.stored, 2, 0):  # (X, Y)
        values = scan.slope * plane.astype(np.float64) + scan.inter
        digest.update(np.ldexp(values, -exponent).astype(np.float32).tobytes())
    return digest.digest(), None


def _compare_owners(uses: list) -> list[tuple[str, Problem]]:
    """One problem for each further subject and split that has the voxels of the first use."""
    problems = []
    for attribute, place in (("subject", "subject_ids"), ("split", "images")):
        owners: dict[str | None, Any] = {}
        for use in uses:
            owners.setdefault(getattr(use, attribute), use)
        owners.pop(None, None)
        shared: list[Any] = [*owners.values()] or [None]
        first, *others = shared
        for use in others:
            expected = f"voxels of its own for each {attribute}"
            paths = [split_root(scan.path)[1] for scan in (use, first)]
            found = f"those of {paths[0]} ({getattr(use, attribute)}) in {paths[1]} ({getattr(first, attribute)}) too"
            problems.append((use.source, Problem("equal scans", place, expected, found)))
    return problems
