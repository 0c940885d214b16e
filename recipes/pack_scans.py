"""Pack all scans of a data folder into tar shards with an index. Goes on where it was stopped.

    python recipes/pack_scans.py --json_dir DATA --output_dir SHARDS
    python recipes/train.py --json_dir DATA --scan_shards SHARDS --output_dir runs/first

For stores where a request a scan costs too much, and file systems that suffer from a million small files: a scan is
then one read within a few large files. Any reader of WebDataset streams the shards. Ends with code 1 when scans cannot
be read; they stand in SHARDS/exclusions.tsv with the reason, and the others are packed.
"""

import sys
from pathlib import Path

from umbrella.options.arguments import DataArguments
from umbrella.options.ending import run
from umbrella.options.parsing import parse_arguments
from umbrella.options.tool_arguments import PackArguments

if __name__ == "__main__":  # a wrong flag, or --help, is answered before the slow imports
    run(lambda: parse_arguments((DataArguments, PackArguments)))


from umbrella.files.claimed_folder import claim
from umbrella.files.shards.index import SCANS, About
from umbrella.files.shards.writing import EXCLUSIONS, ShardWriter
from umbrella.options.progress import show_progress
from umbrella.rows.cache_filling import list_scans, look_at_all
from umbrella.rows.loading import find_scan_roots, load_splits
from umbrella.rows.packing import PackableScans, list_packable

WORKPLACE = ".packing"  # of the one process that packs into a folder


def main() -> None:
    # ------------------------------------------------------------------------------------------------ arguments
    data_args, pack_args = parse_arguments((DataArguments, PackArguments))
    if data_args.scan_shards is not None:
        raise ValueError("--scan_shards: expected scans in files of their own, to be packed. Leave it out")

    # ------------------------------------------------------------------------------------------------ data
    splits = load_splits(data_args)
    (root,) = find_scan_roots(data_args)
    places, made_of = list_packable(splits, list_scans(splits), root)

    # ------------------------------------------------------------------------------------------------ pack
    folder = Path(pack_args.output_dir)
    with (
        claim(folder / WORKPLACE, set(), folder),
        ShardWriter(folder, About(SCANS, [], {}, made_of), int(pack_args.shard_gb * 1e9)) as shards,
    ):
        if shards.is_done:
            print(f"{folder}: these scans are packed already")
            return
        if shards.n_done:
            print(f"{shards.n_done} scans were packed before")
        scans = PackableScans(splits, places, root)
        order = range(shards.n_done, len(scans))
        found = look_at_all(scans, min(pack_args.num_workers, len(order)), order, in_order=True)
        for number, scan in show_progress(found, total=len(order), desc="packing", unit="scan"):
            shards.add(number, scan)
        excluded = shards.finish()

    # ------------------------------------------------------------------------------------------------ report
    n_bytes = sum(shard.size for shard in shards.shards)
    print(f"{len(scans) - len(excluded)} scans in {len(shards.shards)} shards, {n_bytes / 1e9:.3g} GB, in {folder}")
    if excluded:
        print(f"{len(excluded)} scans were left out, see {folder / EXCLUSIONS}; the first:", file=sys.stderr)
        print(*(f"{one.source}: {one.path}: {one.reason}" for one in excluded[:10]), sep="\n", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    run(main)
