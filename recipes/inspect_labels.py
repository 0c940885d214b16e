"""Show which tokens a model is trained on, and how long the rows are. Run it before a long job.

    python recipes/inspect_labels.py --json_dir sample_data/sex_comparison_conversations --n 2

The supervised tokens stand on green, or between ⟦ ⟧ where the output is no terminal or NO_COLOR is set. The lengths of
the whole split are counted without loading its scans. Ends with code 1 when rows cannot fit into --max_length.
"""

import os
import sys

from umbrella.options.arguments import DataArguments, ModelArguments
from umbrella.options.commands.ending import run
from umbrella.options.parsing import parse_arguments
from umbrella.options.tool_arguments import InspectArguments

if __name__ == "__main__":  # a wrong flag, or --help, is answered before the slow imports
    run(lambda: parse_arguments((ModelArguments, DataArguments, InspectArguments)))


from umbrella.models.loading import load_processor
from umbrella.options.commands.progress import show_progress
from umbrella.records.recipe import resolve_recipe
from umbrella.rows.label_report import (
    describe_counts,
    describe_scan_tokens,
    draw_histogram,
    find_runs,
    mark_runs,
    measure_lengths,
)
from umbrella.rows.loading import load_splits, pick_split
from umbrella.rows.transform import ConversationTransform
from umbrella.views.settings import ViewSettings
from umbrella.views.volume_cache import open_volume_cache


def main() -> None:
    # ------------------------------------------------------------------------------------------------ arguments
    model_args, data_args, inspect_args = parse_arguments((ModelArguments, DataArguments, InspectArguments))
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")

    # ------------------------------------------------------------------------------------------------ data
    rows = pick_split(load_splits(data_args), inspect_args.split)
    processor = load_processor(model_args.model_name_or_path)
    recipe = resolve_recipe(ViewSettings.of(data_args), processor, model_args.model_name_or_path)
    transform = ConversationTransform(
        processor,
        **recipe.settings.stated(),
        max_length=data_args.max_length,
        on_overflow=data_args.on_overflow,
        volume_cache=open_volume_cache(data_args.volume_cache, data_args.volume_cache_gb),
    )
    lengths = measure_lengths(show_progress(rows, desc="counting tokens", unit="row", leave=False), transform)

    # ------------------------------------------------------------------------------------------------ rows
    image_token_ids = transform.encoder.image_token_ids
    modalities = {modality for of_row in rows["modalities"] for modality in of_row}
    if modalities:
        print(describe_scan_tokens(transform, modalities))
    print(f"supervised tokens: {'on green' if colour else '⟦ ⟧'}\n")
    for row, length in zip(rows.select(range(min(inspect_args.n, len(rows)))), lengths, strict=False):
        print(f"── {row['source']} · task {row['task_id']} · {len(row['images'])} scans")
        if length.kept is None:
            print(f"   {length.tokens} tokens cannot fit into max_length {data_args.max_length}\n")
            continue
        if length.kept < length.tokens:
            print(f"   {length.tokens} tokens do not fit into max_length {data_args.max_length}: the oldest turns go")
        example = transform.encode_row(row)
        print(f"   {describe_counts(example, image_token_ids)}")
        runs = find_runs(example, processor.tokenizer, image_token_ids)
        print(mark_runs(runs, colour).rstrip("\n"), end="\n\n")

    # ------------------------------------------------------------------------------------------------ lengths
    print(f"── lengths of {inspect_args.split}")
    print(draw_histogram(lengths, data_args.max_length))
    if any(length.kept is None for length in lengths):
        sys.exit(1)


if __name__ == "__main__":
    run(main)
