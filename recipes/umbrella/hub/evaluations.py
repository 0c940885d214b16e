"""Which evaluations of a run's folder are of the weights that are published: those of others are left out."""

from pathlib import Path

from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, HFValidationError

from umbrella.evaluation import run_folder
from umbrella.evaluation.run_folder import METRICS, SETTINGS, read_settings
from umbrella.json_files import write_json
from umbrella.model_files import fingerprint_model


def find_evaluations(model: Path, run_folder: Path, say=print) -> list[Path]:
    """The folders of a run's evaluations, eval*/, whose answers these very weights gave.

    `say` is called with a sentence for each that is left out: the run may have gone on after it, or it tells not.
    """
    found, expected = [], fingerprint_model(str(model))
    for folder in sorted(path.parent for path in run_folder.glob(f"eval*/{METRICS}")):
        settings = read_settings(folder) if (folder / SETTINGS).is_file() else {}
        if settings.get("model") == expected:
            found.append(folder)
            continue
        of = f"is of other weights, {settings['model']}" if "model" in settings else "does not tell of which weights"
        say(f"{folder} {of}; published are {expected}: left out. Evaluate these: recipes/eval.py --overwrite")
    return found


def read_metrics(folder: Path) -> dict:
    """An evaluation's metrics.json with its split, which older ones have in the settings alone."""
    return {"split": read_settings(folder, ("split",))["split"], **run_folder.read_metrics(folder)}


def hide_private_datasets(folder: Path, api: HfApi) -> None:
    """Take out of the evaluations in a staged folder the names of datasets that not everybody can see."""
    for path in folder.glob(f"eval*/{METRICS}"):
        metrics = run_folder.read_metrics(path.parent)
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
