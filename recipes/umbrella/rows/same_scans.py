"""The same scan in two cohorts: one file, whatever it is called in each."""

import os
from collections.abc import Mapping
from itertools import combinations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash
from datasets import Dataset, DatasetDict

from umbrella.files.arrow_tables import read_column, read_tables
from umbrella.files.contained_files import find_packed, split_root
from umbrella.options.data.cohort_flags import DIFFERENT
from umbrella_dataset import FormatError


def check_scans_apart(splits_of: Mapping[str, DatasetDict], same_ids: str | None) -> None:
    """Raise FormatError for a scan that two cohorts have in different splits, whatever its subject is called, and with
    "different" for any that two of them have: it is of one person."""
    files = {(name, split): name_files(rows) for name, of in splits_of.items() for split, rows in of.items()}
    for (name, split), (other, other_split) in combinations(files, 2):
        if name == other or (split == other_split and same_ids != DIFFERENT):
            continue
        (paths, own), (other_paths, others) = files[name, split], files[other, other_split]
        _, places, other_places = np.intersect1d(own, others, return_indices=True)
        if len(places):
            expected = "other people" if split == other_split else "each scan in one split"
            also = f", or leave out --same_ids {DIFFERENT}" if split == other_split else ""
            shown, again = (
                of[int(of_both[0])].as_py() for of, of_both in ((paths, places), (other_paths, other_places))
            )
            called = shown if shown == again else f"{shown}, which is the file {again}"
            raise FormatError(
                f"cohorts: expected {expected}, found {len(places)} scans in {split} of {name} and in {other_split} "
                f"of {other}, as {called}. Take their rows out of one of the two{also}"
            )


def name_files(rows: Dataset) -> tuple[pa.Array, np.ndarray]:
    """Of the files of all scans of the rows: (n,) a path of each, and (n,) uint64 what tells each from any other,
    links followed."""
    paths, digests = [], []
    for table in read_tables(rows, ["images"]):
        stated = pc.unique(pc.struct_field(read_column(table, "images").flatten(), "path")).drop_null()
        named = stated.to_pylist()
        packed = find_packed()
        in_shards = np.zeros(len(named), bool) if packed is None else packed.are_packed(named)
        plain = [split_root(path)[1] for path in named]
        digest = np.fromiter(map(_identify, plain, in_shards), np.uint64, len(named))
        paths.append(pa.array(plain, pa.string()))
        digests.append(digest)
    if not paths:
        return pa.array([], pa.string()), np.zeros(0, np.uint64)
    every = np.concatenate(digests)
    _, first = np.unique(every, return_index=True)
    return pa.concat_arrays(paths).take(pa.array(first)), every[first]


def _identify(path: str, in_shards: bool) -> int:
    """Of a file here by device and inode, which links and other mounts of it share; of another by its path."""
    try:
        found = None if in_shards else os.stat(path)
    except (OSError, ValueError):
        found = None  # an address; a scan that is not there, which is told where scans are read
    if found is None or not found.st_ino:
        return xxhash.xxh3_64_intdigest(path.encode("utf-8", "surrogatepass"))
    return xxhash.xxh3_64_intdigest(f"{found.st_dev} {found.st_ino} {found.st_size} {found.st_mtime_ns}".encode())
