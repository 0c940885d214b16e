"""Write a trained model as other tools read it: whole, under the names of the published checkpoint it came from.

    python recipes/export.py --model_name_or_path runs/mine --output_dir exported --dtype bfloat16

Writes model, processor, generation config and umbrella_recipe.json, for `from_pretrained` and for all recipes, and
training_data.json: what the model has seen, its subjects as hashes.
"""

import sys

from umbrella.options.arguments import ModelArguments
from umbrella.options.commands.ending import run
from umbrella.options.parsing import parse_arguments
from umbrella.options.tool_arguments import ExportArguments

if __name__ == "__main__":  # a wrong flag, or --help, is answered before the slow imports
    run(lambda: parse_arguments((ModelArguments, ExportArguments)))

import torch

from umbrella.files.written_files import filling
from umbrella.hub.exporting import check_export_dir, export_model, read_base_names
from umbrella.models.loading import BUILT, load_model, load_processor
from umbrella.records.recipe import load_recipe
from umbrella.records.trained_questions import load_trained_questions
from umbrella.records.training_data import describe_copy


def main() -> None:
    # ------------------------------------------------------------------------------------------------ arguments
    model_args, export_args = parse_arguments((ModelArguments, ExportArguments))
    name = model_args.model_name_or_path
    output_dir = check_export_dir(export_args.output_dir)
    base_names = read_base_names(name, export_args.names_of)

    # ------------------------------------------------------------------------------------------------ model
    processor = load_processor(name)
    recipe = None if name in BUILT else load_recipe(name)
    if recipe is None:
        print(f"note: {name} has no umbrella_recipe.json: the export has none either", file=sys.stderr)
    questions = load_trained_questions(name)
    # What was trained in 32 bits, and adapters as they are merged, keep them where they are asked for.
    dtype = {} if export_args.dtype is None else {"dtype": getattr(torch, export_args.dtype)}
    model = load_model(name, base_model=model_args.base_model, **dtype)

    # ------------------------------------------------------------------------------------------------ save
    with filling(output_dir) as folder:
        describe_copy(name).save(folder)
        if questions is not None:
            questions.save(folder)
        export_model(model, processor, recipe, folder, export_args.dtype, base_names)
    print(f"{type(model).__name__}, {model.num_parameters():,} parameters, {model.dtype}: exported to {output_dir}")


if __name__ == "__main__":
    run(main)
