"""report.html of a cross-validation: the pooled score, its spread, what each left-out group costs; no single rows."""

from pathlib import Path

from umbrella.evaluation.folds.division import LEFT_OUT, RANDOM
from umbrella.evaluation.folds.plan import Plan
from umbrella.evaluation.statistics.measures import ACCURACY, EXACT_MATCH, Measure
from umbrella.evaluation.statistics.notation import percent
from umbrella.evaluation.verdicts import say_rows
from umbrella.records.evaluations import REPORT
from umbrella.report import charts
from umbrella.report.page import write_page

MOST_DRAWN = 20  # folds in a chart; the table has all


def write_folds_report(plan: Plan, metrics: dict, process: dict) -> None:
    """Write the page into the cross-validation's folder. `process`: see `umbrella.records.run.describe_process`."""
    measure, pooled = _measure_of(metrics), metrics.get("pooled")
    write_page(
        plan.folder / REPORT,
        "folds.html.j2",
        title=plan.folder.name,
        metrics=metrics,
        measure=measure,
        headline=_make_headline(metrics, measure),
        fold_rows=[_list_fold(entry, measure, plan.folder) for entry in metrics["folds"] if entry["kind"] == RANDOM],
        group_rows=[_list_group(entry, measure, plan.folder) for entry in metrics.get("groups", [])],
        metric_rows=[_list_metric(name, entry) for name, entry in (pooled or {}).get("metrics", {}).items()],
        charts={"folds": _draw_folds(metrics, measure), "groups": _draw_groups(metrics, measure)},
        confusion=charts.draw_confusion(**pooled["confusion"]) if pooled and "confusion" in pooled else None,
        settings=plan.settings(),
        process=process,
    )


def _measure_of(metrics: dict) -> Measure:
    """Accuracy, exact match, or an error of numbers, whose margin is no longer needed."""
    known = {measure.key: measure for measure in (ACCURACY, EXACT_MATCH)}
    return known.get(metrics["key"], Measure(metrics["key"], metrics["measure"], -1, 1.0, 0.0))


def _show_ends(interval: list[float] | None, measure: Measure) -> str:
    return "none" if interval is None else f"{measure.show(interval[0])} to {measure.show(interval[1])}"


def _make_headline(metrics: dict, measure: Measure) -> list[dict]:
    items = []
    if "pooled" in metrics:
        pooled = metrics["pooled"]
        ends, given = (_show_ends(pooled[name], measure) for name in ("interval", "interval_of_these_models"))
        title = f"{measure.name}, held-out rows pooled"
        note = f"95 % interval {ends}" if pooled["interval"] else "no interval"
        items.append({"title": title, "value": measure.show(pooled[measure.key]), "note": note})
        spread = pooled["of_folds"]
        low, high = measure.show(spread["least"]), measure.show(spread["most"])
        items.append({"title": "from fold to fold", "value": f"{low} to {high}", "note": say_rows(pooled)})
        items.append({"title": "these very models", "value": given, "note": "95 % interval over subjects"})
    if groups := metrics.get("groups"):
        worst = min(groups, key=lambda entry: measure.better * entry[measure.key])
        note = f"95 % interval {_show_ends(worst['interval'], measure)}"
        title = f"worst when left out: {worst['group']}"
        items.append({"title": title, "value": measure.show(worst[measure.key]), "note": note})
    return items


def _list_fold(entry: dict, measure: Measure, folder: Path) -> dict[str, str]:
    page = f"{entry['name']}/eval/{REPORT}"
    return {
        "page": page if (folder / page).is_file() else "",
        "title": entry["name"].replace("_", " "),
        "rows": say_rows(entry),
        "subjects": str(entry["n_subjects"]),
        "training": str(entry["n_training_subjects"]),
        "score": measure.show(entry[measure.key]),
        "interval": _show_ends(entry["interval"], measure),
    }


def _list_group(entry: dict, measure: Measure, folder: Path) -> dict[str, str]:
    row = _list_fold(entry, measure, folder) | {"title": entry["group"]}
    beside = entry["beside"]
    if beside is None:
        return row | {"inside": "not run", "difference": "not known", "difference_interval": "none"}
    paired = beside["paired"]
    ends = paired["interval"] and sorted(measure.better * end for end in paired["interval"])
    return row | {
        "inside": measure.show(beside[measure.key]),
        "difference": measure.show_difference(measure.better * paired["difference"]),
        "difference_interval": " to ".join(measure.show_difference(end) for end in ends) if ends else "none",
    }


def _list_metric(name: str, entry: dict) -> dict[str, str]:
    ends = entry["interval"]
    interval = f"{percent(ends[0])} to {percent(ends[1])}" if ends else "none"
    return {"title": name.replace("_", " "), "value": percent(entry["value"]), "interval": interval}


def _draw_folds(metrics: dict, measure: Measure) -> str | None:
    folds = [entry for entry in metrics["folds"] if entry["kind"] == RANDOM]
    if not folds or len(folds) > MOST_DRAWN:
        return None
    names = ["pooled", *(entry["name"].replace("_", " ") for entry in folds)]
    scores = [metrics["pooled"][measure.key], *(entry[measure.key] for entry in folds)]
    intervals = [metrics["pooled"]["interval"], *(entry["interval"] for entry in folds)]
    return charts.draw_scores(names, scores, intervals, measure, first_is_real=True)


def _draw_groups(metrics: dict, measure: Measure) -> str | None:
    bars = []
    for entry in metrics.get("groups", []):
        bars.append((f"{entry['group']}, {LEFT_OUT}", entry[measure.key], entry["interval"]))
        if beside := entry["beside"]:
            bars.append((f"{entry['group']}, in training", beside[measure.key], beside["interval"]))
    if not bars or len(bars) > 2 * MOST_DRAWN:
        return None
    names, scores, intervals = zip(*bars, strict=True)
    return charts.draw_scores(names, scores, intervals, measure)
