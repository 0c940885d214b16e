"""Look at data before training: scans in all views, what is supervised, orientation, intensities, and what is odd.

    python recipes/preview.py --json_dir sample_data/sex_comparison_conversations --n 12

Writes one page, runs/preview/NAME_SPLIT.html unless --output says another, that opens in any browser. It shows scans.
"""

from pathlib import Path

from umbrella.options.arguments import DataArguments, ModelArguments
from umbrella.options.commands.ending import run
from umbrella.options.parsing import parse_arguments
from umbrella.options.tool_arguments import PreviewArguments

if __name__ == "__main__":  # a wrong flag, or --help, is answered before the slow imports
    run(lambda: parse_arguments((ModelArguments, DataArguments, PreviewArguments)))

from umbrella.models.loading import load_processor
from umbrella.planning.volume_checks import check_volumes
from umbrella.records.recipe import resolve_recipe
from umbrella.records.run import describe_process
from umbrella.report.preview_report import write_preview
from umbrella.rows.loading import load_splits, pick_split
from umbrella.rows.transform import ConversationTransform
from umbrella.training.preflight import check_scans
from umbrella.views.settings import ViewSettings

MOST_PRINTED = 10


def main() -> None:
    model_args, data_args, preview_args = parse_arguments((ModelArguments, DataArguments, PreviewArguments))
    rows = pick_split(load_splits(data_args), preview_args.split)
    check_scans(rows)
    processor = load_processor(model_args.model_name_or_path)
    recipe = resolve_recipe(ViewSettings.of(data_args), processor, model_args.model_name_or_path)
    check_volumes({preview_args.split: rows}, recipe.settings)
    transform = ConversationTransform(
        processor, **recipe.settings.stated(), max_length=data_args.max_length, on_overflow=data_args.on_overflow
    )
    path = Path(preview_args.output or name_page(data_args, preview_args.split))
    odd = write_preview(path, rows, preview_args, transform, describe_process(1))
    for name, sentence in odd[:MOST_PRINTED]:
        print(f"odd: {name}: {sentence}")
    if len(odd) > MOST_PRINTED:
        print(f"... and {len(odd) - MOST_PRINTED} more")
    print(f"wrote {path}")


def name_page(data_args: DataArguments, split: str) -> Path:
    """Not among the data, where a generator would not write over it, nor in a checkout's root, unignored."""
    return Path("runs/preview") / f"{data_args.data_name}_{split}.html"


if __name__ == "__main__":
    run(main)
