"""report.html: what an evaluation found, with the charts, and with the cases to look at; report_public.html: the same
without the cases, without groups of few subjects, without a command or a path."""

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from datasets import Dataset

from umbrella.answers.label_parsing import count_labels
from umbrella.answers.metrics import encode
from umbrella.evaluation.checklists.run_facts import say_choice
from umbrella.evaluation.checklists.run_files import CHOICE, STATE, STATE_REMEDY
from umbrella.evaluation.results import score_records
from umbrella.evaluation.run_folder import probabilities_of
from umbrella.evaluation.statistics.measures import Measure
from umbrella.evaluation.statistics.notation import number, percent
from umbrella.evaluation.statistics.paired import MOST_P
from umbrella.evaluation.verdicts import LEAST_CHANGED, MOST_CHANGED, say_rows
from umbrella.files.json_files import read_json
from umbrella.records.evaluations import FAILURES_PAGE, PUBLIC_REPORT, REPORT
from umbrella.records.run import FILE_NAME as RUN_RECORD
from umbrella.records.run import read_run_record
from umbrella.records.small_groups import withhold_small_groups
from umbrella.report import charts
from umbrella.report.checklist_section import describe_checklist
from umbrella.report.evidence_sections import list_sections
from umbrella.report.examples import MOST_EXAMPLES, pick_examples
from umbrella.report.failures_page import write_failures
from umbrella.report.page import write_page
from umbrella.report.score_tables import list_baselines, list_confounds, list_controls, list_groups
from umbrella.rows.transform import ConversationTransform

