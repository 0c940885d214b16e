"""report.html: what an evaluation found, with the charts, and with the cases to look at."""

import json
from collections import Counter
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path

import numpy as np
from datasets import Dataset

from umbrella.evaluation.label_parsing import count_labels
from umbrella.evaluation.measures import Measure
from umbrella.evaluation.notation import number, percent
from umbrella.evaluation.paired import MOST_P
from umbrella.evaluation.results import score_records
from umbrella.evaluation.run_folder import probabilities_of
from umbrella.evaluation.verdicts import LEAST_CHANGED, MOST_CHANGED, say_rows
from umbrella.metrics import encode
from umbrella.report import charts
from umbrella.report.page import write_page
from umbrella.report.pictures import draw_scan
from umbrella.report.scan_roles import name_roles
from umbrella.report.score_tables import list_baselines, list_confounds, list_controls
from umbrella.scan_survey import states_orientation
from umbrella.transform import ConversationTransform

MOST_EXAMPLES = 10
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


def write_report(
    path: Path,
    rows: Dataset,
    records: list[dict],
    metrics: dict,
    transform: ConversationTransform,
    model_folder: str,
    facts: dict[str, str],
    settings: dict,
    process: dict,
) -> None:
    """Write report.html.

    transform  shows the examples' scans as the model saw them
    facts      what is to be said about the model, name → text
    settings   of the evaluation, see `umbrella.evaluation.describe_settings`
    process    see `umbrella.run_record.describe_process`
    """
    folder = Path(model_folder)
    measure = None if settings["task"] == "text" else score_records(records)[0]
    run_json = folder / "run.json"
    write_page(
        path,
        "report.html.j2",
        split=settings["split"],
        metrics=metrics,
        model={"name": folder.name, "facts": facts | _describe_choice(folder)},
        headline=_make_headline(metrics),
        metric_rows=_list_metrics(metrics),
        measure=measure,
        limits={
            "p": MOST_P,
            "least_changed": percent(LEAST_CHANGED),
            "most_changed": percent(MOST_CHANGED),
            "few_subjects": FEW_SUBJECTS,
        },
        control_rows=list_controls(metrics, measure),
        baseline_rows=list_baselines(metrics, measure) if "models" in metrics.get("baselines", {}) else [],
        confound_rows=list_confounds(metrics, measure) if "confounds" in metrics else [],
        charts=_draw_charts(metrics, records, settings, folder, measure),
        confusion_text=_say_confusion(metrics),
        answer_template=settings.get("answer_template"),
        unread=UNREAD[settings["task"]],
        leakage_warning=metrics["leakage"].startswith("WARNING"),
        examples=_pick_examples(rows, records, transform),
        data_facts=_describe_data(rows, settings),
        process=process,
        run_json=run_json.read_text(encoding="utf-8") if run_json.is_file() else None,
    )


def _show(name: str, value: float) -> str:
    return number(value) if name in UNITLESS else percent(value)


def _list_metrics(metrics: dict) -> list[dict]:
    listed = []
    for name, entry in metrics["metrics"].items():
        ends = entry["interval"]
        interval = f"{_show(name, ends[0])} to {_show(name, ends[1])}" if ends else "none"
        title = TITLES.get(name, name.replace("_", " "))
        listed.append({"title": title, "value": _show(name, entry["value"]), "interval": interval})
    vote = metrics.get("majority_vote", {})
    if "accuracy" in vote:
        low, high = vote["interval"]
        interval = f"{percent(low)} to {percent(high)}"
        title = f"accuracy of the majority vote, {vote['n_subjects']} subjects"
        listed.insert(1, {"title": title, "value": percent(vote["accuracy"]), "interval": interval})
    return listed


def _make_headline(metrics: dict) -> list[dict]:
    chosen = [
        name for name in ("accuracy", "mae", "bleu", "auroc", "pearson_r", "rouge_l") if name in metrics["metrics"]
    ]
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


def _draw_charts(metrics: dict, records: list[dict], settings: dict, folder: Path, measure: Measure | None) -> dict:
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
    history = _read_history(folder)
    if any("loss" in entry for entry in history):
        drawn["training"] = charts.draw_training(history)
    drawn["groups"] = [_draw_group(name, groups, measure) for name, groups in metrics.get("by", {}).items()]
    return drawn


def _draw_group(name: str, groups: dict[str, dict], measure: Measure) -> dict:
    names = [f"{group} ({say_rows(entry)})" for group, entry in groups.items()]
    scores = [entry[measure.key] for entry in groups.values()]
    text = ", ".join(f"{title} {measure.show(score)}" for title, score in zip(names, scores, strict=True))
    svg = charts.draw_scores(names, scores, [entry["interval"] for entry in groups.values()], measure)
    return {"name": name.replace("_", " "), "svg": svg, "text": text}


def _read_history(folder: Path) -> list[dict]:
    path = folder / "trainer_state.json"
    return json.loads(path.read_text(encoding="utf-8"))["log_history"] if path.is_file() else []


def _describe_choice(folder: Path) -> dict[str, str]:
    path = folder / "trainer_state.json"
    if not path.is_file():
        return {}
    state = json.loads(path.read_text(encoding="utf-8"))
    if state["best_model_checkpoint"] is None:
        return {"checkpoint": f"the last of the run, step {state['global_step']}; none was chosen by its results"}
    best = Path(state["best_model_checkpoint"]).name
    return {"checkpoint": f"{best} is the run's best on the validation split ({state['best_metric']:.4g})"}


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


