"""Whether shards are those of the rows that are read, as far as it can be told."""

import os
import sys
from collections.abc import Iterable, Sequence

from umbrella.files.contained_files import is_remote
from umbrella.files.shards.index import ShardError, mark_root
from umbrella.files.shards.reading import PackedScans
from umbrella.files.shards.shard_folder import ShardFolder


def check_fits(packed: PackedScans, paths: Iterable[tuple[str, str | None]]) -> None:
    """Raise ShardError where shards were made of other scans than these, some of the rows': (path, root) of each.

    What can be told: they lay where those of another folder of shards are looked for; none is there by its name; or a
    file lies in its own place that is not as long as the one that was packed.
    """
    _check_order(packed.folders)
    paths, missing = list(paths), []
    if len(held := {root for _, root in paths if root is not None}) > len(packed.folders):
        raise ShardError(
            f"--scan_shards: expected a folder of shards for each of {len(held)} folders that scans lie in, as "
            f"{' and '.join(sorted(held)[:2])}, in which they may have the same names, found {len(packed.folders)}"
        )
    for path, root in paths:
        if (found := packed.find_any(path, root)) is None:
            missing.append(path)
            continue
        folder, member = found
        if not folder.holds_views and os.path.isfile(path) and os.path.getsize(path) != member.size:
            raise ShardError(
                f"{folder.index.place}: expected the {os.path.getsize(path):,} bytes of {path}, found a scan of "
                f"{member.size:,} bytes by its name: it was packed from other data, or before the scan was changed. "
                "Pack the scans anew, into another folder, or choose other --scan_shards"
            )
    if missing and len(missing) == len(paths):
        known = " and ".join(f"{one.index.place} (with scans as {one.index.names[0]})" for one in packed.folders)
        raise ShardError(
            f"{known}: expected the rows' scans, as {missing[0]}, found none of {len(missing)}: give --json_dir and "
            "--image_root as pack_scans.py had them, or choose other --scan_shards"
        )
    _warn_of_other_place(packed.folders)


def _check_order(folders: Sequence[ShardFolder]) -> None:
    """Raise ShardError for shards of scans that lay in another one's root: BIDS names them alike everywhere."""
    marks = {mark_root(folder.root): folder.root for folder in folders}
    for folder in folders:
        stated, place = folder.index.about.root, folder.index.place
        if stated in ("", mark_root(folder.root)) or "" in marks:
            continue
        if stated in marks:
            raise ShardError(
                f"{place}: expected shards of the scans in {folder.root}, found those of {marks[stated]}: give "
                "--scan_shards in the order of the data folders"
            )


def _warn_of_other_place(folders: Sequence[ShardFolder]) -> None:
    """Say of shards of scans that lay elsewhere than in their store that their names alone are known to fit."""
    for folder in folders:
        stated, place = folder.index.about.root, folder.index.place
        is_other = stated not in ("", mark_root(folder.root))
        if is_other and is_remote(folder.root) and int(os.environ.get("RANK", "0")) == 0:
            print(
                f"warning: {place} was packed of scans in another place than {folder.root}: by their names they fit, "
                "but whether they are the same is not known",
                file=sys.stderr,
                flush=True,
            )