FEW_SUBJECTS = 10  # below, a bootstrap's interval covers 83 to 93 % where it says 95
UNITLESS = ("brier", "ece", "auroc", "mae", "rmse", "r2", "pearson_r", "bleu", "rouge_l")  # not shown as per cent
UNREAD = {  # what is made of an answer in which nothing could be read
    "classification": "they count as wrong",
    "regression": "each counts as the number farthest from the truth in the range of the true ones",
    "text": "they are compared as they are",
}
TITLES = {
    "auroc": "AUROC",
    "brier": "Brier score",
    "ece": "expected calibration error",
    "macro_f1": "macro F1",
    "accuracy_scored": "accuracy of the likeliest label",
    "mae": "mean absolute error",
    "rmse": "root mean squared error",
    "r2": "R²",
    "pearson_r": "Pearson r",
    "bleu": "BLEU",
    "rouge_l": "ROUGE-L",
}


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation came to.

    rows      those that were answered
    records   what was made of each answer
    metrics   as in metrics.json
    settings  see `umbrella.evaluation.run_folder.describe_settings`
    process   see `umbrella.records.run.describe_process`
    checklist see `umbrella.evaluation.checklists.checklist.build_checklist`
    """

    rows: Dataset
    records: list[dict]
    metrics: dict
    settings: dict
    process: dict
    checklist: dict


def write_reports(
    folder: Path,
    evaluation: Evaluation,
    transform: ConversationTransform,
    model_folder: str,
    facts: dict[str, str],
) -> None:
    """Write report.html, report_public.html and failures.html into `folder`.

    transform  shows the examples' scans as the model saw them
    facts      what is to be said about the model, name → text
    """
    described = _describe(evaluation, Path(model_folder), facts)
    examples = pick_examples(evaluation.rows, evaluation.records, transform)
    command, run_json = evaluation.process["command"], _read_run_json(Path(model_folder))
    private = {"examples": examples, "command": command, "run_json": run_json, "failures_page": FAILURES_PAGE}
    sections = described.pop("sections")
    full = describe_checklist(evaluation.checklist, evaluation.metrics, is_public=False)
    write_page(folder / REPORT, "report.html.j2", **described, **private, sections=[*sections, full])
    write_failures(folder, evaluation.rows, evaluation.records, transform, described)
    # A folder's name, of itself, is what a push publishes a model by; where it lies is nobody's business.
    folder_of_model = model_folder if Path(model_folder).is_dir() else None
    hidden_too = {"examples": [], **dict.fromkeys(("command", "run_json", "failures_page"))}
    published = withhold_small_groups(evaluation.metrics)
    if published != evaluation.metrics:
        described = _describe(replace(evaluation, metrics=published), Path(model_folder), facts)
        sections = described.pop("sections")
    public = describe_checklist(evaluation.checklist, published, is_public=True)
    described |= {"hidden_folder": folder_of_model, "sections": [*sections, public]}
    write_page(folder / PUBLIC_REPORT, "report.html.j2", **described, **hidden_too)


def _read_run_json(folder: Path) -> str | None:
    """run.json as it is written; ValueError, naming it, where it is none."""
    read_run_record(folder)
    path = folder / RUN_RECORD
    return path.read_text(encoding="utf-8") if path.is_file() else None


def _describe(evaluation: Evaluation, folder: Path, facts: dict[str, str]) -> dict:
    """What the template shows, but for what is private."""
    records, metrics, settings = evaluation.records, evaluation.metrics, evaluation.settings
    measure = None if settings["task"] == "text" else score_records(records)[0]
    state = _read_state(folder)
    return {
        "split": settings["split"],
        "metrics": metrics,
        "model": {"name": folder.name, "facts": facts | _describe_choice(state)},
        "headline": _make_headline(metrics),
        "metric_rows": _list_metrics(metrics),
        "measure": measure,
        "limits": {
            "p": MOST_P,
            "least_changed": percent(LEAST_CHANGED),
            "most_changed": percent(MOST_CHANGED),
            "few_subjects": FEW_SUBJECTS,
        },
        "control_rows": list_controls(metrics, measure),
        "baseline_rows": list_baselines(metrics, measure) if "models" in metrics.get("baselines", {}) else [],
        "confound_rows": list_confounds(metrics, measure) if "confounds" in metrics else [],
        "sections": list_sections(metrics, measure),
        "charts": _draw_charts(metrics, records, settings, [] if state is None else state["log_history"], measure),
        "confusion_text": _say_confusion(metrics),
        "answer_template": settings.get("answer_template"),
        "unread": UNREAD[settings["task"]],
        "leakage_warning": metrics["leakage"].startswith("WARNING"),
        "data_facts": _describe_data(evaluation.rows, settings),
        "process": evaluation.process,
    }


def _show(name: str, value: float) -> str:
    return number(value) if name in UNITLESS else percent(value)


def _list_metrics(metrics: dict) -> list[dict]:
    listed = []
    for name, entry in metrics["metrics"].items():
        ends = entry["interval"]
        interval = f"{_show(name, ends[0])} to {_show(name, ends[1])}" if ends else "none"
        title = TITLES.get(name, name.replace("_", " "))
        value = "not known" if entry["value"] is None else _show(name, entry["value"])
        listed.append({"title": title, "value": value, "interval": interval})
    vote = metrics.get("majority_vote", {})
    if "accuracy" in vote:
        low, high = vote["interval"]
        interval = f"{percent(low)} to {percent(high)}"
        title = f"accuracy of the majority vote, {vote['n_subjects']} subjects"
        listed.insert(1, {"title": title, "value": percent(vote["accuracy"]), "interval": interval})
    return listed


def _make_headline(metrics: dict) -> list[dict]:
    known = {name for name, entry in metrics["metrics"].items() if entry["value"] is not None}
    chosen = [name for name in ("accuracy", "mae", "bleu", "auroc", "pearson_r", "rouge_l") if name in known]
    items = []
    for name in chosen[:2]:
        entry = metrics["metrics"][name]
        ends = entry["interval"]
        note = f"95 % interval {_show(name, ends[0])} to {_show(name, ends[1])}" if ends else "no interval"
        items.append({"title": TITLES.get(name, name), "value": _show(name, entry["value"]), "note": note})
    shuffled = metrics["controls"].get("scans_shuffled", {})
    for name in ("accuracy", "mae"):
        if name in shuffled:
            ends = shuffled[f"{name}_interval"]
            note = f"95 % interval {_show(name, ends[0])} to {_show(name, ends[1])}" if ends else "no interval"
            title = f"{TITLES.get(name, name)}, scans shuffled"
            items.append({"title": title, "value": _show(name, shuffled[name]), "note": note})
    return items


def _draw_charts(
    metrics: dict, records: list[dict], settings: dict, history: list[dict], measure: Measure | None
) -> dict:
    drawn = dict.fromkeys(("controls", "confusion", "roc", "calibration", "scatter", "training"))
    if settings["task"] == "classification":
        labels = settings["labels"]
        true = encode([record["expected_label"] for record in records], labels)
        probabilities = probabilities_of(records, labels)
        drawn["confusion"] = charts.draw_confusion(**metrics["confusion"])
        drawn["calibration"] = charts.draw_calibration(true, probabilities)
        if len(set(true.tolist())) > 1:
            drawn["roc"] = charts.draw_roc(true, probabilities, labels)
    controls = metrics["controls"].values()
    if measure and controls:
        real = metrics["metrics"][measure.key]
        drawn["controls"] = charts.draw_scores(
            ["real run", *(control["title"] for control in controls)],
            [real["value"], *(control[measure.key] for control in controls)],
            [real["interval"], *(control[f"{measure.key}_interval"] for control in controls)],
            measure,
            first_is_real=True,
        )
    if settings["task"] == "regression":
        parsed = [record for record in records if record["parsed_number"] is not None]
        if parsed:
            pairs = [(record["expected_number"], record["parsed_number"]) for record in parsed]
            drawn["scatter"] = charts.draw_scatter(*zip(*pairs, strict=True))
    if any("loss" in entry for entry in history):
        drawn["training"] = charts.draw_training(history)
    drawn["groups"] = [_draw_group(name, groups, measure) for name, groups in metrics.get("by", {}).items() if groups]
    return drawn


def _draw_group(name: str, groups: dict[str, dict], measure: Measure) -> dict:
    names = [f"{group} ({say_rows(entry)})" for group, entry in groups.items()]
    scores = [entry[measure.key] for entry in groups.values()]
    text = ", ".join(f"{title} {measure.show(score)}" for title, score in zip(names, scores, strict=True))
    svg = charts.draw_scores(names, scores, [entry["interval"] for entry in groups.values()], measure)
    return {"name": name.replace("_", " "), "svg": svg, "text": text, "rows": list_groups(groups, measure)}


def _read_state(folder: Path) -> dict | None:
    """What the Trainer kept of the run; None of a model that it did not train."""
    path = folder / STATE
    names = (*CHOICE, "log_history")
    return read_json(path, dict, names, STATE_REMEDY) if path.is_file() else None


def _describe_choice(state: dict | None) -> dict[str, str]:
    return {} if state is None else {"checkpoint": say_choice(state)}


def _say_confusion(metrics: dict) -> str:
    if "confusion" not in metrics:
        return ""
    labels, counts = metrics["confusion"]["labels"], metrics["confusion"]["counts"]
    return "; ".join(
        f"of {sum(row)} {label}, "
        + ", ".join(f"{n} as {answer}" for n, answer in zip(row, [*labels, "none"], strict=True))
        for label, row in zip(labels, counts, strict=True)
    )


def _describe_data(rows: Dataset, settings: dict) -> dict[str, str]:
    plain = rows.with_format(None)
    labels = count_labels(entry["subject_label"] or "none" for entry in plain["metadata"])
    modalities = Counter(modality for of_row in plain["modalities"] for modality in of_row)
    facts = {"scans": ", ".join(f"{n} {modality}" for modality, n in modalities.items()) or "none"}
    if len(labels) <= MOST_EXAMPLES:
        facts["labels"] = ", ".join(f"{n} {label}" for label, n in sorted(labels.items(), key=str))
    return facts | {"task types": ", ".join(sorted(set(plain["task_type"]))), "fingerprint": settings["data"]}