def _pick_examples(rows: Dataset, records: list[dict], transform: ConversationTransform) -> list[dict]:
    """The surest mistakes and as many right answers, of each label in turn; for numbers and text, the worst and the
    best."""
    ranked = sorted(range(len(records)), key=lambda i: -_badness(records[i]))
    if "parsed_label" in records[0]:
        wrong = [i for i in ranked if not _is_right(records[i])]
        right = [i for i in ranked if _is_right(records[i])]
        labels = [record["expected_label"] for record in records]
        wrong, right = (take_turns(chosen, [labels[i] for i in chosen]) for chosen in (wrong, right))
        titles = (
            "The most confident mistakes" + say_labels(labels, [labels[i] for i in wrong[:MOST_EXAMPLES]]),
            "The most confident right answers" + say_labels(labels, [labels[i] for i in right[:MOST_EXAMPLES]]),
        )
    else:
        wrong, right = split_ranked(ranked, [i for i in ranked if records[i].get("parsed_number", 0) is None])
        titles = ("The answers furthest from the truth", "The answers nearest to the truth")
    return [
        {"title": title, "rows": [_show_row(rows[i], records[i], transform) for i in chosen[:MOST_EXAMPLES]]}
        for title, chosen in zip(titles, (wrong, right), strict=True)
    ]


def split_ranked(ranked: Sequence[int], unread: Sequence[int]) -> tuple[list[int], list[int]]:
    """(the worst first, the best first) of rows ranked from the worst on, no row in both: those that were not read
    are among the worst, and so is the middle one."""
    n_best = min(len(ranked) // 2, len(ranked) - len(unread))
    cut = len(ranked) - n_best
    return list(ranked[:cut]), list(ranked[cut:])[::-1]


def take_turns(ranked: Sequence[int], labels: Sequence[str]) -> list[int]:
    """The first of each label, then the second of each, and so on; `labels` are those of `ranked`, best first."""
    queues = {}
    for i, label in zip(ranked, labels, strict=True):
        queues.setdefault(label, []).append(i)
    return [i for round_ in zip_longest(*queues.values()) for i in round_ if i is not None]


def say_labels(labels: Sequence[str], shown: Sequence[str]) -> str:
    """For a heading: that the labels take turns, and those of which no row is shown."""
    missing = sorted(set(labels) - set(shown))
    if not shown or len(set(labels)) < 2:
        return ""
    none_of = f"{', '.join(missing[:3])}{' and others' if len(missing) > 3 else ''}"
    return ", of each true label in turn" + (f" (none of {none_of})" if missing else "")


def _is_right(record: dict) -> bool | None:
    return record["parsed_label"] == record["expected_label"] if "parsed_label" in record else None


def _colour(record: dict) -> str:
    """The class of an answer: a label is right or wrong; a number or a text is neither, unless none could be read."""
    if record.get("parsed_number", 0) is None or not record["prediction"]:
        return "wrong"
    return {True: "right", False: "wrong", None: ""}[_is_right(record)]


def _confidence(record: dict) -> float:
    """The probability of the label that was answered; of the likeliest one where none could be read."""
    return record["probabilities"].get(record["parsed_label"], max(record["probabilities"].values()))


def _badness(record: dict) -> float:
    if "parsed_label" in record:
        return _confidence(record)
    if "parsed_number" in record:
        answered = record["parsed_number"]
        return np.inf if answered is None else abs(answered - record["expected_number"])
    shared = set(record["prediction"].split()) & set(record["answer"].split())
    return -len(shared) / max(1, len(set(record["prediction"].split()) | set(record["answer"].split())))


def _show_row(row: dict, record: dict, transform: ConversationTransform) -> dict:
    return {
        "task_id": record["task_id"],
        "turns": show_turns(row, transform, row["conversations"][:-1]),
        "prediction": record["prediction"],
        "colour": _colour(record),
        "expected": record.get("expected_label") or record["answer"],
        "note": _note(record),
    }


def _note(record: dict) -> str:
    """The probabilities of labels, or how far a number is off."""
    if record.get("parsed_number") is not None:
        return f"off by {number(abs(record['parsed_number'] - record['expected_number']))}"
    return ", ".join(f"{label} {percent(value)}" for label, value in record.get("probabilities", {}).items())


def show_turns(row: dict, transform: ConversationTransform, turns: list[dict]) -> list[dict]:
    """Turns as the conversation template takes them: texts, and scans as the model sees them, in their places."""
    scan, roles, shown = 0, name_roles(row), []
    for turn in turns:
        parts = []
        for item in turn["content"]:
            if item["type"] == "image":
                file = row["images"][scan]
                sides_known = states_orientation(file.get("bytes") or file["path"])
                pictures = draw_scan(transform.load_images(row, scan), transform.view, sides_known)
                alt = f"Scan {scan + 1} of {row['task_id']}, {item['modality']}"
                parts.append({"pictures": pictures, "alt": alt, "role": roles[scan]})
                scan += 1
            else:
                parts.append({"text": item["text"]})
        shown.append({"role": turn["role"], "parts": parts})
    return shown
