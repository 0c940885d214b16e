"""Evaluations as the Hub reads them from a model's card: its model index. Intervals and controls are the text's.

    https://github.com/huggingface/hub-docs/blob/main/modelcard.md

Labels of the data name no metric here, and a dataset is named only where everybody can see it.
"""

from math import isfinite
from pathlib import Path

from huggingface_hub import EvalResult, HfApi
from huggingface_hub.errors import HfHubHTTPError, HFValidationError

from umbrella.files.json_files import write_json
from umbrella.records.evaluations import METRICS, read_metrics

TASK = "image-text-to-text"
# Our names of metrics → the Hub's.
METRIC_TYPES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced_accuracy",
    "macro_f1": "f1",
    "auroc": "roc_auc",
    "brier": "brier_score",
    "mae": "mae",
    "rmse": "rmse",
    "r2": "r_squared",
    "pearson_r": "pearsonr",
    "exact_match": "exact_match",
    "bleu": "sacrebleu",
    "rouge_l": "rouge",
}
UNNAMED_TYPE, UNNAMED = "json", "conversations about brain scans, not published"  # data of a folder


def list_values(metrics: dict) -> list[tuple[str, float, list[float] | None]]:
    """(name, value, 95 % interval) of each metric of a metrics.json that has a value."""
    older = {"accuracy": {"value": metrics.get("accuracy"), "interval": None}}
    return [
        (name, entry["value"], entry["interval"])
        for name, entry in metrics.get("metrics", older).items()
        if isinstance(entry["value"], int | float)
    ]


def build_results(evaluations: dict[str, dict]) -> list[EvalResult]:
    """The model index of evaluations: the folder's name → its metrics.json.

    Where several are of the same split of the same data, the metrics' names tell which is of which folder.
    """
    places = [_find_place(metrics) for metrics in evaluations.values()]
    results = []
    for (folder, metrics), place in zip(evaluations.items(), places, strict=True):
        behind = f", {folder}" if places.count(place) > 1 else ""
        results += [
            EvalResult(
                task_type=TASK,
                dataset_type=place[0] or UNNAMED_TYPE,
                dataset_name=place[0] or UNNAMED,
                dataset_split=place[1],
                metric_type=METRIC_TYPES[name],
                metric_name=name.replace("_", " ") + behind,
                metric_value=value,
            )
            for name, value, _ in list_values(metrics)
            if name in METRIC_TYPES and isfinite(value)
        ]
    return results


def _find_place(metrics: dict) -> tuple[str | None, str]:
    return metrics.get("dataset_name"), metrics["split"]


def hide_private_datasets(folder: Path, api: HfApi) -> None:
    """Take out of the evaluations in a staged folder the names of datasets that not everybody can see."""
    for path in folder.glob(f"eval*/{METRICS}"):
        metrics = read_metrics(path.parent)
        if metrics.get("dataset_name") is not None and not _is_public(metrics["dataset_name"], api):
            write_json(path, {**metrics, "dataset_name": None}, indent=2)


def _is_public(name: str, api: HfApi) -> bool:
    try:
        return api.repo_info(name, repo_type="dataset", token=False).private is False
    except HFValidationError:
        return False
    except HfHubHTTPError as error:
        if error.response.status_code in (401, 403, 404):
            return False
        raise
