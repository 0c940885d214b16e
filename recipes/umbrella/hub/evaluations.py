"""Which evaluations of a run's folder are of the weights that are published: those of others are left out."""

from pathlib import Path

from umbrella.evaluation import run_folder
from umbrella.evaluation.run_folder import METRICS, SETTINGS, read_settings
from umbrella.models.files import fingerprint_model


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
