"""What a result must be read beside: groups of rows, simple models, confounds, and facts about the model."""

from datasets import Dataset

from umbrella.arguments import DataArguments, EvalArguments
from umbrella.evaluation.baselines import evaluate_baselines
from umbrella.evaluation.confounds import HEAD_VOLUME, evaluate_confounds
from umbrella.evaluation.results import accuracy_by_group, group_rows, read_metadata, subjects_of_rows
from umbrella.leakage import describe_training_data
from umbrella.recipe import Recipe
from umbrella.splits import load_splits
from umbrella.training_data import read_training_data
from umbrella.transform import ConversationTransform
from umbrella.volumes import ScanError


def put_in_context(
    data: DataArguments, asked: EvalArguments, rows: Dataset, records: list[dict], transform: ConversationTransform
) -> dict:
    """`by`, `baselines` and `confounds` of a classification, as far as they are asked for; nothing for other tasks.

    Raises ValueError for a name in --by or --confounds that no row's metadata has.
    """
    if "parsed_label" not in records[0]:
        return {}
    context, subjects, options = {}, subjects_of_rows(rows), (asked.bootstrap, asked.seed)
    if asked.by:
        right = [record["parsed_label"] == record["expected_label"] for record in records]
        context["by"] = accuracy_by_group(right, rows, asked.by, *options)
    train = load_splits(data).get("train") if asked.baselines or asked.confounds else None
    if asked.baselines:
        try:
            context["baselines"] = evaluate_baselines(train, rows, records, subjects, transform, *options)
        except ScanError as error:  # the training scans need not lie where a model is only tested
            context["baselines"] = {"note": f"Simple models could not be fitted on the training split: {error}"}
    if asked.confounds:
        context["confounds"] = evaluate_confounds(asked.confounds, train, rows, records, subjects, *options)
    return context


def check_names(asked: EvalArguments, rows: Dataset) -> None:
    """Raise ValueError for a name in --by or --confounds that no row's metadata has, before the long work starts."""
    for name in asked.by or ():
        group_rows(rows, name)
    for name in asked.confounds or ():
        if name != HEAD_VOLUME:
            read_metadata(rows, name)


def describe_model(model, recipe: Recipe, model_name_or_path: str) -> dict[str, str]:
    """Facts for the report, name → text."""
    facts = {
        "name or folder": model_name_or_path,
        "architecture": type(model).__name__,
        "parameters": f"{sum(p.numel() for p in model.parameters()):,}",
        "number format": str(model.dtype).removeprefix("torch."),
        "view of a scan": f"{recipe.view}, {recipe.image_size} pixels",
        "intensities": f"normalize {recipe.normalize}, standardize {recipe.standardize}",
    }
    facts["trained on"] = describe_training_data(read_training_data(model_name_or_path))
    return facts
