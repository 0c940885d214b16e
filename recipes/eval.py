"""Evaluate a model on a split: answers, metrics with intervals, controls with exchanged scans, and a report.

    python recipes/eval.py --model_name_or_path runs/quickstart --json_dir sample_data/sex_comparison_conversations
    accelerate launch --num_processes 4 recipes/eval.py --model_name_or_path MODEL --json_dir DATA

Writes predictions.jsonl, controls.jsonl, metrics.json, checklist.json, report.html, report_public.html without single
rows, and failures.html with the surest wrong answers and the groups that fail more than others, into --output_dir
(default: the model's folder, eval/; below runs/evaluations/ for a model of the Hub). A run that was stopped continues
where it was.
"""

from umbrella.options.arguments import DataArguments, EvalArguments, ModelArguments
from umbrella.options.commands.ending import run
from umbrella.options.parsing import parse_arguments

if __name__ == "__main__":  # a wrong flag, or --help, is answered before the slow imports
    run(lambda: parse_arguments((ModelArguments, DataArguments, EvalArguments)))

from collections.abc import Callable
from functools import partial
from pathlib import Path

from accelerate import PartialState
from datasets import disable_progress_bars
from transformers import ProcessorMixin

from umbrella.answers.readability import describe_unreadable
from umbrella.answers.selection import select_rows
from umbrella.evaluation.asking import Asker
from umbrella.evaluation.checklists.checklist import FILE_NAME as CHECKLIST
from umbrella.evaluation.checklists.checklist import build_checklist
from umbrella.evaluation.checklists.run_files import read_run_files
from umbrella.evaluation.controls import build_controls
from umbrella.evaluation.evidence.evidence import Evidence
from umbrella.evaluation.evidence.gathering import gather_evidence
from umbrella.evaluation.evidence.repeats import find_repeats
from umbrella.evaluation.evidence.wording import choose_phrasings
from umbrella.evaluation.history import record_evaluation
from umbrella.evaluation.questions import find_question
from umbrella.evaluation.results import subjects_of_rows
from umbrella.evaluation.run_folder import Folder, describe_settings, name_folder
from umbrella.evaluation.sequence_controls import build_sequence_controls
from umbrella.evaluation.side_analyses import check_names, describe_model, group_by_cohort, put_in_context
from umbrella.evaluation.summary import summarize_as_text
from umbrella.evaluation.uncertainty.calibration_rows import SPLIT, pick_calibration_rows
from umbrella.files.json_files import write_json
from umbrella.files.shards.reading import find_fetch_ahead
from umbrella.models.cached_tower import attach_feature_cache
from umbrella.models.feature_cache import FeatureCache, open_feature_cache
from umbrella.models.hub_names import name_on_hub
from umbrella.models.loading import check_fits, load_model, load_processor
from umbrella.models.volumes.agreement import follow_spacing
from umbrella.planning.volume_checks import check_volumes
from umbrella.records.evaluations import METRICS
from umbrella.records.leakage import guard_against_leakage
from umbrella.records.recipe import resolve_recipe
from umbrella.records.run import describe_process, hash_splits_file
from umbrella.report.evaluation_report import Evaluation, write_reports
from umbrella.rows.kept_views import CachingTransform, ViewCache
from umbrella.rows.length_check import check_lengths
from umbrella.rows.loading import load_splits
from umbrella.training.main_process import main_process_first, on_main_process
from umbrella.training.preflight import check_scans, check_world_size
from umbrella.views.settings import ViewSettings
from umbrella.views.volume_cache import open_volume_cache


