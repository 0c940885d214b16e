"""How many samples a second the data feeds on this machine: run it before buying GPUs.

    python recipes/benchmark_data.py --json_dir DATA --model_name_or_path llava-hf/llava-1.5-7b-hf --step_ms 400

Measures the building of the table, each stage of decoding, and whole batches by number of workers, with and without a
cache of views. --cold true drops the scans from the system's memory first, so that they come from the disk. Prints a
table and writes benchmark.json, and benchmark.png where matplotlib is installed, to --output_dir.
"""

import tempfile
from importlib.util import find_spec
from pathlib import Path

from umbrella.options.arguments import DataArguments, ModelArguments
from umbrella.options.commands.ending import run
from umbrella.options.parsing import parse_arguments
from umbrella.options.tool_arguments import BenchmarkArguments

if __name__ == "__main__":  # a wrong flag, or --help, is answered before the slow imports
    run(lambda: parse_arguments((ModelArguments, DataArguments, BenchmarkArguments)))

from umbrella.files.json_files import write_json
from umbrella.models.loading import load_processor
from umbrella.planning.throughput import (
    ColdScans,
    choose_workers,
    measure_memory,
    time_building,
    time_loader,
    time_scans,
    time_texts,
)
from umbrella.planning.throughput_report import draw_conclusion, draw_picture, draw_table
from umbrella.records.recipe import resolve_recipe
from umbrella.rows.blank_scans import BlankScans
from umbrella.rows.collator import ConversationCollator
from umbrella.rows.loading import load_splits, pick_split
from umbrella.rows.transform import ConversationTransform
from umbrella.views.settings import ViewSettings
from umbrella.views.volume_cache import VolumeCache


def main() -> None:
    # ------------------------------------------------------------------------------------------------ arguments
    model_args, data_args, bench_args = parse_arguments((ModelArguments, DataArguments, BenchmarkArguments))
    batch_size, seconds = bench_args.batch_size, bench_args.seconds

    # ------------------------------------------------------------------------------------------------ data
    building = time_building(data_args) if data_args.json_dir else None
    rows = pick_split(load_splits(data_args), bench_args.split).with_format(None)
    rows = rows.select(range(min(len(rows), bench_args.n_rows)))
    scans = [scan for row in rows for scan in row["images"]]
    if not scans:
        raise ValueError(f"--split {bench_args.split}: expected rows with scans, found none in the first {len(rows)}")
    processor = load_processor(model_args.model_name_or_path)
    recipe = resolve_recipe(ViewSettings.of(data_args), processor, model_args.model_name_or_path)
    options = recipe.settings.stated() | {"max_length": data_args.max_length, "on_overflow": data_args.on_overflow}
    collate = ConversationCollator(processor)

    # ------------------------------------------------------------------------------------------------ measure
    if data_args.volume_cache:
        Path(data_args.volume_cache).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=data_args.volume_cache) as folder:  # on the disk that training will use
        cache = VolumeCache(folder, data_args.volume_cache_gb)
        cached = ConversationTransform(processor, **options, volume_cache=cache)
        decoding = (ColdScans if bench_args.cold else ConversationTransform)(processor, **options)
        result = {
            "cold": bench_args.cold,
            "batch_size": batch_size,
            "step_ms": bench_args.step_ms,
            "building": building,
            "scans": time_scans(scans[: bench_args.n_rows], recipe.settings, cache, bench_args.cold),
            "texts": time_texts(rows, BlankScans(processor, **options), collate, batch_size),
            "memory_workers": bench_args.num_workers,
            # Also brings every scan into the cache.
            "memory_bytes": measure_memory(
                rows, cached, collate, batch_size, bench_args.num_workers, bench_args.epochs
            ),
            "samples_per_s": {
                workers: {
                    "decoded": time_loader(rows, decoding, collate, batch_size, workers, seconds),
                    "cached": time_loader(rows, cached, collate, batch_size, workers, seconds),
                }
                for workers in choose_workers(bench_args.num_workers)
            },
        }

    # ------------------------------------------------------------------------------------------------ report
    print(draw_table(result), draw_conclusion(result), sep="\n\n")
    output_dir = Path(bench_args.output_dir)
    write_json(output_dir / "benchmark.json", result, indent=2)
    if find_spec("matplotlib"):
        draw_picture(result, output_dir / "benchmark.png")


if __name__ == "__main__":
    run(main)
