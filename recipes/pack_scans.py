"""Pack all scans of a data folder into tar shards with an index. Goes on where it was stopped.

    python recipes/pack_scans.py --json_dir DATA --output_dir SHARDS
    python recipes/train.py --json_dir DATA --scan_shards SHARDS --output_dir runs/first
    python recipes/pack_scans.py --what views --view montage:9 --model_name_or_path MODEL --json_dir DATA ...

For stores where a request a scan costs too much, and file systems that suffer from a million small files: a scan is
then one read within a few large files. Any reader of WebDataset streams the shards. Ends with code 1 when scans cannot
be read; they stand in SHARDS/exclusions.tsv with the reason, and the others are packed.
"""

import sys
from pathlib import Path

from umbrella.options.arguments import DataArguments, ModelArguments
from umbrella.options.commands.ending import run
from umbrella.options.parsing import parse_arguments
from umbrella.options.tool_arguments import PackArguments

if __name__ == "__main__":  # a wrong flag, or --help, is answered before the slow imports
    run(lambda: parse_arguments((ModelArguments, DataArguments, PackArguments)))


from umbrella.files.claimed_folder import claim
from umbrella.files.shards.index import SCANS, VIEWS, About, mark_root
from umbrella.files.shards.writing import EXCLUSIONS, ShardWriter
from umbrella.models.loading import load_processor
from umbrella.options.commands.progress import show_progress
from umbrella.records.recipe import resolve_recipe
from umbrella.rows.cache_filling import look_at_all
from umbrella.rows.loading import find_scan_roots, load_splits
from umbrella.rows.packing import PackableScans, list_packable
from umbrella.views.packed_views import describe_views
from umbrella.views.settings import ViewSettings

WORKPLACE = ".packing"  # of the one process that packs into a folder


def main() -> None:
    # ------------------------------------------------------------------------------------------------ arguments
    model_args, data_args, pack_args = parse_arguments((ModelArguments, DataArguments, PackArguments))
    if data_args.scan_shards is not None:
        raise ValueError("--scan_shards: expected scans in files of their own, to be packed. Leave it out")
    if len(roots := find_scan_roots(data_args)) > 1:
        raise ValueError(
            f"--json_dir: expected one folder, or several whose scans lie in one --image_root, found scans in "
            f"{' and '.join(roots)}. Pack each folder by itself, and give --scan_shards all of them in that order"
        )

    # ------------------------------------------------------------------------------------------------ data
    splits = load_splits(data_args)
    root = roots[0]
    views, about = None, About(SCANS, [], {}, "")
    if pack_args.what == VIEWS:
        processor = load_processor(model_args.model_name_or_path)
        views = resolve_recipe(ViewSettings.of(data_args), processor, model_args.model_name_or_path).settings
        about = About(VIEWS, [], describe_views(views), "")
    places, made_of = list_packable(splits, root, views is not None)
    about = about._replace(made_of=made_of, root=mark_root(root))

    # ------------------------------------------------------------------------------------------------ pack
    folder = Path(pack_args.output_dir)
    with (
        claim(folder / WORKPLACE, set(), folder),
        ShardWriter(folder, about, int(pack_args.shard_gb * 1e9)) as shards,
    ):
        if shards.is_done:
            print(f"{folder}: these {about.what} are packed already")
            return
        if shards.n_done:
            print(f"{shards.n_done} scans were packed before")
        scans = PackableScans(splits, places, root, views)
        order = range(shards.n_done, len(scans))
        found = look_at_all(scans, min(pack_args.num_workers, len(order)), order, in_order=True)
        for number, scan in show_progress(found, total=len(order), desc="packing", unit="scan"):
            shards.add(number, scan)
        excluded = shards.finish()

    # ------------------------------------------------------------------------------------------------ report
    n_packed, n_shards = len(scans) - len(excluded), len(shards.shards)
    n_bytes = sum(shard.size for shard in shards.shards)
    said = "1 shard" if n_shards == 1 else f"{n_shards} shards"
    print(f"{n_packed} {about.what} in {said}, {n_bytes / 1e9:.3g} GB, in {folder}")
    if excluded:
        print(f"{len(excluded)} scans were left out, see {folder / EXCLUSIONS}; the first:", file=sys.stderr)
        print(*(f"{one.source}: {one.path}: {one.reason}" for one in excluded[:10]), sep="\n", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    run(main)
