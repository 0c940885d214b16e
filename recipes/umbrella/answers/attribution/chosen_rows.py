"""Which rows are explained, and the region that each one's answer should come from."""

import random
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from pathlib import Path

from datasets import Dataset

from umbrella.answers.attribution.regions import Region, find_region, name_regions, read_mask

NO_REGION = "none"
FindRegion = Callable[[dict], Region | None]


def choose_region(rows: Dataset, asked: str | None, folder: str | None) -> tuple[FindRegion | None, str]:
    """What finds a row's region, None where there is none to find; and the sentence that says which and why.

    asked   --region: a name, a mask's file, "none", or None for the first name that the metadata tell of
    folder  of the data, that masks are relative to

    Raises ValueError for a name that no row tells of.
    """
    if asked == NO_REGION:
        return None, "No region: --region none"
    if asked is not None and Path(asked).is_file():
        mask = read_mask(asked, Path(asked).name)
        if mask is None:
            raise ValueError(f"--region {asked}: expected a mask with voxels that are not 0, found none")
        return (lambda row: mask), f"Region: the mask {asked}, for all scans"
    if asked is not None and (Path(asked).suffix or len(Path(asked).parts) > 1):
        raise FileNotFoundError(f"--region {asked}: expected a mask's file, found no such file")
    names = Counter(name for metadata in rows["metadata"] for name in name_regions(metadata))
    if asked is None and not names:
        return None, "No region: the rows' metadata name none (see --region), so there are maps and no pointing number"
    name = asked or names.most_common(1)[0][0]
    if name not in names:
        found = f"only {', '.join(names)}" if names else "no region in the rows' metadata"
        raise ValueError(
            f"--region {asked}: expected a mask's file, or a name of which metadata.{asked}_mask, {asked}_box_mm or "
            f"{asked}_centre_mm tells, found {found}"
        )
    why = "asked for" if asked else "the metadata name it; --region takes another, or none"
    return (lambda row: find_region(row, name, folder)), f"Region: {name}, of {names[name]} rows ({why})"


def choose_rows(rows: Dataset, n: int, seed: int, find: FindRegion | None) -> list[tuple[dict, Region | None]]:
    """At most `n` rows with scans, in their order, each with its region: drawn by the seed, of as many subjects as
    there are, and only of those that have a region where one is to be found.

    Raises ValueError where there is none.
    """
    order, metadata = list(range(len(rows))), list(rows["metadata"])
    random.Random(seed).shuffle(order)
    by_subject: defaultdict[str | int, deque[int]] = defaultdict(deque)
    for index in order:
        by_subject[metadata[index]["subject_id"] or index].append(index)
    chosen: dict[int, Region | None] = {}
    while by_subject and len(chosen) < n:  # a row of each subject comes before the second of any
        for subject, left in list(by_subject.items()):
            if len(chosen) == n:
                break
            if (found := _take_next(rows, left, find)) is None:
                del by_subject[subject]
            else:
                chosen[found[0]] = found[1]
    if not chosen:
        raise ValueError(
            "expected rows with scans, and with the region, found none: choose another --split or --region"
        )
    return [(rows[index], chosen[index]) for index in sorted(chosen)]


def _take_next(rows: Dataset, left: deque[int], find: FindRegion | None) -> tuple[int, Region | None] | None:
    """The first of these rows that has scans, and the region where one is to be found; None without one."""
    while left:
        index = left.popleft()
        row = rows[index]
        region = None if find is None or not row["images"] else find(row)
        if row["images"] and (find is None or region is not None):
            return index, region
    return None
