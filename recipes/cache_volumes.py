"""Decode all scans into the cache ahead of training, with all cores. Goes on where it was stopped.

    python recipes/cache_volumes.py --json_dir DATA --volume_cache CACHE --model_name_or_path llava-hf/llava-1.5-7b-hf
    sbatch --array=0-9 --wrap 'python recipes/cache_volumes.py ... --shard_index $SLURM_ARRAY_TASK_ID --num_shards 10'

Then train with the same --volume_cache and --view. Ends with code 1 when scans cannot be read, and names them.
"""

import sys

from umbrella.options.arguments import DataArguments, ModelArguments
from umbrella.options.commands.ending import run
from umbrella.options.parsing import parse_arguments
from umbrella.options.tool_arguments import CacheArguments

if __name__ == "__main__":  # a wrong flag, or --help, is answered before the slow imports
    run(lambda: parse_arguments((ModelArguments, DataArguments, CacheArguments)))


from umbrella.models.loading import load_processor
from umbrella.options.commands.progress import show_progress
from umbrella.records.recipe import resolve_recipe
from umbrella.rows.cache_filling import CachedScans, fill_cache
from umbrella.rows.loading import load_splits
from umbrella.rows.scan_list import list_scans
from umbrella.views.settings import ViewSettings
from umbrella.views.volume_cache import VolumeCache


def main() -> None:
    # ------------------------------------------------------------------------------------------------ arguments
    model_args, data_args, cache_args = parse_arguments((ModelArguments, DataArguments, CacheArguments))
    if data_args.volume_cache is None:
        raise ValueError("expected --volume_cache FOLDER")
    cache = VolumeCache(data_args.volume_cache, data_args.volume_cache_gb, is_quiet=True)
    if not cache.is_writable:
        raise ValueError(
            f"--volume_cache {data_args.volume_cache}: expected a folder to write to, found that it {cache.fault}. "
            "Choose another"
        )

    # ------------------------------------------------------------------------------------------------ data
    splits = load_splits(data_args)
    processor = load_processor(model_args.model_name_or_path)
    recipe = resolve_recipe(ViewSettings.of(data_args), processor, model_args.model_name_or_path)
    places = list_scans(splits)[cache_args.shard_index :: cache_args.num_shards]
    scans = CachedScans(splits, places, cache, recipe.settings)

    # ------------------------------------------------------------------------------------------------ fill
    outcomes = list(
        show_progress(fill_cache(scans, cache_args.num_workers), total=len(scans), desc="caching", unit="scan")
    )

    # ------------------------------------------------------------------------------------------------ report
    problems = sorted(outcome.problem for outcome in outcomes if outcome.problem)
    n_new = sum(outcome.is_new for outcome in outcomes)
    n_before = len(outcomes) - n_new - len(problems)
    print(f"{len(outcomes)} scans: {n_new} decoded, {n_before} cached before, {len(problems)} unreadable")
    # What is out again, for want of room, has no size any more: it is taken for as large as the largest.
    most = max((outcome.n_bytes for outcome in outcomes), default=0)
    n_bytes = sum(outcome.n_bytes or most for outcome in outcomes if not outcome.problem)
    print(f"their views take {n_bytes / 1e9:.3g} GB in {data_args.volume_cache}")
    if (needed := n_bytes * cache_args.num_shards) > cache.most_bytes:
        print(
            f"warning: --volume_cache_gb {data_args.volume_cache_gb:g} is too little: set it above {needed / 1e9:.3g}"
        )
    if problems:
        print("\n".join(problems), file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    run(main)
