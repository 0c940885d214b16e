"""Where a model looked: maps of its answers in the scans' own space, and how often they point at a known region.

    python recipes/explain.py --model_name_or_path runs/lesion3d --json_dir sample_data/lesion_conversations --n 20

Writes maps/*.nii.gz (any viewer lays them over the scans), report.html and metrics.json into --output_dir (default:
the model's folder, explain/). The report shows scans. Research software, not a medical device.
"""

from umbrella.evaluation.pointing.arguments import ExplainArguments
from umbrella.options.arguments import DataArguments, ModelArguments
from umbrella.options.commands.ending import run
from umbrella.options.parsing import parse_arguments

if __name__ == "__main__":  # a wrong flag, or --help, is answered before the slow imports
    run(lambda: parse_arguments((ModelArguments, DataArguments, ExplainArguments)))

from pathlib import Path

from accelerate import PartialState
from datasets import disable_progress_bars

from umbrella.answers.attribution.chosen_rows import choose_region, choose_rows
from umbrella.answers.attribution.scan_in_row import ScanInRow
from umbrella.evaluation.pointing.explained_rows import Explained, Explainer
from umbrella.evaluation.run_folder import name_folder
from umbrella.files.contained_files import is_remote
from umbrella.files.json_files import write_json
from umbrella.models.loading import check_fits, load_model, load_processor
from umbrella.models.volumes.agreement import follow_spacing
from umbrella.planning.volume_checks import check_volumes
from umbrella.records.evaluations import METRICS
from umbrella.records.recipe import resolve_recipe
from umbrella.records.run import describe_process
from umbrella.report.explain_report import show_row, write_explanations
from umbrella.rows.kept_views import CachingTransform, ViewCache
from umbrella.rows.loading import load_splits, pick_split
from umbrella.training.preflight import check_scans
from umbrella.views.settings import ViewSettings
from umbrella.views.volume_cache import open_volume_cache

REPORT = "report.html"
MOST_SHOWN = 24  # rows with pictures in the report


def main() -> None:
    # ------------------------------------------------------------------------------------------------ arguments
    model_args, data_args, asked = parse_arguments((ModelArguments, DataArguments, ExplainArguments))
    name = model_args.model_name_or_path
    state = PartialState(cpu=asked.use_cpu)
    if state.num_processes > 1:
        raise ValueError(
            f"expected one process, found {state.num_processes}: start it with python, not with a launcher"
        )
    process = describe_process(1)
    folder = Path(asked.output_dir) if asked.output_dir else name_explanations(name, asked.split)

    # ------------------------------------------------------------------------------------------------ data
    rows = pick_split(load_splits(data_args), asked.split).with_format(None)
    disable_progress_bars()
    folder_of_masks = data_args.image_root if is_remote(data_args.image_root or "") else data_args.json_dir
    find, said = choose_region(rows, asked.region, folder_of_masks)
    print(said)
    chosen = choose_rows(rows, asked.n, asked.seed, find)
    if len(chosen) < asked.n:
        kind = "with scans" if find is None else "with scans and the region"
        print(f"{len(chosen)} rows, fewer than --n {asked.n}: the split has no more {kind}")
    kept = {row["task_id"] for row, _ in chosen}
    shown = rows.select([i for i, task_id in enumerate(rows["task_id"]) if task_id in kept])
    check_scans(shown)

    # ------------------------------------------------------------------------------------------------ model
    processor = load_processor(name)
    recipe = resolve_recipe(ViewSettings.of(data_args), processor, name)
    check_volumes({asked.split: shown}, recipe.settings)
    cache = open_volume_cache(data_args.volume_cache, data_args.volume_cache_gb)
    options = recipe.settings.stated() | {"max_length": data_args.max_length, "on_overflow": "raise"}
    views = ViewCache()
    prompts, answers = (
        CachingTransform(processor, views, add_generation_prompt=is_prompt, volume_cache=cache, **options)
        for is_prompt in (True, False)
    )
    model = load_model(name, base_model=model_args.base_model).to(state.device)
    follow_spacing(model, data_args.volume_spacing)  # another than a trained model's was refused above
    check_fits(model, processor, recipe.image_size, data_args.max_length)

    # ------------------------------------------------------------------------------------------------ maps
    pictures: list[dict] = []

    def look(explained: Explained, scan: ScanInRow) -> None:
        if len(pictures) < MOST_SHOWN:
            pictures.append(show_row(explained, scan, recipe.settings.view))

    for old in (folder / METRICS, folder / REPORT):  # they would tell of maps that are gone
        old.unlink(missing_ok=True)
    explainer = Explainer(model, prompts, answers, asked, folder, look)
    explained = explainer.explain(shown, chosen)
    metrics = explainer.summarize(explained)
    metrics |= {"model": name, "view": recipe.settings.describe(), "region": said, "process": process}
    write_json(folder / METRICS, metrics, indent=2)
    write_explanations(folder / REPORT, metrics, pictures)
    for sentence in (*metrics["sentences"], *(f"warning: {warning}" for warning in metrics["warnings"])):
        print(sentence)
    print(f"maps/, {METRICS} and {REPORT} are in {folder}")


def name_explanations(name: str, split: str) -> Path:
    """Beside where an evaluation of the split is written, see `name_folder`."""
    folder = name_folder(name, split)
    return folder.with_name(folder.name.replace("eval", "explain", 1))


if __name__ == "__main__":
    run(main)
