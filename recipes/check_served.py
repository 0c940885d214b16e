"""Compare a server's answers with predict.py's, row by row: equal, or which rows differ and where.

    python recipes/serve.py --model_name_or_path exported
    python recipes/check_served.py --model_name_or_path exported --json_dir DATA --url http://127.0.0.1:8000/v1

The scans of a split go to the server as `umbrella.client` sends them, and to the same model here as predict.py asks
it. Exit code 0 where all answers are equal, else 1. The server may be any OpenAI-compatible one.
"""

import contextlib
import sys

from umbrella.options.arguments import DataArguments, ModelArguments
from umbrella.options.commands.ending import run
from umbrella.options.parsing import parse_arguments
from umbrella.options.serve_arguments import CheckServedArguments

if __name__ == "__main__":  # a wrong flag, or --help, is answered before the slow imports
    run(lambda: parse_arguments((ModelArguments, DataArguments, CheckServedArguments)))

from accelerate import PartialState
from datasets import disable_progress_bars

from umbrella.answers.generation import Answerer
from umbrella.answers.serving.client import Client
from umbrella.answers.serving.comparison import compare_rows, sum_up
from umbrella.answers.serving.servable import check_servable
from umbrella.models.loading import check_fits, load_model, load_processor
from umbrella.options.commands.control_signs import print_exactly
from umbrella.records.recipe import resolve_recipe
from umbrella.rows.kept_views import CachingTransform, ViewCache
from umbrella.rows.loading import load_splits, pick_split
from umbrella.views.settings import ViewSettings
from umbrella.views.volume_cache import open_volume_cache


def main() -> None:
    # ------------------------------------------------------------------------------------------------ arguments
    model_args, data_args, check_args = parse_arguments((ModelArguments, DataArguments, CheckServedArguments))
    name = model_args.model_name_or_path
    disable_progress_bars()
    rows = pick_split(load_splits(data_args), check_args.split)
    rows = rows.select(range(min(check_args.n or len(rows), len(rows))))

    with contextlib.redirect_stdout(sys.stderr):  # whatever a library prints
        # -------------------------------------------------------------------------------------------- model
        processor = load_processor(name)
        recipe = resolve_recipe(ViewSettings.of(data_args), processor, name)
        check_servable(recipe, name)
        client = Client(
            check_args.url, recipe, check_args.served_name, check_args.max_new_tokens, timeout_s=check_args.timeout
        )
        options = recipe.settings.stated() | {"max_length": data_args.max_length, "on_overflow": "raise"}
        cache = open_volume_cache(data_args.volume_cache, data_args.volume_cache_gb)
        prompts = CachingTransform(processor, ViewCache(), add_generation_prompt=True, volume_cache=cache, **options)
        model = load_model(name, base_model=model_args.base_model).to(PartialState(cpu=check_args.use_cpu).device)
        check_fits(model, processor, recipe.image_size, data_args.max_length)

        # -------------------------------------------------------------------------------------------- compare
        answerer = Answerer(model, prompts, prompts, batch_size=1, max_new_tokens=check_args.max_new_tokens)
        compared = list(compare_rows(rows, answerer, client, prompts))
    print_exactly("\n".join(sum_up(compared)))
    if any(row.difference is not None for row in compared):
        raise SystemExit(1)


if __name__ == "__main__":
    run(main)
