"""The files of an evaluation in a model's folder, and which evaluations are of the weights that are published."""

from collections.abc import Callable
from pathlib import Path

from umbrella.files.json_files import read_json
from umbrella.models.files import fingerprint_model
from umbrella.records.small_groups import withhold_small_groups

SETTINGS, METRICS = "settings.json", "metrics.json"
REPORT = "report.html"  # shows single rows: their scans, and what was answered
PUBLIC_REPORT = "report_public.html"  # the same without them
# What the model fails on, by row and by group: neither is ever published, with whichever report.
FAILURES, FAILURES_PAGE = "failures.json", "failures.html"
REMEDY = "Restore the file, or start the evaluation anew: eval.py --overwrite true"


def read_settings(folder: Path, names: tuple[str, ...] = ()) -> dict:
    """What an evaluation's answers depend on; `names` must be in it. Raises ValueError that names the file."""
    return read_json(folder / SETTINGS, dict, names, REMEDY)


def read_metrics(folder: Path, names: tuple[str, ...] = ()) -> dict:
    """An evaluation's metrics.json; `names` must be in it. Raises ValueError that names the file."""
    return read_json(folder / METRICS, dict, names, REMEDY)


def find_evaluations(model: Path, run_folder: Path, say: Callable[[str], object] = print) -> list[Path]:
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


def read_published_metrics(folder: Path) -> dict:
    """An evaluation's metrics.json with its split, which older ones have in the settings alone, and without what is of
    few subjects."""
    return {"split": read_settings(folder, ("split",))["split"], **withhold_small_groups(read_metrics(folder))}