def main() -> None:
    # ------------------------------------------------------------------------------------------------ arguments
    model_args, data_args, eval_args = parse_arguments((ModelArguments, DataArguments, EvalArguments))
    model_name, split = model_args.model_name_or_path, eval_args.split
    folder = Folder(Path(eval_args.output_dir or name_folder(model_name, split)))
    state = PartialState(cpu=eval_args.use_cpu)
    check_world_size(state.num_processes)

    # ------------------------------------------------------------------------------------------------ data
    with main_process_first():
        rows, selection = select_rows(data_args, eval_args)
        splits = load_splits(data_args)
    disable_progress_bars()  # those of `datasets`: ours tell how far the answers are
    question = find_question(rows, eval_args, splits)
    asked_for = question.to_dict()
    group_by_cohort(eval_args, data_args.cohort_places, asked_for["task"])
    check_names(eval_args, rows, asked_for["task"], asked_for.get("labels", ()))
    if eval_args.phrasings:  # a file that does not fit is refused before the model is asked
        choose_phrasings(eval_args, rows, splits, question)
    find_repeats(rows, eval_args.pairs)  # a table that does not fit the rows is refused before the long work
    leakage = guard_against_leakage(model_name, rows, split, eval_args.allow_subject_overlap)
    calibration = pick_calibration_rows(eval_args, splits, question, rows, model_name)
    parts = {split: rows, **calibration.by_split}
    for part in parts.values():
        on_main_process(check_scans, part)

    process = describe_process(state.num_processes)
    n_cohorts = len(data_args.cohort_places) or 1
    run_files = read_run_files(model_name, data_args.json_dir, splits, process, n_cohorts)

    # ------------------------------------------------------------------------------------------------ model
    processor = load_processor(model_name)
    recipe = resolve_recipe(ViewSettings.of(data_args), processor, model_name)
    on_main_process(check_volumes, parts, recipe.settings)
    options = recipe.settings.stated() | {"max_length": data_args.max_length, "on_overflow": data_args.on_overflow}
    features = open_feature_cache(eval_args.feature_cache, data_args.volume_cache_gb)
    make_transform = prepare_transforms(processor, options, data_args, features, eval_args.seed)
    for part in parts.values():
        on_main_process(check_lengths, part, make_transform())
    model = load_model(model_name, base_model=model_args.base_model).to(state.device)
    follow_spacing(model, data_args.volume_spacing)  # another than a trained model's was refused above
    check_fits(model, processor, recipe.image_size, data_args.max_length)
    if features is not None:
        attach_feature_cache(model.requires_grad_(False), processor, features, state.device)

    # ------------------------------------------------------------------------------------------------ answers
    asked = {"seed": eval_args.seed, "max_new_tokens": eval_args.max_new_tokens, **options, **asked_for}
    settings = describe_settings(rows, split, model_name, **asked)
    if state.is_main_process:
        folder.open(settings, eval_args.overwrite)
        if calibration.drawn_from is not None:
            folder.open_split(SPLIT, calibration.drawn_from)
    asker = Asker(model, make_transform, question, folder, eval_args)
    records, n_new = asker.ask(rows)

    # ------------------------------------------------------------------------------------------------ controls
    exchanged = {}
    shown = recipe.settings
    bounds = eval_args.seed, eval_args.controls_n
    controls = build_controls(rows, *bounds, shown) if eval_args.controls else []
    controls += build_sequence_controls(rows, *bounds, splits.get("train")) if eval_args.controls else []
    for control in controls:
        got = asker.ask_changed(control.rows, control.name, control.change)
        exchanged[control.name] = (control, got)

    # ------------------------------------------------------------------------------------------------ evidence
    subjects = subjects_of_rows(rows)
    found = question.summarize(records, subjects, eval_args.bootstrap, eval_args.seed)
    found |= question.compare(records, exchanged, subjects)
    evidence = gather_evidence(Evidence(asker, eval_args, splits, rows, records, found, calibration))

    # ------------------------------------------------------------------------------------------------ save
    if not state.is_main_process:
        return
    splits_sha256 = hash_splits_file(data_args.json_dir)
    metrics = {
        **found,
        "evidence": evidence,
        "bootstrap": {"resamples": eval_args.bootstrap},
        "selection": selection.to_dict(),
        "leakage": leakage,
        "split": split,
        "dataset_name": name_on_hub(data_args.dataset_name),
        "splits_sha256": splits_sha256,
        **put_in_context(splits.get("train"), eval_args, rows, records, asker.answers, question),
    }
    log_dir = Path(model_name) if Path(model_name).is_dir() else folder.path
    metrics["evaluations_of_this_split"] = record_evaluation(log_dir, settings, n_new, metrics["metrics"])
    write_json(folder.path / METRICS, metrics, indent=2)
    checklist = build_checklist(run_files.add_results(folder.path))
    write_json(folder.path / CHECKLIST, checklist, indent=2)
    if eval_args.report:
        facts = describe_model(model, recipe, model_name) | {"splits.json, sha256": splits_sha256 or "none"}
        evaluation = Evaluation(rows, records, metrics, settings, process, checklist)
        write_reports(folder.path, evaluation, asker.answers, model_name, facts)
    print(summarize_as_text(metrics))
    if unreadable := describe_unreadable(records, eval_args.max_new_tokens):
        print(unreadable)
    reports = ", report.html, failures.html and, without single rows, report_public.html" if eval_args.report else ""
    print(f"predictions.jsonl, metrics.json, {CHECKLIST}{reports} are in {folder.path}")


def prepare_transforms(
    processor: ProcessorMixin, options: dict, data_args: DataArguments, features: FeatureCache | None, seed: int
) -> Callable[..., CachingTransform]:
    """What makes a transform of these options: rows with their answers, or as they are to be answered, their scans
    changed or not. Each scan is decoded once for all of them."""
    views, volume_cache = ViewCache(), open_volume_cache(data_args.volume_cache, data_args.volume_cache_gb)
    made = partial(CachingTransform, processor, views, seed=seed, **options)
    return partial(made, volume_cache=volume_cache, feature_cache=features, fetch_ahead=find_fetch_ahead())


if __name__ == "__main__":
    run(main)
