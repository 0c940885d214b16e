"""Write a split as a task of lmms-eval: its views as pictures, its questions, how answers are read, and the model.

    python recipes/export_task.py --model_name_or_path runs/mine --json_dir my_data --output_dir my_task

The folder's README.md says what is in it and how lmms-eval runs it. Models for whole volumes are refused, since
lmms-eval shows pictures.
"""

from umbrella.options.arguments import DataArguments, EvalArguments, ModelArguments
from umbrella.options.commands.ending import run
from umbrella.options.parsing import parse_arguments
from umbrella.options.tool_arguments import TaskExportArguments

if __name__ == "__main__":  # a wrong flag, or --help, is answered before the slow imports
    run(lambda: parse_arguments((ModelArguments, DataArguments, TaskExportArguments)))

from pathlib import Path

from datasets import disable_progress_bars

from umbrella.answers.selection import select_rows
from umbrella.evaluation.harness.agreement import compare_with_folder
from umbrella.evaluation.harness.model_folder import (
    check_takes_pictures,
    describe_error,
    find_end_warnings,
    write_model,
)
from umbrella.evaluation.harness.task_folder import find_scale, name_task, write_description, write_task
from umbrella.evaluation.questions import find_question
from umbrella.evaluation.results import subjects_of_rows
from umbrella.files.written_files import filling
from umbrella.hub.exporting import check_export_dir
from umbrella.models.loading import load_processor
from umbrella.records.leakage import guard_against_leakage
from umbrella.records.recipe import resolve_recipe
from umbrella.rows.kept_views import CachingTransform, ViewCache
from umbrella.rows.length_check import check_lengths
from umbrella.rows.loading import load_splits
from umbrella.training.preflight import check_scans
from umbrella.views.settings import ENCODER, ViewSettings
from umbrella.views.volume_cache import open_volume_cache


def main() -> None:
    # ------------------------------------------------------------------------------------------------ arguments
    model_args, data_args, task_args = parse_arguments((ModelArguments, DataArguments, TaskExportArguments))
    model_name, name = model_args.model_name_or_path, task_args.task_name or name_task(data_args, task_args.split)
    output_dir = check_export_dir(task_args.output_dir)
    asked = EvalArguments(
        split=task_args.split,
        task=task_args.task,
        labels=task_args.labels,
        unit=task_args.unit,
        decimal_sign=task_args.decimal_sign,
    )

    # ------------------------------------------------------------------------------------------------ data
    processor = load_processor(model_name)
    check_takes_pictures(processor, model_name)
    rows, _ = select_rows(data_args, asked)
    question = find_question(rows, asked, load_splits(data_args))
    disable_progress_bars()
    leakage = guard_against_leakage(model_name, rows, task_args.split, task_args.allow_subject_overlap)
    check_scans(rows)
    recipe = resolve_recipe(ViewSettings.of(data_args), processor, model_name)
    # What is shown is what stands in the folder: no harness drops turns.
    options = recipe.settings.stated() | {"max_length": data_args.max_length, "on_overflow": "raise"}
    cache = open_volume_cache(data_args.volume_cache, data_args.volume_cache_gb)
    transform = CachingTransform(processor, ViewCache(), add_generation_prompt=True, volume_cache=cache, **options)
    check_lengths(rows, transform)

    # ------------------------------------------------------------------------------------------------ folder
    scale = find_scale(rows, transform)
    with filling(output_dir, last=f"{name}.yaml") as folder:
        docs = write_task(folder, rows, transform, question, scale)
        write_model(folder / "model", model_args, transform, scale, task_args.with_model)
        agreement = compare_with_folder(folder, rows, docs, transform)
        is_whole = recipe.intensity == ENCODER  # levels already: nothing is rounded
        most_error = 0.0 if is_whole else describe_error(processor, scale, recipe.standardize)
        warnings = [*agreement.list_warnings(most_error), *find_end_warnings(transform)]
        if leakage.startswith("WARNING"):
            warnings.append(leakage.replace(model_name, Path(model_name).name))
        facts = {
            "n_rows": len(rows),
            "n_subjects": len(set(subjects_of_rows(rows))),
            "size": recipe.image_size,
            "shown": recipe.settings.describe(),
            "low": f"{scale.low:.4g}",
            "high": f"{scale.high:.4g}",
            "most_error": f"{most_error:.2g}",
            "standardize": recipe.standardize,
            "with_model": task_args.with_model,
            "max_new_tokens": task_args.max_new_tokens,
            "warnings": warnings,
        }
        write_description(folder, name, question, facts)
    print("\n".join(dict.fromkeys([leakage, *warnings])))
    if not agreement.list_warnings(most_error):
        print(
            "checked: of each row the folder's processor alone makes Umbrella's tokens and, within "
            f"{agreement.most_difference:.2g}, the intensities that its encoder sees"
        )
    print(f"{name}, {len(rows)} rows, is in {output_dir}; its README.md says how to run it")


if __name__ == "__main__":
    run(main)
