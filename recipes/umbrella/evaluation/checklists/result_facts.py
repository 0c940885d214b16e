"""What metrics.json and settings.json say for a reporting checklist."""

from collections.abc import Callable
from pathlib import Path

from umbrella.evaluation.checklists.fact import Known, Reader, say_pairs
from umbrella.evaluation.checklists.run_files import RunFiles
from umbrella.evaluation.verdicts import say_rows
from umbrella.records.evaluations import METRICS, SETTINGS
from umbrella.records.limits import list_limits

SHOWN = (  # of settings.json: how scans were shown
    *("view", "image_size", "volume_size", "volume_spacing", "frames", "normalize", "standardize", "intensity"),
    "expects",
)
ASKED = ("max_new_tokens", "answer_template", "max_length", "on_overflow", "seed")  # of settings.json


def _read_performance(files: RunFiles) -> Known:
    metrics = files.metrics["metrics"]
    names = ", ".join(name.replace("_", " ") for name in metrics)
    return Known(metrics, [f"{names}: in the section Metrics, with intervals", f"of {say_rows(files.metrics)}"])


def _read_intervals(files: RunFiles) -> Known:
    resamples = files.metrics["bootstrap"]["resamples"]
    kinds = f"Wilson's for shares of rows, Student's t for mean errors, bootstrap ({resamples} resamples) for all else"
    tests = "tests flip the signs of the subjects' differences"
    return Known(files.metrics["bootstrap"], [f"95 % intervals over subjects: {kinds}", tests])


def _read_confusion(files: RunFiles) -> Known | str:
    if "confusion" not in files.metrics:
        return f"{METRICS} has no table of answers by true label: the answers are no labels"
    labels = ", ".join(files.metrics["confusion"]["labels"])
    return Known(files.metrics["confusion"], [f"answers by true label ({labels}), in the section Metrics"])


def _read_groups(files: RunFiles) -> Known | str:
    if not files.metrics.get("by"):
        return f"{METRICS} has no results by group: none were asked for"
    return Known(files.metrics["by"], [f"by {', '.join(files.metrics['by'])}, in the section By group"])


def _read_left_out(files: RunFiles) -> Known:
    selection = files.metrics["selection"]
    reasons = [f"{n} left out: {reason}" for reason, n in selection["excluded"].items()]
    return Known(selection, [f"of {selection['found']} rows {selection['used']} were evaluated", *reasons])


def _read_controls(files: RunFiles) -> Known | str:
    sentences = [verdict["sentence"] for verdict in files.metrics["verdicts"].values()]
    words = ["in the section Does the model look at the scans?"]
    return Known(sentences, words) if sentences else f"{METRICS} has no controls with exchanged scans"


def _read_baselines(files: RunFiles) -> Known | str:
    found = files.metrics.get("baselines", {}).get("models", {})
    sentences = [entry["sentence"] for entry in found.values()]
    words = ["in the section Beside simple models"]
    return Known(sentences, words) if sentences else f"{METRICS} has no simple models beside this one"


def _read_limits(files: RunFiles) -> Known | str:
    limits = list_limits(files.metrics)
    return Known(limits, limits) if limits else f"{METRICS} holds no finding against the model"


def _read_unreadable(files: RunFiles) -> Known:
    unread, n = files.metrics["unparseable"], files.metrics["n"]
    return Known(unread, [f"{unread} of {n} answers could not be read; none is left out of the numbers"])


def _read_metric(name: str, key: str = "") -> Callable[[RunFiles], Known]:
    def read(files: RunFiles) -> Known:
        value = files.metrics[name][key] if key else files.metrics[name]
        return Known(value, [value])

    return read


def _read_task(files: RunFiles) -> Known:
    found = {name: files.settings[name] for name in ("task", "labels", "unit") if files.settings.get(name)}
    return Known(found, say_pairs(found))


def _read_answering(files: RunFiles) -> Known:
    found = {name: files.settings[name] for name in ASKED if files.settings.get(name) is not None}
    return Known(found, ["an answer's tokens are the likeliest one by one", *say_pairs(found)])


def _read_shown(files: RunFiles) -> Known:
    found = {name: files.settings[name] for name in SHOWN if files.settings.get(name) is not None}
    return Known(found, ["scans are turned to RAS+", *say_pairs(found)])


def _read_one_model(files: RunFiles) -> Known:
    name = files.settings["model"]
    shown = name if name.startswith("sha256:") else Path(name).name
    return Known(name, [f"one model answered, combined with no other: {shown}"])


RESULT_FACTS = {
    "performance": Reader("performance", METRICS, _read_performance),
    "intervals": Reader("intervals and tests", METRICS, _read_intervals),
    "confusion": Reader("answers by true label", METRICS, _read_confusion),
    "groups": Reader("results by group", METRICS, _read_groups),
    "controls": Reader("what exchanged scans change", METRICS, _read_controls),
    "baselines": Reader("simple models", METRICS, _read_baselines),
    "limits": Reader("limits that were found", METRICS, _read_limits),
    "unreadable": Reader("answers that say nothing", METRICS, _read_unreadable),
    "left_out_rows": Reader("rows left out", METRICS, _read_left_out),
    "leakage": Reader("overlap with training", METRICS, _read_metric("leakage")),
    "looks": Reader("looks at this split", METRICS, _read_metric("evaluations_of_this_split", "sentence")),
    "task": Reader("task", SETTINGS, _read_task),
    "answering": Reader("how answers are made", SETTINGS, _read_answering),
    "preprocessing": Reader("how scans are shown", SETTINGS, _read_shown),
    "one_model": Reader("models that answered", SETTINGS, _read_one_model),
}
